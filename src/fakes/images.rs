//! Images, records and node credentials in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::cri;
use crate::ports::kubelet::{DockerFile, NodeCredentials, PluginCall, PullRecords, RecordKind};
use crate::ports::node::{ImageService, RuntimeError};

#[derive(Debug, Default)]
struct Registry {
    present: BTreeMap<String, cri::Image>,
    /// The passwords that give access to each image; an empty list allows everybody.
    published: BTreeMap<String, Vec<String>>,
    calls: Vec<String>,
    delay: Duration,
    fs: Option<(u64, u64)>,
}

/// A registry and a node's images. A pull takes the time that the test sets.
#[derive(Debug, Default)]
pub struct FakeImages(Mutex<Registry>);

impl FakeImages {
    fn state(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an image to the node.
    pub fn add(&self, name: &str, image: cri::Image) {
        self.state().present.insert(name.into(), image);
    }

    /// Publishes an image in the registry, for those with one of the passwords, or for everybody.
    pub fn publish(&self, name: &str, passwords: &[&str]) {
        self.state().published.insert(name.into(), passwords.iter().map(|p| (*p).to_owned()).collect());
    }

    pub fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Sets the usage of the image file system.
    pub fn set_fs(&self, used: u64, inodes_used: u64) {
        self.state().fs = Some((used, inodes_used));
    }

    /// Names of the images on the node.
    pub fn present(&self) -> Vec<String> {
        self.state().present.keys().cloned().collect()
    }

    /// Returns and clears the calls so far.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }
}

#[async_trait]
impl ImageService for FakeImages {
    async fn image_status(&self, image: &cri::ImageSpec) -> Result<Option<cri::Image>, RuntimeError> {
        let mut state = self.state();
        state.calls.push(format!("status {}", image.image));
        let by_id = || state.present.values().find(|i| i.id == image.image);
        Ok(state.present.get(&image.image).or_else(by_id).cloned())
    }

    async fn pull_image(
        &self,
        image: &cri::ImageSpec,
        auth: Option<cri::AuthConfig>,
        _: Option<cri::PodSandboxConfig>,
    ) -> Result<String, RuntimeError> {
        let delay = self.state().delay;
        tokio::time::sleep(delay).await;
        let mut state = self.state();
        let user = auth.as_ref().map(|a| a.username.clone()).unwrap_or_default();
        state.calls.push(format!("pull {} {user}", image.image));
        let refused = |message: &str| RuntimeError::Other { call: "PullImage", message: message.into() };
        let passwords = state.published.get(&image.image).ok_or_else(|| refused("not found"))?;
        if !passwords.is_empty() && !auth.is_some_and(|a| passwords.contains(&a.password)) {
            return Err(refused("denied"));
        }
        let id = format!("sha256:{}", image.image);
        state.present.insert(image.image.clone(), cri::Image { id: id.clone(), size: 42, ..cri::Image::default() });
        Ok(id)
    }

    async fn remove_image(&self, image: &cri::ImageSpec) -> Result<(), RuntimeError> {
        let mut state = self.state();
        state.calls.push(format!("remove {}", image.image));
        state.present.retain(|_, i| i.id != image.image);
        Ok(())
    }

    async fn list_images(&self) -> Result<Vec<cri::Image>, RuntimeError> {
        Ok(self.state().present.values().cloned().collect())
    }

    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse, RuntimeError> {
        let Some((used, inodes)) = self.state().fs else { return Ok(cri::ImageFsInfoResponse::default()) };
        let usage = cri::FilesystemUsage {
            used_bytes: Some(cri::UInt64Value { value: used }),
            inodes_used: Some(cri::UInt64Value { value: inodes }),
            ..cri::FilesystemUsage::default()
        };
        Ok(cri::ImageFsInfoResponse { image_filesystems: vec![usage], ..cri::ImageFsInfoResponse::default() })
    }
}

/// Records, in a map.
#[derive(Debug, Default)]
pub struct FakeRecords(Mutex<BTreeMap<(bool, String), Vec<u8>>>);

impl FakeRecords {
    fn state(&self) -> MutexGuard<'_, BTreeMap<(bool, String), Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(kind: RecordKind, name: &str) -> (bool, String) {
    (kind == RecordKind::Pulled, name.to_owned())
}

#[async_trait]
impl PullRecords for FakeRecords {
    async fn read(&self, kind: RecordKind, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().get(&key(kind, name)).cloned())
    }
    async fn list(&self, kind: RecordKind) -> io::Result<Vec<(String, Vec<u8>)>> {
        let pulled = kind == RecordKind::Pulled;
        Ok(self.state().iter().filter(|((k, _), _)| *k == pulled).map(|((_, n), c)| (n.clone(), c.clone())).collect())
    }
    async fn write(&self, kind: RecordKind, name: &str, content: Vec<u8>) -> io::Result<()> {
        self.state().insert(key(kind, name), content);
        Ok(())
    }
    async fn remove(&self, kind: RecordKind, name: &str) -> io::Result<()> {
        self.state().remove(&key(kind, name));
        Ok(())
    }
}

/// A node with one docker configuration and one plugin.
#[derive(Default)]
pub struct FakeNodeCredentials {
    pub config: Option<String>,
    /// The answer of every plugin.
    pub plugin: Option<String>,
    /// Number of plugin executions.
    pub plugin_calls: Mutex<u32>,
    /// Input of the last plugin execution.
    pub plugin_input: Mutex<Vec<u8>>,
}

#[async_trait]
impl NodeCredentials for FakeNodeCredentials {
    async fn docker_file(&self) -> Option<DockerFile> {
        self.config.as_ref().map(|text| DockerFile::Config(text.clone().into_bytes()))
    }
    async fn run_plugin(&self, call: PluginCall) -> Result<Vec<u8>, String> {
        *self.plugin_input.lock().unwrap_or_else(PoisonError::into_inner) = call.input;
        *self.plugin_calls.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.plugin.clone().map(String::into_bytes).ok_or_else(|| "no plugin".into())
    }
}
