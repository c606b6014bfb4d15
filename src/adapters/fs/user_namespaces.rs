//! Blocks of user ids for pods, stored in `pods/<uid>/userns` in upstream's format (`pkg/kubelet/userns`).
//!
//! The files are the only record: a block is free again when its pod's directory is removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::atomic::write_if_changed;
use crate::core::model::PodUid;
use crate::cri;
use crate::offload::Lanes;
use crate::ports::kubelet::UserNamespaces;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mappings {
    uid_mappings: Vec<Mapping>,
    gid_mappings: Vec<Mapping>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    host_id: u32,
    container_id: u32,
    length: u32,
}

/// Ids that the kubelet may assign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// First id of the range.
    pub first: u64,
    pub length: u64,
    /// KubeletConfiguration's `userNamespaces.idsPerPod`, a multiple of 65536.
    pub per_pod: u32,
}

impl IdRange {
    /// All ids above the first block.
    pub fn default_for(per_pod: u32) -> Self {
        Self { first: u64::from(per_pod), length: (1_u64 << 32).saturating_sub(per_pod.into()), per_pod }
    }

    /// The range of `getsubids kubelet` if the node has that user and program; else the default.
    #[expect(clippy::disallowed_methods, reason = "asked once, before anything runs")]
    pub fn of_node(per_pod: u32) -> io::Result<Self> {
        let default = Self::default_for(per_pod);
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if !users.lines().any(|line| line.starts_with("kubelet:")) {
            return Ok(default);
        }
        let ask = |args: &[&str]| Command::new("getsubids").args(args).output();
        let (users, groups) = match (ask(&["kubelet"]), ask(&["-g", "kubelet"])) {
            (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(default),
            (users, groups) => (users?, groups?),
        };
        if !users.status.success() || users.stdout != groups.stdout {
            return Err(io::Error::other(
                "getsubids reports no range for the user kubelet, or different ranges for users and groups",
            ));
        }
        Self::parse(&String::from_utf8_lossy(&users.stdout), per_pod)
    }

    pub(crate) fn parse(line: &str, per_pod: u32) -> io::Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let bad = || io::Error::other(format!("getsubids reported {line:?}, which is not one usable range for pods"));
        let ["0:", _, first, length] = words[..] else { return Err(bad()) };
        let range =
            Self { first: first.parse().map_err(|_| bad())?, length: length.parse().map_err(|_| bad())?, per_pod };
        let unit = u64::from(per_pod);
        if range.first == 0
            || !range.first.is_multiple_of(unit)
            || !range.length.is_multiple_of(unit)
            || range.first.saturating_add(range.length) > 1 << 32
        {
            return Err(bad());
        }
        Ok(range)
    }

    /// The lowest free block; `None` if there is none.
    fn free(&self, taken: &BTreeSet<u32>) -> Option<u32> {
        let end = self.first.saturating_add(self.length);
        let mut blocks =
            (self.first..end).step_by(self.per_pod.max(1) as usize).filter_map(|id| u32::try_from(id).ok());
        blocks.find(|first| !taken.contains(first))
    }
}

/// Blocks recorded below the kubelet's root directory.
pub struct LocalUserNamespaces {
    pods: PathBuf,
    range: IdRange,
    /// Serializes allocations: all have the same subject.
    lanes: Lanes,
}

impl LocalUserNamespaces {
    pub fn new(root_dir: &Path, range: IdRange) -> Self {
        Self { pods: root_dir.join("pods"), range, lanes: Lanes::new("ids of user namespaces below") }
    }
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn read(dir: &Path) -> io::Result<Option<Mapping>> {
    let text = match fs::read(dir.join("userns")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let found: Mappings = serde_json::from_slice(&text)?;
    Ok(found.uid_mappings.into_iter().next())
}

/// The block of the pod with this directory; one is allocated if it has none.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn allocate(pods: &Path, dir: &Path, range: IdRange) -> io::Result<Mapping> {
    if let Some(mapping) = read(dir)? {
        return Ok(mapping);
    }
    let mut taken = BTreeSet::new();
    for entry in fs::read_dir(pods)? {
        taken.extend(read(&entry?.path())?.map(|m| m.host_id));
    }
    let none = || io::Error::other("could not find an empty slot to allocate a user namespace");
    let host_id = range.free(&taken).ok_or_else(none)?;
    let mapping = Mapping { host_id, container_id: 0, length: range.per_pod };
    let both = Mappings { uid_mappings: vec![mapping.clone()], gid_mappings: vec![mapping.clone()] };
    write_if_changed(&dir.join("userns"), &serde_json::to_vec(&both)?, 0o600)?;
    Ok(mapping)
}

#[async_trait]
impl UserNamespaces for LocalUserNamespaces {
    async fn ensure(&self, uid: &PodUid) -> io::Result<cri::UserNamespace> {
        let (pods, range) = (self.pods.clone(), self.range);
        let dir = self.pods.join(super::pod_files::plain(uid.as_str())?);
        let work = move || allocate(&pods, &dir, range);
        let mapping = self.lanes.io(self.pods.to_string_lossy(), "allocate", work).await?;
        let ids = vec![cri::IdMapping {
            host_id: mapping.host_id,
            container_id: mapping.container_id,
            length: mapping.length,
        }];
        Ok(cri::UserNamespace { mode: cri::NamespaceMode::Pod as i32, uids: ids.clone(), gids: ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_pod_keeps_a_block_of_its_own_and_leaves_it_behind() {
        let root = tempfile::tempdir().unwrap();
        let spaces = LocalUserNamespaces::new(root.path(), IdRange::default_for(65536));
        let first = async |uid: &str| {
            fs::create_dir_all(root.path().join("pods").join(uid)).unwrap();
            spaces.ensure(&PodUid::from(uid)).await.unwrap().uids[0].host_id
        };
        assert_eq!(first("a").await, 65536);
        assert_eq!(first("b").await, 131_072);
        assert_eq!(first("a").await, 65536);
        fs::remove_dir_all(root.path().join("pods/a")).unwrap();
        assert_eq!(first("c").await, 65536);
        let text = fs::read_to_string(root.path().join("pods/c/userns")).unwrap();
        let mapping = r#"[{"hostId":65536,"containerId":0,"length":65536}]"#;
        assert_eq!(text, format!(r#"{{"uidMappings":{mapping},"gidMappings":{mapping}}}"#));
    }

    #[test]
    fn ranges_of_the_node_are_checked() {
        assert_eq!(IdRange::parse("0: kubelet 65536 131072\n", 65536).unwrap().length, 131_072);
        for bad in ["", "0: kubelet 0 65536", "0: kubelet 65537 65536", "0: kubelet 65536 1", "0: k 1 2\n1: k 3 4"] {
            assert!(IdRange::parse(bad, 65536).is_err(), "{bad}");
        }
        let full = IdRange::parse("0: kubelet 65536 65536", 65536).unwrap();
        assert_eq!(full.free(&BTreeSet::from([65536])), None);
    }
}
