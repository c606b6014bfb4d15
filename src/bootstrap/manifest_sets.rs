//! Switches the node to a manifest set, judges it by readiness, and rolls back to the last good set if it fails.
//!
//! Under `/var/lib/roost/manifest-sets/NAME` are the last good set (`good`), the set before it (`previous`), the file
//! names of an unfinished switch (`switching`) and the result of the last switch (`result.json`). The next switch
//! continues an interrupted one: the files in `switching` and `good` belong to the set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::core::manifest::switch::{Change, SetFiles, SetPod, check_set, plan_switch};
use crate::core::model::time::Moment;
use crate::core::model::{ReadFile, is_manifest_name};
use crate::core::static_units::PodState;
use crate::ports::bootstrap::{FileError, NodeFiles, StaticPodStates};

/// Folder of all sets.
pub const SETS: &str = "/var/lib/roost/manifest-sets";
/// Interval between two checks of pods that are not Ready.
const PAUSE: Duration = Duration::from_millis(300);

/// Why a set does not run.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// A file could not be read or written.
    #[error("manifest set")]
    File(#[from] FileError),
    /// The set was rejected as a whole; nothing was changed.
    #[error("manifest set {set} is invalid; nothing was changed:\n{}", faults.join("\n"))]
    Refused {
        /// Name of the set.
        set: String,
        /// One line for each fault.
        faults: Vec<String>,
    },
    /// The set's pods did not become Ready, so the last good set was restored.
    #[error("manifest set {set} was rolled back: {reason}")]
    RolledBack {
        /// Name of the set.
        set: String,
        /// The first pod that failed, and why.
        reason: String,
    },
    /// There is no previous set.
    #[error("manifest set {set} has no previous set to roll back to ({} is empty)", folder.display())]
    NoPrevious {
        /// Name of the set.
        set: String,
        /// Folder where the previous set would be.
        folder: PathBuf,
    },
    /// The folder does not exist.
    #[error("manifest set {set}: folder {} does not exist", folder.display())]
    NoFolder {
        /// Name of the set.
        set: String,
        /// The folder that was given.
        folder: PathBuf,
    },
    /// The kubelet does not report pod states.
    #[error(
        "the kubelet does not report the state of static pods; is kubelet.service running with --static-pod-units?"
    )]
    NoKubelet(#[source] std::io::Error),
}

/// Result of the last switch of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetResult {
    /// `applied`, `refused`, `rolled back` or `switching` (unfinished).
    pub outcome: String,
    /// Why the set was not applied; empty if it was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When the switch ended, or began if it is unfinished.
    pub at: Timestamp,
}

/// What a switch needs.
pub struct SetPorts<'a> {
    /// Reads and writes manifests.
    pub files: &'a dyn NodeFiles,
    /// Reports the state of static pods, as the kubelet sees it.
    pub states: &'a dyn StaticPodStates,
    pub now: fn() -> Timestamp,
    /// Reports progress, one line each.
    pub say: &'a (dyn Fn(&str) + Sync),
}

/// A manifest set of this node.
pub struct ManifestSet {
    /// Name of the set, unique on the node.
    pub name: String,
    /// The folder of static pod manifests, shared by all sets.
    pub folder: PathBuf,
    /// Folder of this set's state.
    pub kept: PathBuf,
    /// Name of the node, which is part of pod names.
    pub node_name: String,
}

