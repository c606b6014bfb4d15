//! The small files of pods: log directories, hosts files, termination messages (docs/contract.md, kubelet 0).

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::atomic::write_if_changed;
use super::folder::resolved;
use super::removal::remove_tree;
use crate::core::model::{ContainerId, PodKey, PodUid, key_of, refusal_file, uid_of};
use crate::offload::Lanes;
use crate::ports::kubelet::PodFiles;

/// File in the directory of a static pod, see [`PodFiles::keep_status`].
pub const STATUS: &str = "status.json";

/// Files below the kubelet's root directory and the log directory: a few quick calls on a local disk, which may be
/// failing.
#[derive(Clone, Debug)]
pub struct LocalPodFiles {
    root_dir: PathBuf,
    logs_dir: PathBuf,
    links_dir: PathBuf,
    lanes: Lanes,
}

impl LocalPodFiles {
    /// `root_dir` is `/var/lib/kubelet`, `logs_dir` `/var/log/pods`, `links_dir` `/var/log/containers`.
    pub fn new(root_dir: &Path, logs_dir: &Path, links_dir: &Path) -> Self {
        Self {
            root_dir: root_dir.into(),
            logs_dir: logs_dir.into(),
            links_dir: links_dir.into(),
            lanes: Lanes::new("files of pod"),
        }
    }

    /// `<pod>_<namespace>_<container>-<id>.log`, truncated as upstream does (`logSymlink`).
    fn link(&self, pod: &Pod, container: &str, id: &ContainerId) -> io::Result<PathBuf> {
        const LONGEST: usize = 251;
        let key = key_of(pod);
        let name = format!("{}_{}_{container}-{id}", key.name, key.namespace);
        let name: String = name.chars().take(LONGEST).chain(".log".chars()).collect();
        Ok(self.links_dir.join(plain(&name)?))
    }

    fn pod_dir(&self, uid: &PodUid) -> io::Result<PathBuf> {
        Ok(self.root_dir.join("pods").join(plain(uid.as_str())?))
    }

    fn logs_of(&self, pod: &Pod) -> io::Result<PathBuf> {
        let key = key_of(pod);
        let name = format!("{}_{}_{}", key.namespace, key.name, uid_of(pod));
        Ok(self.logs_dir.join(plain(&name)?))
    }
}

/// A name that is a single path component; manifests are not trusted.
pub(super) fn plain(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is not a file name")));
    }
    Ok(name)
}

/// `<namespace>_<pod>_<uid>`, of which no part contains an underscore.
fn logged_pod(name: &str) -> Option<(PodKey, PodUid)> {
    let [namespace, name, uid] = name.split('_').collect::<Vec<_>>().try_into().ok()?;
    let whole = ![namespace, name, uid].contains(&"");
    whole.then(|| (PodKey::new(namespace, name), PodUid::from(uid)))
}

