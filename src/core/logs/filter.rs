//! Turns chunks of a log file into what `kubectl logs` prints.

use jiff::Timestamp;

use super::line::{Stream, parse_line, split_once};

/// Longest line that is buffered; the runtimes split at 16 KiB.
const MAX_LINE: usize = 1 << 20;

/// Which lines are printed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Only lines of this time or later; `None` for all.
    pub since: Option<Timestamp>,
    /// True to prefix each line with its time.
    pub timestamps: bool,
    /// Most bytes to print; `None` for no limit.
    pub limit_bytes: Option<u64>,
    /// Only lines of this stream; `None` for both.
    pub stream: Option<Stream>,
}

/// Whether more input can produce more output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Continue with the next chunk.
    More,
    /// Stop: the limit is reached.
    Done,
}

/// Consumes a file's bytes in chunks of any size and prints the lines that match the filter.
#[derive(Debug)]
pub struct Printer {
    filter: LogFilter,
    remaining: u64,
    /// Start of a line whose end has not been read yet.
    pending: Vec<u8>,
    /// True if the next text starts a line of output, and so may need its time.
    line_start: bool,
}

impl Printer {
    /// A printer at the start of a line.
    pub fn new(filter: LogFilter) -> Self {
        let remaining = filter.limit_bytes.unwrap_or(u64::MAX);
        Self { filter, remaining, pending: Vec::new(), line_start: true }
    }

    /// Prints the whole lines of `input`, joined with the previous chunk, to `out`.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Flow {
        while let Some((line, rest)) = split_once(input, b'\n') {
            input = rest;
            let flow = if self.pending.is_empty() {
                self.print(line, true, out)
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(line);
                let flow = self.print(&whole, true, out);
                whole.clear();
                self.pending = whole;
                flow
            };
            if flow == Flow::Done {
                return Flow::Done;
            }
        }
        self.pending.extend_from_slice(input);
        if self.pending.len() > MAX_LINE {
            let whole = std::mem::take(&mut self.pending);
            return self.print(&whole, true, out);
        }
        Flow::More
    }

    /// The file is complete: prints a last line without a line feed as well, as far as it is valid.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Flow {
        let last = std::mem::take(&mut self.pending);
        if last.is_empty() { Flow::More } else { self.print(&last, false, out) }
    }

    /// Drops an incomplete line, before reading continues in another file.
    pub fn restart_line(&mut self) {
        self.pending.clear();
    }

    fn print(&mut self, line: &[u8], ended: bool, out: &mut Vec<u8>) -> Flow {
        // A damaged line is skipped.
        let Ok(line) = parse_line(line) else { return Flow::More };
        if self.filter.since.is_some_and(|since| line.time < since) {
            return Flow::More;
        }
        if self.filter.stream.is_some_and(|only| only != line.stream) {
            return Flow::More;
        }
        if self.filter.timestamps && self.line_start {
            let time = nine_digits(line.time_text);
            self.put(time.as_bytes(), out);
            self.put(b" ", out);
        }
        self.put(line.text, out);
        self.line_start = ended && !line.partial;
        if self.line_start {
            self.put(b"\n", out);
        }
        if self.remaining == 0 { Flow::Done } else { Flow::More }
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let fits = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let bytes = bytes.get(..fits).unwrap_or(bytes);
        out.extend_from_slice(bytes);
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
    }
}

/// The runtime's time with nine fractional digits, in the runtime's zone, as upstream prints it.
fn nine_digits(time: &str) -> String {
    let whole_end = "2016-10-06T00:17:09".len().min(time.len());
    let (whole, rest) = time.split_at_checked(whole_end).unwrap_or((time, ""));
    let fraction = rest.strip_prefix('.').unwrap_or("");
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, after) = fraction.split_at_checked(digits).unwrap_or_default();
    let zone = if fraction.is_empty() { rest } else { after };
    format!("{whole}.{digits:0<9}{zone}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: &[u8] = b"2024-01-01T00:00:01.5Z stdout F one\n\
        2024-01-01T00:00:02Z stderr P tw\n\
        2024-01-01T00:00:03Z stderr F o\n\
        not a line\n\
        2024-01-01T00:00:04Z stdout F \n\
        2024-01-01T00:00:05Z stdout F end";

    fn printed(filter: LogFilter, chunk: usize) -> String {
        let (mut printer, mut out) = (Printer::new(filter), Vec::new());
        for part in LOG.chunks(chunk) {
            if printer.push(part, &mut out) == Flow::Done {
                return String::from_utf8(out).unwrap();
            }
        }
        printer.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn partial_lines_are_joined_and_damaged_ones_dropped_whatever_the_chunks() {
        for chunk in 1..LOG.len() {
            assert_eq!(printed(LogFilter::default(), chunk), "one\ntwo\n\nend", "chunks of {chunk}");
        }
    }

    #[test]
    fn each_option_does_its_part() {
        let with = |filter| printed(filter, 7);
        assert_eq!(
            with(LogFilter { timestamps: true, ..LogFilter::default() }),
            "2024-01-01T00:00:01.500000000Z one\n2024-01-01T00:00:02.000000000Z two\n\
             2024-01-01T00:00:04.000000000Z \n2024-01-01T00:00:05.000000000Z end"
        );
        let since = Some("2024-01-01T00:00:04Z".parse().unwrap());
        assert_eq!(with(LogFilter { since, ..LogFilter::default() }), "\nend");
        assert_eq!(with(LogFilter { stream: Some(Stream::Stderr), ..LogFilter::default() }), "two\n");
        assert_eq!(with(LogFilter { limit_bytes: Some(5), ..LogFilter::default() }), "one\nt");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_and_chunks_never_matter(
            bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 1usize..50,
        ) {
            let run = |chunk: usize| {
                let (mut printer, mut out) = (Printer::new(LogFilter::default()), Vec::new());
                for part in bytes.chunks(chunk) {
                    printer.push(part, &mut out);
                }
                printer.finish(&mut out);
                out
            };
            prop_assert_eq!(run(cut), run(1000));
        }

        #[test]
        fn what_was_written_is_what_is_read(lines in proptest::collection::vec("[^\n]{0,40}", 0..20), split in 1usize..10) {
            // As a runtime writes it: long lines in parts, the last part with F.
            let mut file = Vec::new();
            for line in &lines {
                let bytes = line.as_bytes();
                let mut parts: Vec<&[u8]> = bytes.chunks(split).collect();
                if parts.is_empty() {
                    parts.push(b"");
                }
                for (i, part) in parts.iter().enumerate() {
                    let tag = if i + 1 == parts.len() { "F" } else { "P" };
                    file.extend_from_slice(format!("2024-01-01T00:00:01.123456789Z stdout {tag} ").as_bytes());
                    file.extend_from_slice(part);
                    file.push(b'\n');
                }
            }
            let (mut printer, mut out) = (Printer::new(LogFilter::default()), Vec::new());
            printer.push(&file, &mut out);
            let wanted: Vec<u8> = lines.iter().flat_map(|l| [l.as_bytes(), b"\n"].concat()).collect();
            prop_assert_eq!(out, wanted);
        }
    }
}
