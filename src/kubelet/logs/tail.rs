//! Finds where the last lines of a log begin, reading from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::core::logs::parse_line;

/// Bytes that are read at a time.
const BLOCK: usize = 64 * 1024;
/// As much of a line as is needed to see whether it is partial.
const HEADER: usize = 128;

/// Offset at which the last `lines` whole lines of the first `size` bytes begin. Parts of a split line count as one line
/// together; a last line without its line feed is not counted, as it is still being written.
pub fn tail_offset(file: &File, size: u64, lines: u64) -> io::Result<u64> {
    let mut seen = 0;
    let mut block = vec![0; BLOCK];
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let length = usize::try_from(end - start).unwrap_or(BLOCK);
        let bytes = &mut block[..length];
        file.read_exact_at(bytes, start)?;
        for feed in (0..length).rev().filter(|i| bytes[*i] == b'\n') {
            let after = start + feed as u64 + 1;
            // The line that ends here is the last part of a line unless it says that it goes on.
            if ends_whole_line(file, bytes, start, feed)? {
                if seen == lines {
                    return Ok(after);
                }
                seen += 1;
            }
        }
        end = start;
    }
    Ok(0)
}

/// Whether the line whose line feed is at `block[feed]` is tagged as full; a damaged line counts as one.
fn ends_whole_line(file: &File, block: &[u8], block_start: u64, feed: usize) -> io::Result<bool> {
    let line_start = block[..feed].iter().rposition(|b| *b == b'\n');
    if let Some(before) = line_start {
        let line = &block[before + 1..feed];
        return Ok(parse_line(&line[..line.len().min(HEADER)]).is_ok_and(|l| !l.partial));
    }
    // The line began in an earlier block.
    let (mut end, mut header) = (block_start, [0; HEADER]);
    let mut start = 0;
    let mut chunk = vec![0; 4096];
    while end > 0 {
        let from = end.saturating_sub(chunk.len() as u64);
        let length = usize::try_from(end - from).unwrap_or(chunk.len());
        file.read_exact_at(&mut chunk[..length], from)?;
        if let Some(at) = chunk[..length].iter().rposition(|b| *b == b'\n') {
            start = from + at as u64 + 1;
            break;
        }
        end = from;
    }
    let line_length = usize::try_from(block_start + feed as u64 - start).unwrap_or(HEADER).min(HEADER);
    file.read_exact_at(&mut header[..line_length], start)?;
    Ok(parse_line(&header[..line_length]).is_ok_and(|l| !l.partial))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::core::logs::{LogFilter, Printer};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn tail(bytes: &[u8], lines: u64) -> String {
        let offset = usize::try_from(tail_offset(&file(bytes), bytes.len() as u64, lines).unwrap()).unwrap();
        let mut out = Vec::new();
        Printer::new(LogFilter::default()).push(&bytes[offset..], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_parts_of_a_split_line_count_as_one_line() {
        let log = b"2024-01-01T00:00:01Z stdout F one\n2024-01-01T00:00:02Z stdout P tw\n\
            2024-01-01T00:00:02Z stdout F o\n2024-01-01T00:00:03Z stdout F three\n";
        assert_eq!(tail(log, 0), "");
        assert_eq!(tail(log, 1), "three\n");
        assert_eq!(tail(log, 2), "two\nthree\n");
        assert_eq!(tail(log, 3), "one\ntwo\nthree\n");
        assert_eq!(tail(log, 99), "one\ntwo\nthree\n");
        assert_eq!(tail(b"", 5), "");
    }

    #[test]
    fn lines_longer_than_a_block_are_found() {
        let long = "x".repeat(BLOCK * 2);
        let log = format!(
            "2024-01-01T00:00:01Z stdout F a\n2024-01-01T00:00:02Z stdout F {long}\n2024-01-01T00:00:03Z stdout F b\n"
        );
        assert_eq!(tail(log.as_bytes(), 1), "b\n");
        assert_eq!(tail(log.as_bytes(), 2), format!("{long}\nb\n"));
        assert_eq!(tail(log.as_bytes(), 3).len(), long.len() + 5);
    }

    proptest! {
        #[test]
        fn the_tail_is_the_end_of_the_whole(lines in proptest::collection::vec("[a-z]{0,30}", 0..200), wanted in 0u64..250) {
            let log: String = lines.iter().map(|l| format!("2024-01-01T00:00:01.000000001Z stderr F {l}\n")).collect();
            let skip = lines.len().saturating_sub(usize::try_from(wanted).unwrap());
            let expected: String = lines[skip..].iter().map(|l| format!("{l}\n")).collect();
            prop_assert_eq!(tail(log.as_bytes(), wanted), expected);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000), lines in 0u64..20) {
            prop_assert!(tail_offset(&file(&bytes), bytes.len() as u64, lines).unwrap() <= bytes.len() as u64);
        }
    }
}
