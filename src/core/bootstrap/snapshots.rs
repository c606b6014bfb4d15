//! File names of etcd snapshots, and which snapshots are removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::core::model::spec::Spec;

/// `etcd-NODE-20260102T030405Z.db`: names sort by time.
pub fn file_name(node: &str, now: Timestamp) -> String {
    format!("etcd-{node}-{}.db", now.strftime("%Y%m%dT%H%M%SZ"))
}

/// A cluster, as far as this node can tell it from another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// Uid of the namespace kube-system, which restores and CA rotations keep; `None` if the API did not say.
    pub id: Option<String>,
    /// Start of the validity of the cluster's CA; `None` without a CA.
    pub since: Option<Timestamp>,
}

impl ClusterIdentity {
    /// True if something belongs to this cluster that was made at this time, in a cluster with this id if it is known.
    /// Without both ids the cluster must be older.
    pub fn has(&self, id: Option<&str>, at: Timestamp) -> bool {
        match (id, self.id.as_deref()) {
            (Some(theirs), Some(ours)) => theirs == ours,
            _ => self.since.is_none_or(|since| at >= since),
        }
    }
}

/// The cluster of each snapshot by the name of its file, kept beside the snapshots: they outlive their cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins(BTreeMap<String, String>);

impl Origins {
    /// Reads the file; one that is damaged says nothing.
    pub fn parse(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// The content of the file.
    pub fn render(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Adds a snapshot, and forgets those whose files are gone.
    pub fn add(&mut self, snapshot: &Path, id: &str, files: &[PathBuf]) {
        self.0.insert(name_of(snapshot), id.to_owned());
        self.0.retain(|name, _| *name == name_of(snapshot) || files.iter().any(|file| name_of(file) == *name));
    }

    /// This node's snapshots among `files` that belong to a cluster, oldest first, and those that do not.
    pub fn split(&self, files: &[PathBuf], node: &str, cluster: &ClusterIdentity) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut own: Vec<PathBuf> = files.iter().filter(|path| is_own(path, node)).cloned().collect();
        own.sort();
        own.into_iter().partition(|path| {
            let id = self.0.get(&name_of(path)).map(String::as_str);
            taken_at(path).is_none_or(|at| cluster.has(id, at))
        })
    }
}

/// Where a node keeps the clusters of its snapshots.
pub fn origins_file(spec: &Spec) -> PathBuf {
    spec.node.paths.snapshots.join(format!("clusters-{}.json", spec.node.name))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// When a snapshot was taken, by its name.
pub fn taken_at(path: &Path) -> Option<Timestamp> {
    let name = name_of(path);
    let (_, stamp) = name.strip_suffix("Z.db")?.rsplit_once('-')?;
    let time = DateTime::strptime("%Y%m%dT%H%M%S", stamp).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn is_own(path: &Path, node: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stamp = name.strip_prefix("etcd-").and_then(|name| name.strip_prefix(node));
    let stamp = stamp.and_then(|name| name.strip_prefix('-')).and_then(|name| name.strip_suffix("Z.db"));
    stamp.is_some_and(|stamp| stamp.len() == 15 && stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'T'))
}

/// All but the newest `keep` of these snapshots, which are sorted: oldest first.
pub fn outdated(mut own: Vec<PathBuf>, keep: usize) -> Vec<PathBuf> {
    own.truncate(own.len().saturating_sub(keep));
    own
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
        let own = |node: &str| Origins::default().split(&files, node, &ClusterIdentity::default()).0;
        assert_eq!(outdated(own("n1"), 1), [Path::new("/s").join(at(10)), Path::new("/s").join(at(20))]);
        assert_eq!(outdated(own("n1"), 3), Vec::<PathBuf>::new());
        assert_eq!(own("n1").last(), Some(&Path::new("/s").join(at(30))));
        assert_eq!(own("n2"), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_snapshot_belongs_to_the_cluster_that_it_was_taken_of() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let file = |second: i64| Path::new("/s").join(file_name("n1", at(second)));
        assert_eq!(taken_at(&file(30)), Some(at(30)));
        let files = [file(10), file(20), file(30)];
        let mut origins = Origins::default();
        origins.add(&file(5), "gone", &[]);
        origins.add(&file(10), "old", &files);
        origins.add(&file(30), "new", &files);
        assert_eq!(Origins::parse(Some(&origins.render())), origins);
        assert!(!origins.render().contains("gone") && Origins::parse(Some("torn")) == Origins::default());
        let of = |id: Option<&str>, since: i64| {
            let cluster = ClusterIdentity { id: id.map(str::to_owned), since: Some(at(since)) };
            let (own, others) = origins.split(&files, "n1", &cluster);
            assert_eq!(own.len() + others.len(), 3);
            own
        };
        // The one without a record belongs to a cluster that existed then, as all do while the API does not answer.
        assert_eq!(of(Some("new"), 25), [file(30)]);
        assert_eq!(of(Some("old"), 0), [file(10), file(20)]);
        assert_eq!(of(None, 15), [file(20), file(30)]);
    }
}
