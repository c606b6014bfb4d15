//! The ports to the disk and the cgroup tree.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::gate::Life;
use super::state::State;
use crate::core::model::{ContainerId, MountedVolume, PodKey, PodUid, key_of, uid_of};
use crate::ports::kubelet::{CgroupError, Cgroups, NameFiles, PodCgroup, PodFiles, VolumeError, Volumes};

/// Nothing may be removed while a container uses it.
fn judge(state: &mut State, uid: &PodUid, what: &str) {
    let running = state.running().find(|c| c.uid() == uid.as_str()).map(|c| c.name().to_owned());
    state.sins.extend(running.map(|name| format!("{what} of the pod went while {name} ran")));
}

fn uids(set: &BTreeSet<String>) -> Vec<PodUid> {
    set.iter().map(PodUid::from).collect()
}

#[async_trait]
impl PodFiles for Life {
    async fn make_pod_dirs(&self, pod: &Pod) -> io::Result<()> {
        self.alive().await;
        let (uid, disk) = (uid_of(pod).to_string(), &mut self.host.state().disk);
        disk.dirs.insert(uid.clone());
        disk.logs.entry(uid).or_default().key = Some(key_of(pod));
        Ok(())
    }
    async fn make_log_dir(&self, _: &Pod, _: &str) -> io::Result<()> {
        self.alive().await;
        Ok(())
    }
    async fn write_hosts(&self, uid: &PodUid, _: &str) -> io::Result<PathBuf> {
        self.alive().await;
        Ok(PathBuf::from(format!("/pods/{uid}/etc-hosts")))
    }
    async fn new_termination_file(&self, uid: &PodUid, container: &str) -> io::Result<PathBuf> {
        self.alive().await;
        Ok(PathBuf::from(format!("/pods/{uid}/{container}")))
    }
    async fn read_termination_file(&self, _: &str, _: usize) -> io::Result<String> {
        self.alive().await;
        Ok(String::new())
    }
    async fn read_log_tail(&self, _: &str, _: u64) -> io::Result<Vec<u8>> {
        self.alive().await;
        Ok(Vec::new())
    }
    async fn link_log(&self, _: &Pod, _: &str, _: &ContainerId, _: u32) -> io::Result<()> {
        self.alive().await;
        Ok(())
    }
    async fn remove_log(&self, pod: &Pod, container: &str, _: &ContainerId, attempt: u32) -> io::Result<()> {
        self.alive().await;
        let mut state = self.host.state();
        let logs = state.disk.logs.get_mut(uid_of(pod).as_str()).and_then(|logs| logs.files.get_mut(container));
        if let Some(files) = logs.filter(|files| files.last().is_some_and(|highest| *highest > attempt)) {
            files.remove(&attempt);
        }
        Ok(())
    }
    async fn highest_log(&self, pod: &Pod, container: &str) -> Option<u32> {
        self.alive().await;
        self.host.state().disk.logs.get(uid_of(pod).as_str())?.files.get(container)?.last().copied()
    }
    async fn keep_status(&self, uid: &PodUid, status: &PodStatus) -> io::Result<()> {
        self.alive().await;
        let disk = &mut self.host.state().disk;
        if disk.dirs.contains(uid.as_str()) {
            disk.statuses.insert(uid.to_string(), status.clone());
        }
        Ok(())
    }
    async fn kept_status(&self, uid: &PodUid) -> Option<PodStatus> {
        self.alive().await;
        self.host.state().disk.statuses.get(uid.as_str()).cloned()
    }
    async fn note_refusal(&self, key: &PodKey, why: Option<&str>) -> io::Result<()> {
        self.alive().await;
        let refusals = &mut self.host.state().disk.refusals;
        match why {
            Some(why) => _ = refusals.insert(key.to_string(), why.to_owned()),
            None => _ = refusals.remove(&key.to_string()),
        }
        Ok(())
    }
    async fn logged_pods(&self) -> Vec<(PodKey, PodUid)> {
        self.alive().await;
        let state = self.host.state();
        state.disk.logs.iter().filter_map(|(uid, logs)| Some((logs.key.clone()?, PodUid::from(uid)))).collect()
    }
    async fn remove_logs(&self, pod: &Pod) -> io::Result<()> {
        self.alive().await;
        self.host.state().disk.logs.remove(uid_of(pod).as_str());
        Ok(())
    }
}

