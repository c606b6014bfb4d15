//! A node in memory: files, units, images and an API that exists once the kubelet runs. Tests can make it fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::core::bootstrap::services::USERS;
use crate::core::bootstrap::step::covers;
use crate::core::model::labels::POD_NAMESPACE;
use crate::cri;
use crate::ports::bootstrap::{
    Applied, ClusterObjects, ClusterObjectsError, FileError, FileInfo, ImageStore, ImageStoreError, NodeFiles,
    ObjectRef, Owner, Reachability, UnitState, Units,
};
use crate::ports::node::{ImageService, RuntimeError, UnitError};

const ROOT: Owner = Owner { user: 0, group: 0 };
const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nroost-etcd:x:998:997::/:/usr/sbin/nologin\n";

#[derive(Default)]
pub struct FakeNode {
    state: Mutex<State>,
    /// Number of changes that succeed; the next one fails once.
    changes_left: AtomicUsize,
}

#[derive(Clone, Default)]
struct State {
    /// Mode, content (`None` for a folder) and modification time.
    files: BTreeMap<PathBuf, (u32, Option<String>, SystemTime)>,
    /// Owners of files that are not root's.
    owners: BTreeMap<PathBuf, Owner>,
    units: BTreeMap<String, UnitState>,
    images: BTreeSet<String>,
    pinned: BTreeSet<String>,
    objects: BTreeMap<ObjectRef, Value>,
    /// Groups of whoever sends requests.
    groups: Vec<String>,
    ticks: u64,
}

impl FakeNode {
    /// Sets the groups that the API server sees whoever sends requests in.
    pub fn set_groups(&self, groups: &[&str]) {
        self.state().groups = groups.iter().map(|group| (*group).to_owned()).collect();
    }

    /// An empty node with a container runtime.
    pub fn new() -> Arc<Self> {
        let node = Self { changes_left: AtomicUsize::new(usize::MAX), ..Self::default() };
        node.state()
            .units
            .insert("containerd.service".to_owned(), UnitState { load: "loaded".to_owned(), ..UnitState::default() });
        Arc::new(node)
    }

    /// Another node in the same state.
    pub fn copy(&self) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(self.state().clone()), changes_left: AtomicUsize::new(usize::MAX) })
    }

    /// Lets this many changes succeed; the one after them fails, and later ones succeed again.
    pub fn fail_after(&self, changes: usize) {
        self.changes_left.store(changes, Ordering::SeqCst);
    }

    /// True until the requested failure has happened.
    pub fn failure_is_ahead(&self) -> bool {
        self.changes_left.load(Ordering::SeqCst) != usize::MAX
    }

    /// The text of a file.
    pub fn file(&self, path: &str) -> Option<String> {
        self.state().files.get(Path::new(path)).and_then(|(_, text, _)| text.clone())
    }

    /// Sandboxes of its static pods: of the manifests that a running kubelet reads.
    pub fn sandboxes(&self) -> Vec<cri::PodSandbox> {
        let state = self.state();
        let folder = Path::new("/etc/kubernetes/manifests");
        let runs = state.units.get("kubelet.service").is_some_and(UnitState::is_active);
        let names = state.files.keys().filter(|file| runs && file.parent() == Some(folder));
        let sandbox = |file: &PathBuf| {
            let component = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let labels = [("component", component.as_str()), (POD_NAMESPACE, "kube-system")];
            cri::PodSandbox {
                id: component.clone(),
                labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                ..cri::PodSandbox::default()
            }
        };
        names.map(sandbox).collect()
    }

    /// Adds a unit that the system declares and enables.
    pub fn declare(&self, unit: &str) {
        let state = UnitState { load: "loaded".to_owned(), file: "enabled".to_owned(), ..UnitState::default() };
        self.state().units.insert(unit.to_owned(), state);
    }

    /// All files below a folder.
    pub fn files_below(&self, folder: &str) -> Vec<PathBuf> {
        self.state().files.keys().filter(|file| file.starts_with(folder)).cloned().collect()
    }

    pub fn active_units(&self) -> Vec<String> {
        self.state().units.iter().filter(|(_, state)| state.is_active()).map(|(unit, _)| unit.clone()).collect()
    }

    /// The names of all objects.
    pub fn objects(&self) -> Vec<String> {
        self.state().objects.keys().map(ToString::to_string).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_change(&self) -> bool {
        let left = self.changes_left.load(Ordering::SeqCst);
        if left == usize::MAX {
            return true;
        }
        self.changes_left.store(left.checked_sub(1).unwrap_or(usize::MAX), Ordering::SeqCst);
        left > 0
    }

    fn may_write(&self, path: &Path) -> Result<(), FileError> {
        if self.may_change() {
            return Ok(());
        }
        Err(FileError { verb: "write", path: path.to_owned(), source: io::Error::other("injected") })
    }

    fn may_act(&self, unit: &str) -> Result<(), UnitError> {
        if self.may_change() {
            return Ok(());
        }
        Err(UnitError::Refused { unit: unit.to_owned(), message: "injected".to_owned() })
    }
}

