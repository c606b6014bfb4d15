//! Finds the start of the last lines of a log, reading backwards from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::core::logs::parse_line;

const BLOCK: usize = 64 * 1024;
/// Bytes of a line that are needed to see whether it is partial.
const HEADER: usize = 128;

/// Offset of the last `lines` whole lines in the first `size` bytes. Parts of a split line count as one line; a last
/// line without line feed is not counted, as it is still being written.
pub fn tail_offset(file: &File, size: u64, lines: u64) -> io::Result<u64> {
    let mut seen: u64 = 0;
    let mut block = vec![0; BLOCK];
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        // Only the first block of the file is shorter.
        block.truncate(usize::try_from(end.saturating_sub(start)).unwrap_or(BLOCK));
        file.read_exact_at(&mut block, start)?;
        for (feed, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            // The line that ends here is the last part of a line unless it is tagged as partial.
            if ends_whole_line(file, &block, start, feed)? {
                if seen == lines {
                    return Ok(start.saturating_add(feed as u64).saturating_add(1));
                }
                seen = seen.saturating_add(1);
            }
        }
        end = start;
    }
    Ok(0)
}

/// True if the line whose line feed is at `block[feed]` is tagged as full; a damaged line counts as full.
fn ends_whole_line(file: &File, block: &[u8], block_start: u64, feed: usize) -> io::Result<bool> {
    let before = block.get(..feed).unwrap_or(block);
    if let Some(line) = after_feed(before) {
        return Ok(is_whole(line));
    }
    // The line began in an earlier block.
    let mut end = block_start;
    let mut start = 0;
    let mut chunk = vec![0; 4096];
    while end > 0 {
        let from = end.saturating_sub(chunk.len() as u64);
        chunk.truncate(usize::try_from(end.saturating_sub(from)).unwrap_or(chunk.len()));
        file.read_exact_at(&mut chunk, from)?;
        if let Some(line) = after_feed(&chunk) {
            start = end.saturating_sub(line.len() as u64);
            break;
        }
        end = from;
    }
    let length = block_start.saturating_add(feed as u64).saturating_sub(start);
    let mut header = vec![0; usize::try_from(length).unwrap_or(HEADER).min(HEADER)];
    file.read_exact_at(&mut header, start)?;
    Ok(is_whole(&header))
}

/// The bytes after the last line feed; `None` if there is no line feed.
fn after_feed(bytes: &[u8]) -> Option<&[u8]> {
    bytes.contains(&b'\n').then(|| bytes.rsplit(|byte| *byte == b'\n').next()).flatten()
}

fn is_whole(line: &[u8]) -> bool {
    parse_line(line.get(..HEADER).unwrap_or(line)).is_ok_and(|line| !line.partial)
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