impl ManifestSet {
    /// A set of the node whose static pods are in `folder`.
    pub fn new(name: &str, folder: &Path, node_name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            kept: Path::new(SETS).join(name),
            node_name: node_name.to_owned(),
        }
    }

    /// Switches to the set in `source`; returns how many files changed.
    ///
    /// # Errors
    /// See [`SetError`]; after each of them except a failed file operation the last good set runs.
    pub async fn apply(&self, ports: &SetPorts<'_>, source: &Path, within: Duration) -> Result<usize, SetError> {
        self.switch(ports, self.named(ports, source)?, within).await
    }

    /// Reads the set in a folder.
    pub(super) fn named(&self, ports: &SetPorts<'_>, source: &Path) -> Result<SetFiles, SetError> {
        if !ports.files.info(source)?.is_some_and(|info| info.is_dir) {
            return Err(SetError::NoFolder { set: self.name.clone(), folder: source.to_owned() });
        }
        Ok(read_set(ports.files, source)?)
    }

    /// Switches back to the previous set.
    ///
    /// # Errors
    /// See [`SetError`].
    pub async fn roll_back(&self, ports: &SetPorts<'_>, within: Duration) -> Result<usize, SetError> {
        self.switch(ports, self.previous(ports)?, within).await
    }

    /// Reads the previous set.
    pub(super) fn previous(&self, ports: &SetPorts<'_>) -> Result<SetFiles, SetError> {
        let folder = self.kept.join("previous");
        if ports.files.info(&folder)?.is_none() {
            return Err(SetError::NoPrevious { set: self.name.clone(), folder });
        }
        Ok(read_set(ports.files, &folder)?)
    }

    async fn switch(&self, ports: &SetPorts<'_>, next: SetFiles, within: Duration) -> Result<usize, SetError> {
        let good = read_set(ports.files, &self.kept.join("good"))?;
        let cut_short = self.read_switching(ports)?;
        let names: BTreeSet<String> = good.keys().cloned().chain(cut_short.iter().flatten().cloned()).collect();
        let pods = match check_set(&next, &self.others(ports, &names)?, &self.folder, &self.node_name) {
            Ok(pods) => pods,
            Err(faults) => {
                self.record(ports, "refused", &faults.join("; "))?;
                return Err(SetError::Refused { set: self.name.clone(), faults });
            }
        };
        let changes = plan_switch(&self.there(ports, &names)?, &next);
        if changes.is_empty() && next == good && cut_short.is_none() {
            return Ok(0);
        }
        let all: BTreeSet<&String> = names.iter().chain(next.keys()).collect();
        let switching = serde_json::to_vec(&all).unwrap_or_default();
        if let Some(pod) = pods.first() {
            // Checked before anything changes: without the kubelet's report the switch cannot be judged.
            ports.states.state(&pod.name, &pod.hash).await.map_err(SetError::NoKubelet)?;
        }
        ports.files.ensure_dir(&self.kept, 0o700)?;
        ports.files.write(&self.kept.join("switching"), &switching, 0o600)?;
        self.record(ports, "switching", "")?;
        self.carry_out(ports, &changes)?;
        match self.judge(ports, &pods, within).await {
            Ok(()) => {
                self.keep(ports, "previous", &good)?;
                self.keep(ports, "good", &next)?;
                ports.files.remove(&self.kept.join("switching"))?;
                self.record(ports, "applied", "")?;
                Ok(changes.len())
            }
            Err(reason) => {
                (ports.say)(&format!("{reason}; rolling back to the last good set"));
                let all = all.into_iter().cloned().collect();
                self.carry_out(ports, &plan_switch(&self.there(ports, &all)?, &good))?;
                ports.files.remove(&self.kept.join("switching"))?;
                // A set that is not Ready after the rollback is worth reporting; there is nothing older to go back to.
                let back = check_set(&good, &[], &self.folder, &self.node_name).unwrap_or_default();
                let reason = match self.judge(ports, &back, within).await {
                    Ok(()) => reason,
                    Err(more) => format!("{reason}; after the rollback: {more}"),
                };
                self.record(ports, "rolled back", &reason)?;
                Err(SetError::RolledBack { set: self.name.clone(), reason })
            }
        }
    }

    /// Files in the manifest folder that do not belong to the set.
    pub(super) fn others(&self, ports: &SetPorts<'_>, names: &BTreeSet<String>) -> Result<Vec<ReadFile>, SetError> {
        let mut others = Vec::new();
        for path in ports.files.list(&self.folder)? {
            let name = file_name(&path);
            if is_manifest_name(&name) && !names.contains(&name) {
                let path = self.folder.join(&name);
                let content = ports.files.read(&path).map_err(|error| error.source.to_string());
                others.push(ReadFile { path, content: content.map(|text| text.unwrap_or_default().into_bytes()) });
            }
        }
        others.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(others)
    }

    /// The set's files that are in the manifest folder now.
    pub(super) fn there(
        &self,
        ports: &SetPorts<'_>,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Option<String>>, SetError> {
        names.iter().map(|name| Ok((name.clone(), ports.files.read(&self.folder.join(name))?))).collect()
    }

    fn carry_out(&self, ports: &SetPorts<'_>, changes: &[Change]) -> Result<(), SetError> {
        ports.files.ensure_dir(&self.folder, 0o700)?;
        for change in changes {
            match change {
                Change::Write { name, content } => {
                    ports.files.write(&self.folder.join(name), content.as_bytes(), 0o600)?;
                }
                Change::Remove { name } => ports.files.remove(&self.folder.join(name))?,
            }
        }
        Ok(())
    }

    /// Waits until all pods are Ready; on timeout returns which pod is not, and why.
    async fn judge(&self, ports: &SetPorts<'_>, pods: &[SetPod], within: Duration) -> Result<(), String> {
        let deadline = Instant::now().later(within);
        for pod in pods {
            let mut said = String::new();
            loop {
                let why = match ports.states.state(&pod.name, &pod.hash).await {
                    Ok(PodState::Ready(_)) => break,
                    Ok(PodState::Waiting(text) | PodState::Stopping { text, .. }) => text,
                    Ok(PodState::Stopped) => "was stopped through its unit".to_owned(),
                    Ok(PodState::Unknown) => "the kubelet has not picked it up".to_owned(),
                    Err(error) => format!("the kubelet does not answer: {error}"),
                };
                if Instant::now() >= deadline {
                    return Err(format!("static pod {} is not Ready after {} s: {why}", pod.name, within.as_secs()));
                }
                if why != said {
                    (ports.say)(&format!("{}: {why}", pod.name));
                    said = why;
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    pub(super) fn read_switching(&self, ports: &SetPorts<'_>) -> Result<Option<BTreeSet<String>>, SetError> {
        let text = ports.files.read(&self.kept.join("switching"))?;
        let names: Option<BTreeSet<String>> = text.map(|text| serde_json::from_str(&text).unwrap_or_default());
        Ok(names.map(|names| names.into_iter().filter(|name| is_manifest_name(name) && !name.contains('/')).collect()))
    }

    fn keep(&self, ports: &SetPorts<'_>, what: &str, files: &SetFiles) -> Result<(), SetError> {
        let folder = self.kept.join(what);
        ports.files.ensure_dir(&folder, 0o700)?;
        for (name, content) in files {
            ports.files.write(&folder.join(name), content.as_bytes(), 0o600)?;
        }
        for path in ports.files.list(&folder)? {
            let name = file_name(&path);
            if !files.contains_key(&name) {
                ports.files.remove(&folder.join(name))?;
            }
        }
        Ok(())
    }

    fn record(&self, ports: &SetPorts<'_>, outcome: &str, reason: &str) -> Result<(), SetError> {
        let result = SetResult { outcome: outcome.to_owned(), reason: reason.to_owned(), at: (ports.now)() };
        ports.files.ensure_dir(&self.kept, 0o700)?;
        let text = serde_json::to_vec_pretty(&result).unwrap_or_default();
        Ok(ports.files.write(&self.kept.join("result.json"), &text, 0o644)?)
    }
}

/// Result of the last switch of each set on this node, by name.
pub fn observe_results(files: &dyn NodeFiles) -> Result<BTreeMap<String, SetResult>, FileError> {
    let mut results = BTreeMap::new();
    for path in files.list(Path::new(SETS))? {
        let name = file_name(&path);
        if let Some(text) = files.read(&Path::new(SETS).join(&name).join("result.json"))?
            && let Ok(result) = serde_json::from_str(&text)
        {
            results.insert(name, result);
        }
    }
    Ok(results)
}

/// The manifests in a folder; empty if it does not exist.
pub fn read_set(files: &dyn NodeFiles, folder: &Path) -> Result<SetFiles, FileError> {
    let mut set = SetFiles::new();
    for path in files.list(folder)? {
        let name = file_name(&path);
        if is_manifest_name(&name) {
            set.insert(name.clone(), files.read(&folder.join(name))?.unwrap_or_default());
        }
    }
    Ok(set)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::adapters::fs::node_files::HostFiles;

    /// A kubelet whose pods become Ready, except those named.
    #[derive(Default)]
    struct Kubelet {
        sick: Mutex<BTreeSet<String>>,
        away: bool,
    }

    #[async_trait]
    impl StaticPodStates for Kubelet {
        async fn state(&self, name: &str, hash: &str) -> io::Result<PodState> {
            assert!(!hash.is_empty());
            if self.away {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(match self.sick.lock().unwrap().contains(name) {
                true => PodState::Waiting("main: ErrImagePull".into()),
                false => PodState::Ready(String::new()),
            })
        }
    }

    struct Bench {
        dir: tempfile::TempDir,
        kubelet: Kubelet,
    }

    impl Bench {
        fn new() -> Self {
            let bench = Self { dir: tempfile::tempdir().unwrap(), kubelet: Kubelet::default() };
            bench.put("manifests/etcd.yaml", &pod("etcd"));
            bench
        }

        fn path(&self, below: &str) -> PathBuf {
            self.dir.path().join(below)
        }

        fn put(&self, below: &str, text: &str) {
            std::fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
            std::fs::write(self.path(below), text).unwrap();
        }

        fn set(&self) -> ManifestSet {
            ManifestSet {
                name: "edge".into(),
                folder: self.path("manifests"),
                kept: self.path("kept/edge"),
                node_name: "n1".into(),
            }
        }

        async fn act(&self, source: Option<&str>) -> Result<usize, SetError> {
            let now = || Timestamp::UNIX_EPOCH;
            let ports = SetPorts { files: &HostFiles, states: &self.kubelet, now, say: &|_| {} };
            match source {
                Some(source) => self.set().apply(&ports, &self.path(source), Duration::from_secs(60)).await,
                None => self.set().roll_back(&ports, Duration::from_secs(60)).await,
            }
        }

        /// Files in the manifest folder, with their images.
        fn there(&self) -> Vec<String> {
            let mut there: Vec<_> = read_set(&HostFiles, &self.path("manifests")).unwrap().into_keys().collect();
            there.sort();
            there
        }

        fn outcome(&self) -> String {
            let text = std::fs::read_to_string(self.path("kept/edge/result.json")).unwrap();
            serde_json::from_str::<SetResult>(&text).unwrap().outcome
        }
    }

    fn pod(name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: i}}]}}\n"
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_switched_to_and_back_as_a_whole() {
        let bench = Bench::new();
        bench.put("one/a.yaml", &pod("a"));
        bench.put("one/b.yaml", &pod("b"));
        bench.put("two/b.yaml", &pod("b2"));
        assert!(matches!(bench.act(None).await, Err(SetError::NoPrevious { .. })));
        assert_eq!(bench.act(Some("one")).await.unwrap(), 2);
        assert_eq!(bench.there(), ["a.yaml", "b.yaml", "etcd.yaml"]);
        assert_eq!(bench.act(Some("one")).await.unwrap(), 0);
        assert_eq!(bench.act(Some("two")).await.unwrap(), 2);
        assert_eq!(bench.there(), ["b.yaml", "etcd.yaml"]);
        assert_eq!(bench.act(None).await.unwrap(), 2);
        assert_eq!(bench.there(), ["a.yaml", "b.yaml", "etcd.yaml"]);
        assert_eq!(bench.outcome(), "applied");
        assert!(matches!(bench.act(Some("three")).await, Err(SetError::NoFolder { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_that_does_not_come_up_is_rolled_back() {
        let bench = Bench::new();
        bench.put("one/a.yaml", &pod("a"));
        bench.put("two/a.yaml", &pod("other"));
        bench.put("two/b.yaml", &pod("sick"));
        bench.kubelet.sick.lock().unwrap().insert("sick".into());
        bench.act(Some("one")).await.unwrap();
        let error = bench.act(Some("two")).await.unwrap_err().to_string();
        assert!(!error.contains("after the rollback"), "{error}");
        assert!(error.contains("static pod sick is not Ready after 60 s: main: ErrImagePull"), "{error}");
        assert_eq!(bench.there(), ["a.yaml", "etcd.yaml"]);
        assert_eq!(std::fs::read_to_string(bench.path("manifests/a.yaml")).unwrap(), pod("a"));
        assert_eq!(bench.outcome(), "rolled back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_faulty_set_changes_nothing() {
        let bench = Bench::new();
        bench.put("one/a.yaml", &pod("a"));
        bench.put("one/b.yaml", "kind: Pod");
        assert!(matches!(bench.act(Some("one")).await, Err(SetError::Refused { .. })));
        assert_eq!((bench.there(), bench.outcome()), (vec!["etcd.yaml".to_owned()], "refused".to_owned()));
        bench.put("two/etcd.yaml", &pod("mine"));
        assert!(matches!(bench.act(Some("two")).await, Err(SetError::Refused { .. })));
        assert_eq!(std::fs::read_to_string(bench.path("manifests/etcd.yaml")).unwrap(), pod("etcd"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_switch_that_was_cut_short_is_taken_up() {
        let bench = Bench::new();
        bench.put("one/a.yaml", &pod("a"));
        bench.put("two/b.yaml", &pod("b"));
        bench.act(Some("one")).await.unwrap();
        // Power failed after the files were written.
        bench.put("manifests/b.yaml", &pod("b"));
        bench.put("kept/edge/switching", r#"["a.yaml","b.yaml","../../evil"]"#);
        assert_eq!(bench.act(Some("one")).await.unwrap(), 1);
        assert_eq!(bench.there(), ["a.yaml", "etcd.yaml"]);
        assert!(!bench.path("kept/edge/switching").exists());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_kubelet_nothing_is_switched() {
        let mut bench = Bench::new();
        bench.kubelet.away = true;
        bench.put("one/a.yaml", &pod("a"));
        assert!(matches!(bench.act(Some("one")).await, Err(SetError::NoKubelet(_))));
        assert_eq!(bench.there(), ["etcd.yaml"]);
    }
}