impl State {
    fn now(&mut self) -> SystemTime {
        self.ticks += 1;
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.ticks)
    }
}

impl NodeFiles for FakeNode {
    fn info(&self, path: &Path) -> Result<Option<FileInfo>, FileError> {
        let state = self.state();
        // The runtime's socket exists while the runtime is running.
        if path.ends_with("containerd.sock") && state.units.get("containerd.service").is_some_and(UnitState::is_active)
        {
            return Ok(Some(FileInfo { is_dir: false, mode: 0o660, owner: ROOT, modified: SystemTime::UNIX_EPOCH }));
        }
        let owner = state.owners.get(path).copied().unwrap_or(ROOT);
        let found = state.files.get(path);
        Ok(found.map(|(mode, text, modified)| FileInfo {
            is_dir: text.is_none(),
            mode: *mode,
            owner,
            modified: *modified,
        }))
    }

    fn read(&self, path: &Path) -> Result<Option<String>, FileError> {
        Ok(self.state().files.get(path).and_then(|(_, text, _)| text.clone()))
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, FileError> {
        Ok(self.state().files.keys().filter(|file| file.parent() == Some(path)).cloned().collect())
    }

    fn ensure_dir(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.may_write(path)?;
        let mut state = self.state();
        let now = state.now();
        state.files.insert(path.to_owned(), (mode, None, now));
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
        self.may_write(path)?;
        let mut state = self.state();
        let now = state.now();
        state.files.insert(path.to_owned(), (mode, Some(String::from_utf8_lossy(content).into_owned()), now));
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), FileError> {
        self.may_write(path)?;
        self.state().files.remove(path);
        Ok(())
    }

    fn empty_dir(&self, path: &Path) -> Result<(), FileError> {
        self.may_write(path)?;
        self.state().files.retain(|file, _| file == path || !file.starts_with(path));
        Ok(())
    }

    fn belongs_to(&self, path: &Path, owner: Owner) -> Result<bool, FileError> {
        let state = self.state();
        let mut tree = state.files.keys().filter(|file| file.starts_with(path));
        Ok(tree.all(|file| state.owners.get(file).copied().unwrap_or(ROOT) == owner))
    }

    fn give_to(&self, path: &Path, owner: Owner) -> Result<(), FileError> {
        self.may_write(path)?;
        let mut state = self.state();
        let tree: Vec<PathBuf> = state.files.keys().filter(|file| file.starts_with(path)).cloned().collect();
        state.owners.extend(tree.into_iter().map(|file| (file, owner)));
        Ok(())
    }
}

#[async_trait]
impl Units for FakeNode {
    async fn state(&self, unit: &str) -> Result<UnitState, UnitError> {
        let state = self.state();
        let missing = || UnitState { load: "not-found".to_owned(), ..UnitState::default() };
        if unit.contains("@.") {
            let message = "a template is missing the instance name".to_owned();
            return Err(UnitError::Refused { unit: unit.to_owned(), message });
        }
        let template = unit.split_once('@').map(|(name, _)| format!("{name}@.service"));
        let found = state.units.get(unit).or_else(|| state.units.get(&template?));
        Ok(found.cloned().unwrap_or_else(missing))
    }

    async fn start(&self, unit: &str) -> Result<(), UnitError> {
        self.restart(unit).await
    }

    async fn start_no_wait(&self, unit: &str) -> Result<(), UnitError> {
        self.restart(unit).await
    }

    async fn stop(&self, unit: &str) -> Result<(), UnitError> {
        self.may_act(unit)?;
        self.state().units.entry(unit.to_owned()).or_default().active = "inactive".to_owned();
        Ok(())
    }

    async fn restart(&self, unit: &str) -> Result<(), UnitError> {
        self.may_act(unit)?;
        let mut state = self.state();
        let now = state.now();
        let entry = state.units.entry(unit.to_owned()).or_default();
        entry.load = "loaded".to_owned();
        entry.active = "active".to_owned();
        entry.active_since = Some(now);
        entry.begun_at = Some(now);
        if unit == USERS {
            state.files.insert("/etc/passwd".into(), (0o644, Some(PASSWD.to_owned()), now));
        }
        Ok(())
    }

    async fn restart_no_wait(&self, unit: &str) -> Result<(), UnitError> {
        self.restart(unit).await
    }

    async fn enable(&self, unit: &str) -> Result<(), UnitError> {
        self.may_act(unit)?;
        self.state().units.entry(unit.to_owned()).or_default().file = "enabled".to_owned();
        Ok(())
    }

    async fn disable(&self, unit: &str) -> Result<(), UnitError> {
        self.may_act(unit)?;
        self.state().units.entry(unit.to_owned()).or_default().file = "disabled".to_owned();
        Ok(())
    }

