//! File names of etcd snapshots, and which snapshots are removed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// `etcd-NODE-20260102T030405Z.db`: names sort by time.
pub fn file_name(node: &str, now: Timestamp) -> String {
    format!("etcd-{node}-{}.db", now.strftime("%Y%m%dT%H%M%SZ"))
}

fn is_own(path: &Path, node: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stamp = name.strip_prefix("etcd-").and_then(|name| name.strip_prefix(node));
    let stamp = stamp.and_then(|name| name.strip_prefix('-')).and_then(|name| name.strip_suffix("Z.db"));
    stamp.is_some_and(|stamp| stamp.len() == 15 && stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'T'))
}

/// This node's snapshots except the newest `keep`, oldest first. Files with other names are never listed.
pub fn outdated(files: &[PathBuf], node: &str, keep: usize) -> Vec<PathBuf> {
    let mut own: Vec<PathBuf> = files.iter().filter(|path| is_own(path, node)).cloned().collect();
    own.sort();
    own.truncate(own.len().saturating_sub(keep));
    own
}

/// This node's newest snapshot among `files`; `None` if it has none.
pub fn newest(files: &[PathBuf], node: &str) -> Option<PathBuf> {
    files.iter().filter(|path| is_own(path, node)).max().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_older_snapshots_are_outdated() {
        let at = |second: i64| file_name("n1", Timestamp::from_second(second).unwrap());
        assert_eq!(at(0), "etcd-n1-19700101T000000Z.db");
        let mut files: Vec<PathBuf> = [at(30), at(10), at(20)].iter().map(|name| Path::new("/s").join(name)).collect();
        let others =
            ["etcd-n1-before-upgrade.db", "etcd-n10-19700101T000000Z.db", "etcd-n1-19700101T000000Z.db.part", "x"];
        files.extend(others.map(|name| Path::new("/s").join(name)));
        assert_eq!(outdated(&files, "n1", 1), [Path::new("/s").join(at(10)), Path::new("/s").join(at(20))]);
        assert_eq!(outdated(&files, "n1", 3), Vec::<PathBuf>::new());
        assert_eq!(newest(&files, "n1"), Some(Path::new("/s").join(at(30))));
        assert_eq!(newest(&files, "n2"), None);
    }
}