/// "Not found" is success.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn remove_file(path: &Path) -> io::Result<()> {
    super::ignore_missing(fs::remove_file(path))
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn make_dirs(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn write_hosts(dir: &Path, content: &str) -> io::Result<PathBuf> {
    let path = dir.join("etc-hosts");
    // Running containers have this file mounted: an existing one is rewritten in place, so that they see the change.
    if path.exists() {
        if fs::read(&path)? != content.as_bytes() {
            fs::write(&path, content)?;
        }
    } else {
        make_dirs(dir, 0o750)?;
        write_if_changed(&path, content.as_bytes(), 0o644)?;
    }
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn new_termination_file(dir: &Path) -> io::Result<PathBuf> {
    make_dirs(dir, 0o750)?;
    loop {
        let path = dir.join(format!("{:08x}", rand::random::<u32>()));
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path) {
            Ok(file) => {
                // Containers of any user write it, regardless of the umask.
                file.set_permissions(fs::Permissions::from_mode(0o666))?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn read_termination_file(path: &Path, limit: usize) -> io::Result<String> {
    let flags = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits();
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        other => other?,
    };
    let mut content = Vec::new();
    file.take(limit as u64).read_to_end(&mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn read_tail(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// The highest restart count for which there is a log in the container's directory.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn highest_log(dir: &Path) -> Option<u32> {
    let names = fs::read_dir(dir).ok()?.filter_map(|e| e.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.split('.').next()?.parse().ok().filter(|_| name.contains(".log"))).max()
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn remove_log(link: &Path, dir: &Path, attempt: u32) -> io::Result<()> {
    remove_file(link)?;
    if highest_log(dir).is_none_or(|highest| highest <= attempt) {
        return Ok(());
    }
    let own = format!("{attempt}.log");
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(&own));
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the logs of a pod and the links to them, whose names begin with `of_pod`.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn remove_logs(links_dir: &Path, of_pod: &str, logs: &Path) -> io::Result<()> {
    for entry in fs::read_dir(links_dir).into_iter().flatten().flatten() {
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(of_pod));
        if named && fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(logs)) {
            remove_file(&entry.path())?;
        }
    }
    remove_tree(logs)
}

#[async_trait]
impl PodFiles for LocalPodFiles {
    async fn logged_pods(&self) -> Vec<(PodKey, PodUid)> {
        let dir = self.logs_dir.clone();
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let list = move || {
            let entries = fs::read_dir(dir).into_iter().flatten();
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            names.filter_map(|name| logged_pod(&name)).collect()
        };
        self.lanes.run("logs", "list", list).await.unwrap_or_default()
    }

    async fn make_pod_dirs(&self, pod: &Pod) -> io::Result<()> {
        let (uid, logs) = (uid_of(pod), self.logs_of(pod)?);
        let dir = self.pod_dir(&uid)?;
        let make = move || {
            make_dirs(&dir.join("volumes"), 0o750)?;
            make_dirs(&dir.join("plugins"), 0o750)?;
            make_dirs(&logs, 0o755)
        };
        self.lanes.io(uid.as_str(), "create directories", make).await
    }

    async fn make_log_dir(&self, pod: &Pod, container: &str) -> io::Result<()> {
        let dir = self.logs_of(pod)?.join(plain(container)?);
        self.lanes.io(uid_of(pod).as_str(), "create log directory", move || make_dirs(&dir, 0o755)).await
    }

    async fn write_hosts(&self, uid: &PodUid, content: &str) -> io::Result<PathBuf> {
        let (dir, content) = (self.pod_dir(uid)?, content.to_owned());
        self.lanes.io(uid.as_str(), "write hosts file", move || write_hosts(&dir, &content)).await
    }

    async fn new_termination_file(&self, uid: &PodUid, container: &str) -> io::Result<PathBuf> {
        let dir = self.pod_dir(uid)?.join("containers").join(plain(container)?);
        self.lanes.io(uid.as_str(), "create termination file", move || new_termination_file(&dir)).await
    }

    async fn read_termination_file(&self, path: &str, limit: usize) -> io::Result<String> {
        // The path comes from the runtime's record; it must be one that was created here.
        let file = PathBuf::from(path);
        let ours = self.root_dir.join("pods");
        let work = move || {
            // The record may contain the kubelet's directory by a link.
            let file = if file.starts_with(&ours) { file } else { resolved(&file).unwrap_or_default() };
            if !file.starts_with(&ours) || file.components().any(|c| c == std::path::Component::ParentDir) {
                let text = format!("{} is not a termination file", file.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
            read_termination_file(&file, limit)
        };
        self.lanes.io(path, "read termination file", work).await
    }

    async fn read_log_tail(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let file = PathBuf::from(path);
        if !file.starts_with(&self.logs_dir) || file.components().any(|c| c == std::path::Component::ParentDir) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{path} is not a container log")));
        }
        self.lanes.io(path, "read end of log", move || read_tail(&file, limit)).await
    }

    async fn link_log(&self, pod: &Pod, container: &str, id: &ContainerId, attempt: u32) -> io::Result<()> {
        let log = self.logs_of(pod)?.join(plain(container)?).join(format!("{attempt}.log"));
        let (link, links_dir) = (self.link(pod, container, id)?, self.links_dir.clone());
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let make = move || {
            make_dirs(&links_dir, 0o755)?;
            match std::os::unix::fs::symlink(log, link) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            }
        };
        self.lanes.io(uid_of(pod).as_str(), "link log", make).await
    }

    async fn remove_log(&self, pod: &Pod, container: &str, id: &ContainerId, attempt: u32) -> io::Result<()> {
        let (link, dir) = (self.link(pod, container, id)?, self.logs_of(pod)?.join(plain(container)?));
        self.lanes.io(uid_of(pod).as_str(), "remove log", move || remove_log(&link, &dir, attempt)).await
    }

    async fn highest_log(&self, pod: &Pod, container: &str) -> Option<u32> {
        let dir = self.logs_of(pod).ok()?.join(plain(container).ok()?);
        self.lanes.run(uid_of(pod).as_str(), "list logs", move || highest_log(&dir)).await.ok()?
    }

    async fn keep_status(&self, uid: &PodUid, status: &PodStatus) -> io::Result<()> {
        let (dir, content) = (self.pod_dir(uid)?, serde_json::to_vec(status)?);
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let keep = move || {
            if !dir.exists() {
                return Ok(());
            }
            write_if_changed(&dir.join(STATUS), &content, 0o600).map(drop)
        };
        self.lanes.io(uid.as_str(), "keep status", keep).await
    }

    async fn kept_status(&self, uid: &PodUid) -> Option<PodStatus> {
        let path = self.pod_dir(uid).ok()?.join(STATUS);
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let read = move || fs::read_to_string(path);
        let text = self.lanes.io(uid.as_str(), "read status", read).await.ok()?;
        serde_json::from_str(&text).ok()
    }

    async fn note_refusal(&self, key: &PodKey, why: Option<&str>) -> io::Result<()> {
        let file = refusal_file(&self.root_dir, key);
        plain(&format!("{}_{}", key.namespace, key.name))?;
        let why = why.map(str::to_owned);
        #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
        let note = move || match (why, file.parent()) {
            (Some(why), Some(folder)) => {
                fs::create_dir_all(folder)?;
                write_if_changed(&file, why.as_bytes(), 0o600).map(drop)
            }
            _ => super::ignore_missing(fs::remove_file(file)),
        };
        self.lanes.io(format!("{key}"), "note refusal", note).await
    }

    async fn remove_logs(&self, pod: &Pod) -> io::Result<()> {
        let (logs, key, links_dir) = (self.logs_of(pod)?, key_of(pod), self.links_dir.clone());
        let of_pod = format!("{}_{}_", key.name, key.namespace);
        self.lanes.io(uid_of(pod).as_str(), "remove logs", move || remove_logs(&links_dir, &of_pod, &logs)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "p", "namespace": "ns", "uid": uid}})).unwrap()
    }

    #[tokio::test]
    async fn files_are_where_upstream_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let files = local(dir.path());
        let pod = pod("u1");
        files.make_pod_dirs(&pod).await.unwrap();
        files.make_log_dir(&pod, "c").await.unwrap();
        fs::write(dir.path().join("logs/ns_p_u1/c/3.log"), "").unwrap();
        fs::write(dir.path().join("logs/ns_p_u1/c/1.log.20200101"), "").unwrap();
        assert_eq!(files.highest_log(&pod, "c").await, Some(3));
        let hosts = files.write_hosts(&uid_of(&pod), "a\n").await.unwrap();
        assert_eq!(hosts, dir.path().join("k/pods/u1/etc-hosts"));
        let message = files.new_termination_file(&uid_of(&pod), "c").await.unwrap();
        assert!(message.starts_with(dir.path().join("k/pods/u1/containers/c")));
        fs::write(&message, "x".repeat(10)).unwrap();
        let text = message.to_str().unwrap();
        assert_eq!(files.read_termination_file(text, 4).await.unwrap(), "xxxx");
        let status = PodStatus { phase: Some("Running".into()), ..PodStatus::default() };
        files.keep_status(&uid_of(&pod), &status).await.unwrap();
        assert_eq!(files.kept_status(&uid_of(&pod)).await, Some(status.clone()));
        files.keep_status(&PodUid::from("gone"), &status).await.unwrap();
        assert_eq!(files.kept_status(&PodUid::from("gone")).await, None, "no directory is made for it");
        let (key, note) = (key_of(&pod), refusal_file(&files.root_dir, &key_of(&pod)));
        for _ in 0..2 {
            files.note_refusal(&key, Some("OutOfcpu: no room")).await.unwrap();
            assert_eq!(fs::read_to_string(&note).unwrap(), "OutOfcpu: no room");
        }
        files.note_refusal(&key, None).await.unwrap();
        files.note_refusal(&key, None).await.unwrap();
        assert!(!note.exists());
        files.note_refusal(&PodKey::new("../x", "p"), Some("no")).await.unwrap_err();
        fs::create_dir(dir.path().join("logs/not-a-pod_u2")).unwrap();
        assert_eq!(files.logged_pods().await, [(PodKey::new("ns", "p"), PodUid::from("u1"))]);
        files.remove_logs(&pod).await.unwrap();
        assert!(!dir.path().join("logs/ns_p_u1").exists());
    }

    fn local(dir: &Path) -> LocalPodFiles {
        LocalPodFiles::new(&dir.join("k"), &dir.join("logs"), &dir.join("links"))
    }

    #[tokio::test]
    async fn logs_are_linked_and_go_with_their_records_except_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let (files, pod, logs) = (local(dir.path()), pod("u1"), dir.path().join("logs/ns_p_u1/c"));
        files.make_log_dir(&pod, "c").await.unwrap();
        let names = ["0.log", "0.log.20200101-000000.gz", "1.log", "10.log"];
        for name in names {
            fs::write(logs.join(name), name).unwrap();
        }
        let id = |n: u32| ContainerId::from(format!("id{n}"));
        for n in [0, 1, 10, 10] {
            files.link_log(&pod, "c", &id(n), n).await.unwrap();
        }
        assert_eq!(fs::read_to_string(dir.path().join("links/p_ns_c-id1.log")).unwrap(), "1.log");
        for n in [0, 10] {
            files.remove_log(&pod, "c", &id(n), n).await.unwrap();
        }
        let list = |dir: &Path| {
            let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            names.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(list(&logs), ["1.log", "10.log"]);
        assert_eq!(list(&dir.path().join("links")), ["p_ns_c-id1.log"]);
        files.remove_logs(&pod).await.unwrap();
        assert_eq!(list(&dir.path().join("links")), [""; 0]);
    }

    #[tokio::test]
    async fn paths_cannot_lead_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let files = LocalPodFiles::new(dir.path(), dir.path(), dir.path());
        assert!(files.make_pod_dirs(&pod("..")).await.is_err());
        assert!(files.new_termination_file(&PodUid::from("u"), "../c").await.is_err());
        assert!(files.read_termination_file("/etc/passwd", 4).await.is_err());
        let link = dir.path().join("pods/l");
        fs::create_dir(dir.path().join("pods")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(files.read_termination_file(link.to_str().unwrap(), 4).await.is_err());
    }

    #[tokio::test]
    async fn a_termination_file_that_was_recorded_by_a_link_to_the_directory_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join("real");
        fs::create_dir_all(root.join("pods/u/containers/c")).unwrap();
        fs::write(root.join("pods/u/containers/c/1"), "bye").unwrap();
        std::os::unix::fs::symlink(&root, dir.path().join("link")).unwrap();
        let files = LocalPodFiles::new(&root, dir.path(), dir.path());
        let recorded = dir.path().join("link/pods/u/containers/c/1");
        assert_eq!(files.read_termination_file(recorded.to_str().unwrap(), 9).await.unwrap(), "bye");
    }
}