    async fn reload(&self) -> Result<(), UnitError> {
        Ok(())
    }
}

#[async_trait]
impl ImageStore for FakeNode {
    async fn names(&self) -> Result<Vec<String>, ImageStoreError> {
        Ok(self.state().images.iter().cloned().collect())
    }

    async fn import(&self, _archive: &Path) -> Result<Vec<String>, ImageStoreError> {
        Ok(Vec::new())
    }

    async fn make_scratch(&self, name: &str) -> Result<(), ImageStoreError> {
        self.state().images.insert(name.to_owned());
        Ok(())
    }

    async fn make_single(&self, name: &str, _program: &Path) -> Result<(), ImageStoreError> {
        self.make_scratch(name).await
    }

    async fn pin(&self, name: &str) -> Result<bool, ImageStoreError> {
        Ok(self.state().pinned.insert(name.to_owned()))
    }
}

#[async_trait]
impl ImageService for FakeNode {
    async fn image_status(&self, _image: &cri::ImageSpec) -> Result<Option<cri::Image>, RuntimeError> {
        Ok(None)
    }

    async fn pull_image(
        &self,
        image: &cri::ImageSpec,
        _auth: Option<cri::AuthConfig>,
        _sandbox: Option<cri::PodSandboxConfig>,
    ) -> Result<String, RuntimeError> {
        self.state().images.insert(image.image.clone());
        Ok(image.image.clone())
    }

    async fn remove_image(&self, _image: &cri::ImageSpec) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn list_images(&self) -> Result<Vec<cri::Image>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse, RuntimeError> {
        Ok(cri::ImageFsInfoResponse::default())
    }
}

/// The API of a node: its objects are those of the node.
struct FakeApi(Arc<FakeNode>);

#[async_trait]
impl ClusterObjects for FakeApi {
    async fn apply(&self, object: &Value) -> Result<Applied, ClusterObjectsError> {
        let name = ObjectRef::of(object).ok_or(ClusterObjectsError::NoObject)?;
        if !self.0.may_change() {
            return Err(ClusterObjectsError::Refused {
                verb: "apply",
                object: name,
                code: 422,
                message: "injected".to_owned(),
            });
        }
        let mut state = self.0.state();
        let known = state.objects.contains_key(&name);
        let seen = state.objects.entry(name).or_insert_with(|| json!({}));
        if known && covers(seen, object) {
            return Ok(Applied::Unchanged);
        }
        // Fields set by others are kept.
        merge(seen, object);
        Ok(Applied::Changed)
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterObjectsError> {
        Ok(self.0.state().objects.get(object).cloned())
    }

    async fn list(&self, kind: &ObjectRef, _field_selector: &str) -> Result<Vec<Value>, ClusterObjectsError> {
        let same = |name: &ObjectRef| (&name.kind, &name.namespace) == (&kind.kind, &kind.namespace);
        let state = self.0.state();
        Ok(state.objects.iter().filter(|(name, _)| same(name)).map(|(_, object)| object.clone()).collect())
    }

    async fn create(&self, object: &Value) -> Result<(), ClusterObjectsError> {
        let name = ObjectRef::of(object).ok_or(ClusterObjectsError::NoObject)?;
        if self.0.state().objects.contains_key(&name) {
            let message = "already exists".to_owned();
            return Err(ClusterObjectsError::Refused { verb: "create", object: name, code: 409, message });
        }
        self.apply(object).await.map(drop)
    }

    async fn own_groups(&self) -> Result<Vec<String>, ClusterObjectsError> {
        Ok(self.0.state().groups.clone())
    }

    async fn merge_patch(&self, object: &ObjectRef, patch: &Value) -> Result<(), ClusterObjectsError> {
        let mut state = self.0.state();
        let target = state.objects.entry(object.clone()).or_default();
        merge(target, patch);
        Ok(())
    }

    async fn delete(&self, object: &ObjectRef) -> Result<bool, ClusterObjectsError> {
        Ok(self.0.state().objects.remove(object).is_some())
    }
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                if change.is_null() {
                    fields.remove(name);
                    continue;
                }
                merge(fields.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// Connects to the node's API once its kubelet runs; the node is then registered and Ready.
pub struct FakeReachability(pub Arc<FakeNode>);

#[async_trait]
impl Reachability for FakeReachability {
    async fn answers(&self, _url: &str, _ca: Option<&str>) -> bool {
        let mut state = self.0.state();
        let runs = state.units.get("kubelet.service").is_some_and(UnitState::is_active);
        if runs {
            let node = json!({
                "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            });
            state.objects.entry(ObjectRef::new("v1", "Node", None, "n1")).or_insert(node);
        }
        runs
    }

    async fn connect(
        &self,
        _kubeconfig: &Path,
    ) -> Result<Arc<dyn ClusterObjects>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Arc::new(FakeApi(self.0.clone())))
    }
}
