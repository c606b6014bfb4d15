//! Parses one line of a CRI log: `<RFC 3339 time> <stdout|stderr> <P|F>[:tags] <text>`.

use jiff::Timestamp;

/// A container's output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The container's standard output.
    Stdout,
    /// The container's standard error.
    Stderr,
}

/// One line of a log file, without its line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When the runtime read it, as written in the file.
    pub time_text: &'a str,
    /// The parsed `time_text`, for comparisons.
    pub time: Timestamp,
    /// The stream that the container wrote to.
    pub stream: Stream,
    /// True if the text continues in the next line of the same stream.
    pub partial: bool,
    /// What the container wrote; any bytes.
    pub text: &'a [u8],
}

/// Why a line is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// There is no time, or it is invalid.
    #[error("no time at the start of the line")]
    Time,
    /// The stream is neither `stdout` nor `stderr`.
    #[error("no stream after the time")]
    Stream,
    /// There is no tag `P` or `F`.
    #[error("no tag after the stream")]
    Tag,
}

/// Longest time text that is parsed; `2016-10-06T00:17:09.669794202+00:00` has 35 bytes.
const MAX_TIME: usize = 64;

/// Parses one line, without its line feed.
pub fn parse_line(line: &[u8]) -> Result<Line<'_>, LineError> {
    let (time_bytes, rest) = split_word(line, MAX_TIME).ok_or(LineError::Time)?;
    let time_text = std::str::from_utf8(time_bytes).map_err(|_| LineError::Time)?;
    let time: Timestamp = time_text.parse().map_err(|_| LineError::Time)?;
    let (stream, rest) = split_word(rest, "stdout".len()).ok_or(LineError::Stream)?;
    let stream = match stream {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return Err(LineError::Stream),
    };
    // Tags are separated by colons; only the first one has a meaning so far.
    let (tags, text) = split_word(rest, usize::MAX).ok_or(LineError::Tag)?;
    let partial = tags.split(|b| *b == b':').next() == Some(b"P");
    Ok(Line { time_text, time, stream, partial, text })
}

fn split_word(bytes: &[u8], longest: usize) -> Option<(&[u8], &[u8])> {
    split_once(bytes, b' ').filter(|(word, _)| word.len() <= longest)
}

/// The parts before and after the first such byte.
pub(super) fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == at)?;
    let (before, after) = bytes.split_at_checked(end)?;
    Some((before, after.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_stream_tag_and_any_bytes() {
        let line = parse_line(b"2016-10-06T00:17:09.669794202Z stderr P:x a \xff\0 b ").unwrap();
        assert_eq!(line.time_text, "2016-10-06T00:17:09.669794202Z");
        assert_eq!(line.time.as_nanosecond() % 1_000_000_000, 669_794_202);
        assert_eq!((line.stream, line.partial), (Stream::Stderr, true));
        assert_eq!(line.text, b"a \xff\0 b ");
        assert_eq!(parse_line(b"2016-10-06T00:17:09+02:00 stdout F ").unwrap().text, b"");
    }

    #[test]
    fn what_is_no_line_is_refused_with_the_part_that_is_wrong() {
        for (bytes, error) in [
            (&b""[..], LineError::Time),
            (b"yesterday stdout F x", LineError::Time),
            (b"\xff\xfe stdout F x", LineError::Time),
            (b"2016-10-06T00:17:09Z", LineError::Time),
            (b"2016-10-06T00:17:09Z stdin F x", LineError::Stream),
            (b"2016-10-06T00:17:09Z stdout", LineError::Stream),
            (b"2016-10-06T00:17:09Z stdout F", LineError::Tag),
        ] {
            assert_eq!(parse_line(bytes).unwrap_err(), error, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