#[async_trait]
impl Volumes for Life {
    async fn set_up(&self, pod: &Pod) -> Result<BTreeMap<String, MountedVolume>, Vec<VolumeError>> {
        self.alive().await;
        self.host.state().disk.volumes.insert(uid_of(pod).to_string());
        if self.host.state().disk.is_full {
            let message = "the node is full".to_owned();
            return Err(vec![VolumeError { volume: "data".into(), message, transient: true, attach_limit: true }]);
        }
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        Ok(volumes.map(|volume| (volume.name.clone(), MountedVolume::default())).collect())
    }
    async fn refresh(&self, _: &Pod) -> Result<(), Vec<VolumeError>> {
        self.alive().await;
        Ok(())
    }
    async fn sub_path(
        &self,
        _: &Pod,
        _: &str,
        _: usize,
        volume: &MountedVolume,
        _: &str,
        _: &str,
    ) -> Result<PathBuf, VolumeError> {
        self.alive().await;
        Ok(volume.path.clone())
    }
    async fn read_file(&self, _: &MountedVolume, _: &str, _: &str) -> Result<Vec<u8>, VolumeError> {
        self.alive().await;
        Ok(Vec::new())
    }
    async fn tear_down(&self, uid: &PodUid) -> Result<bool, Vec<VolumeError>> {
        self.alive().await;
        let mut state = self.host.state();
        judge(&mut state, uid, "the volumes");
        if let Some((why, tried)) = &mut state.stuck_volumes {
            *tried += 1;
            return Err(vec![VolumeError {
                volume: String::new(),
                message: why.clone(),
                transient: true,
                attach_limit: false,
            }]);
        }
        state.disk.volumes.remove(uid.as_str());
        state.disk.dirs.remove(uid.as_str());
        state.disk.statuses.remove(uid.as_str());
        Ok(true)
    }
    async fn known_pods(&self) -> Vec<PodUid> {
        self.alive().await;
        uids(&self.host.state().disk.dirs)
    }
}

#[async_trait]
impl NameFiles for Life {
    async fn resolv_conf(&self) -> io::Result<Option<String>> {
        self.alive().await;
        let state = self.host.state();
        match state.disk.lacks_resolv_conf {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "open /etc/resolv.conf: No such file or directory")),
            false => Ok(Some(state.disk.resolv_conf.clone())),
        }
    }
    async fn hosts(&self) -> io::Result<String> {
        self.alive().await;
        Ok("127.0.0.1 node\n".into())
    }
}

#[async_trait]
impl Cgroups for Life {
    async fn ensure(&self, pod: &Pod) -> Result<PodCgroup, CgroupError> {
        self.alive().await;
        let uid = uid_of(pod).to_string();
        self.host.state().disk.cgroups.insert(uid.clone());
        Ok(PodCgroup { parent: format!("kubepods-pod{uid}.slice") })
    }
    async fn exists(&self, pod: &Pod) -> bool {
        self.alive().await;
        self.host.state().disk.cgroups.contains(uid_of(pod).as_str())
    }
    async fn remove(&self, uid: &PodUid) -> Result<(), CgroupError> {
        self.alive().await;
        let mut state = self.host.state();
        judge(&mut state, uid, "the cgroup");
        state.disk.cgroups.remove(uid.as_str());
        Ok(())
    }
    async fn weigh(&self, pods: &[Arc<Pod>], all: bool) {
        self.alive().await;
        let pods = pods.iter().map(|pod| uid_of(pod).to_string()).collect();
        self.host.state().disk.weighed = Some((pods, all));
    }
    async fn known_pods(&self) -> Vec<PodUid> {
        self.alive().await;
        uids(&self.host.state().disk.cgroups)
    }
}
