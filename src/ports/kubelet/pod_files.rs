//! The small files of a pod on the node: logs, hosts file, termination messages.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::core::model::{ContainerId, PodKey, PodUid};

/// Creates and reads files at the paths listed in docs/contract.md, kubelet 0.
#[async_trait]
pub trait PodFiles: Send + Sync {
    /// Creates the pod's directory and its log directory; idempotent.
    async fn make_pod_dirs(&self, pod: &Pod) -> io::Result<()>;
    /// Creates the log directory of one container; idempotent.
    async fn make_log_dir(&self, pod: &Pod, container: &str) -> io::Result<()>;
    /// Writes `pods/<uid>/etc-hosts` (0644) and returns its path.
    async fn write_hosts(&self, uid: &PodUid, content: &str) -> io::Result<PathBuf>;
    /// Creates a new, empty termination-message file (0666) for a container and returns its path.
    async fn new_termination_file(&self, uid: &PodUid, container: &str) -> io::Result<PathBuf>;
    /// The first `limit` bytes of a termination-message file; empty if it does not exist.
    async fn read_termination_file(&self, path: &str, limit: usize) -> io::Result<String>;
    /// The last `limit` bytes of a container's log file below the log directory, unchanged.
    async fn read_log_tail(&self, path: &str, limit: u64) -> io::Result<Vec<u8>>;
    /// Creates a link to a running container's log where cluster-wide log collectors expect it (`/var/log/containers`).
    async fn link_log(&self, pod: &Pod, container: &str, id: &ContainerId, attempt: u32) -> io::Result<()>;
    /// Removes the log of a container whose record is removed, with its rotated parts and its link. The newest log of a
    /// container is kept: its number is the restart count.
    async fn remove_log(&self, pod: &Pod, container: &str, id: &ContainerId, attempt: u32) -> io::Result<()>;
    /// Highest `N` of the container's `<N>.log` files, for a restart count of which the runtime has no record.
    async fn highest_log(&self, pod: &Pod, container: &str) -> Option<u32>;
    /// Stores the status of a pod across a restart, because no API server has it; no effect if the pod has no
    /// directory.
    async fn keep_status(&self, uid: &PodUid, status: &PodStatus) -> io::Result<()>;
    /// The stored status; `None` if there is none.
    async fn kept_status(&self, uid: &PodUid) -> Option<PodStatus>;
    /// Stores why the node rejects a static pod (see `core::model::refusal_file`); `None` if it no longer does.
    async fn note_refusal(&self, key: &PodKey, why: Option<&str>) -> io::Result<()>;
    /// The pods that have a log directory.
    async fn logged_pods(&self) -> Vec<(PodKey, PodUid)>;
    /// Removes the pod's log directory, and links into it.
    async fn remove_logs(&self, pod: &Pod) -> io::Result<()>;
}
