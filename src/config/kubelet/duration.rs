//! Durations as Go writes them: `1m30s`, `100ms`, `0s`.

use std::time::Duration;

/// Parses Go's duration text; negative ones and texts without a unit are refused.
///
/// # Errors
/// A sentence that quotes the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("invalid duration {text:?}, want for example \"1m30s\"");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(refuse());
    }
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
        let (number, after) = rest.split_at_checked(digits).ok_or_else(refuse)?;
        let number: f64 = number.parse().map_err(|_| refuse())?;
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_len).ok_or_else(refuse)?;
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(refuse()),
        };
        nanos += number * unit;
        rest = after;
    }
    // Go holds a duration in an int64 of nanoseconds.
    if nanos > i64::MAX as f64 {
        return Err(refuse());
    }
    Duration::try_from_secs_f64(nanos / 1e9).map_err(|_| refuse())
}

/// Writes a duration as Go's `Duration.String` does.
pub fn render_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    if nanos < 1_000_000_000 {
        let (unit, scale) = match nanos {
            0..1_000 => ("ns", 1.0),
            1_000..1_000_000 => ("µs", 1e3),
            _ => ("ms", 1e6),
        };
        return format!("{}{unit}", nanos as f64 / scale);
    }
    let seconds = duration.as_secs();
    let fraction = f64::from(duration.subsec_nanos()) / 1e9 + (seconds % 60) as f64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        format!("{hours}h{minutes}m{fraction}s")
    } else if minutes > 0 {
        format!("{minutes}m{fraction}s")
    } else {
        format!("{fraction}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_go_reads_and_writes() {
        for (text, canonical) in
            [("1m30s", "1m30s"), ("90s", "1m30s"), ("100ms", "100ms"), ("0", "0s"), ("4h", "4h0m0s"), ("1.5s", "1.5s")]
        {
            assert_eq!(parse_duration(text).map(render_duration), Ok(canonical.to_string()));
        }
        for text in ["", "5", "s", "1x", "-1s", "1..2s", "9999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
