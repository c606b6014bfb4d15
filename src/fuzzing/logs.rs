//! Logs written by containers: the output of `kubectl logs`, and forwarding to the journal.

use crate::adapters::systemd::journal::encode;
use crate::core::logs::{Flow, LogFilter, Printer, parse_line};
use crate::core::static_units::{Facts, render_entry};

fn print(bytes: &[u8], chunk: usize, filter: &LogFilter) -> Vec<u8> {
    let (mut printer, mut out) = (Printer::new(filter.clone()), Vec::new());
    for part in bytes.chunks(chunk) {
        if printer.push(part, &mut out) == Flow::Done {
            return out;
        }
    }
    printer.finish(&mut out);
    out
}

/// Two bytes of options, then the log: never more than the limit, and no difference between chunk sizes.
pub(super) fn container_log(input: &[u8]) {
    let Some(([options, chunk], bytes)) = input.split_first_chunk::<2>() else { return };
    let limit = (options & 1 == 1).then_some(64);
    let filter = LogFilter { timestamps: options & 2 == 2, limit_bytes: limit, ..LogFilter::default() };
    let whole = print(bytes, usize::MAX, &filter);
    assert_eq!(whole, print(bytes, usize::from(*chunk).max(1), &filter));
    assert!(limit.is_none_or(|limit| whole.len() as u64 <= limit));
    // A time has at most 64 bytes and grows by nine digits; no other lines are printed.
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(whole.len() <= bytes.len() + 16 * lines);
}

/// One line: its parts are the line, and each field of its journal entry can be parsed as one field.
pub(super) fn log_line(input: &[u8]) {
    let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(parsed) = parse_line(line) else { return };
    assert!(line.starts_with(parsed.time_text.as_bytes()) && line.ends_with(parsed.text));
    assert!(!parsed.time_text.contains(['\n', ' ']));
    let facts = Facts {
        unit: "static-pod@web.service".into(),
        namespace: "default".into(),
        pod: "web-n1".into(),
        uid: "u".into(),
        container: "main".into(),
        id: "c".into(),
    };
    // The text may be joined from several lines, and so contain anything.
    let entry = render_entry(&facts, &parsed, input);
    let decoded = decode(&encode(&entry));
    let wanted: Vec<_> = entry.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    assert_eq!(decoded, Some(wanted));
}

/// Parses a datagram as the journal does (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
fn decode(mut datagram: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut fields = Vec::new();
    while !datagram.is_empty() {
        let end = datagram.iter().position(|byte| matches!(byte, b'=' | b'\n'))?;
        let (name, rest) = datagram.split_at(end);
        let (value, rest) = if rest[0] == b'=' {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            (&rest[1..end], &rest[end + 1..])
        } else {
            let (length, rest) = rest[1..].split_first_chunk::<8>()?;
            let (value, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            (value, rest.strip_prefix(b"\n")?)
        };
        fields.push((name.to_vec(), value.to_vec()));
        datagram = rest;
    }
    Some(fields)
}
