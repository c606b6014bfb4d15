//! Files of the kernel: cgroups of both versions, network counters, the mount table.

use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;

use super::input::text;
use crate::adapters::fs::mounts::parse_mounts;
use crate::adapters::fs::user_namespaces::IdRange;
use crate::core::usage::{
    CgroupFiles, derive_container, derive_io, derive_network, derive_swap, parse_net_dev, parse_sample_v1,
    parse_sample_v2,
};

/// Files by name, split from the input at zero bytes.
struct Files<'a>(Vec<(&'a str, &'a str)>);

impl CgroupFiles for Files<'_> {
    fn read(&self, _: &str, file: &str) -> Option<String> {
        self.0.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned())
    }
}

/// `name` LF `content`, separated by zero bytes: the result is deterministic, and nothing derived from it wraps around.
pub(super) fn cgroup_files(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let files = Files(text.split('\0').take(32).filter_map(|part| part.split_once('\n')).collect());
    let at = Timestamp::from_second(1_700_000_000).expect("a time");
    for parse in [parse_sample_v1, parse_sample_v2] {
        let sample = parse(&files, at);
        assert_eq!(sample, parse(&files, at));
        assert!(sample.io.len() <= text.len());
        let _ = (derive_io(&sample), derive_swap(&sample, Some(1)), sample.memory.working_set());
        let _ = derive_container("c", at, &sample, Some(1), Some(1));
    }
    let interfaces = parse_net_dev(text);
    assert!(interfaces.iter().all(|interface| interface.name != "lo") && interfaces.len() <= text.lines().count());
    let _ = derive_network(interfaces, at);
    if let Ok(range) = IdRange::parse(text, 65536) {
        assert!(range.first >= 65536 && range.first.is_multiple_of(65536));
        assert!(range.first.checked_add(range.length).is_some_and(|end| end <= 1 << 32));
    }
}

/// Escapes a path as the kernel's `seq_path` does.
fn escape(path: &[u8]) -> Vec<u8> {
    let escaped = path.iter().map(|byte| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![*byte],
    });
    escaped.flatten().collect()
}

/// A mount point as the kernel writes it is parsed back unchanged, and any other line gives at most one.
pub(super) fn mountinfo(input: &[u8]) {
    let points = |table: &[u8]| -> Vec<Vec<u8>> {
        parse_mounts(table).map(|mount| mount.point.as_os_str().as_bytes().to_vec()).collect()
    };
    let lines = input.split(|byte| *byte == b'\n').count();
    assert!(points(input).len() <= lines);
    // A path of the kernel never has two slashes, except in the mark of a removed directory (`//deleted`).
    if input.is_empty() || input.contains(&0) || input.windows(2).any(|two| two == b"//") {
        return;
    }
    let line = [b"36 35 98:0 / ", escape(input).as_slice(), b" rw,noatime master:1 - ext3 /dev/root rw\n"].concat();
    assert_eq!(points(&line), [input.to_vec()]);
    assert_eq!(points(&[line.as_slice(), line.as_slice()].concat()).len(), 2);
}
