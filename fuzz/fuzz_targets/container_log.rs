//! Any bytes as a container's log: never a panic, never more than the limit, never a difference between chunk sizes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use roost::core::logs::{Flow, LogFilter, Printer};

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

fuzz_target!(|input: &[u8]| {
    let Some(([options, chunk], bytes)) = input.split_first_chunk::<2>() else { return };
    let limit = (options & 1 == 1).then_some(64);
    let filter = LogFilter { timestamps: options & 2 == 2, limit_bytes: limit, ..LogFilter::default() };
    let whole = print(bytes, usize::MAX, &filter);
    assert_eq!(whole, print(bytes, usize::from(*chunk).max(1), &filter));
    assert!(limit.is_none_or(|limit| whole.len() as u64 <= limit));
});
