//! Durations in Go's notation: `1m30s`, `100ms`, `0s`.

use std::time::Duration;

/// Parses Go's notation; negative durations and texts without a unit are rejected.
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
    let mut nanos = 0u128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
        let (number, after) = rest.split_at_checked(digits).ok_or_else(refuse)?;
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_len).ok_or_else(refuse)?;
        let unit = match unit {
            "ns" => 1,
            // Two Unicode characters: the micro sign and the Greek letter.
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(refuse()),
        };
        nanos = nanos.saturating_add(parse_number(number, unit).ok_or_else(refuse)?);
        rest = after;
    }
    // Go stores a duration as int64 nanoseconds.
    i64::try_from(nanos).map(|nanos| Duration::from_nanos(nanos.unsigned_abs())).map_err(|_| refuse())
}

/// A decimal number of units in nanoseconds, rounded down: without floating point, which cannot represent every int64.
fn parse_number(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    // Digits after the eighteenth are less than a nanosecond of an hour.
    let (fraction, beyond) = fraction.split_at_checked(18).unwrap_or((fraction, ""));
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = digits(fraction)?.saturating_mul(unit).checked_div(scale)?;
    let all_digits = beyond.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then_some(digits(whole)?.saturating_mul(unit).saturating_add(part))
}

/// Formats a duration as Go's `Duration.String` does.
pub fn render_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return match nanos {
            0 => "0s".into(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}µs", decimal(u64::from(nanos / 1_000), nanos % 1_000, 3)),
            _ => format!("{}ms", decimal(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6)),
        };
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, decimal(seconds % 60, nanos, 9));
    if hours > 0 {
        format!("{hours}h{minutes}m{seconds}s")
    } else if minutes > 0 {
        format!("{minutes}m{seconds}s")
    } else {
        format!("{seconds}s")
    }
}

/// A number with this many fractional digits, without trailing zeros.
fn decimal(whole: u64, fraction: u32, digits: usize) -> String {
    let text = format!("{whole}.{fraction:0digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_go_reads_and_writes() {
        for (text, canonical) in [
            ("2562047h47m16.854775807s", "2562047h47m16.854775807s"),
            ("33.000000001s", "33.000000001s"),
            ("1.5µs", "1.5µs"),
            ("1.5μs", "1.5µs"),
            ("10ms", "10ms"),
            ("0.0000000019s", "1ns"),
            (".5h", "30m0s"),
            ("1m30s", "1m30s"),
            ("90s", "1m30s"),
            ("100ms", "100ms"),
            ("0", "0s"),
            ("4h", "4h0m0s"),
            ("1.5s", "1.5s"),
        ] {
            assert_eq!(parse_duration(text).map(render_duration), Ok(canonical.to_string()));
        }
        for text in ["", "5", "s", "1x", "-1s", "1..2s", "9999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
