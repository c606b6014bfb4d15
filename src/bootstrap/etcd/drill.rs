//! The restore drill: shows, while all is well, that the newest snapshot would bring the cluster back.

use std::path::Path;

use tokio::time::Instant;

use super::pods::{Labels, PAUSE, WORK_PATIENCE, exited, in_kube_system, timed_out, until_gone};
use super::rebuild::needs_kubelet;
use crate::bootstrap::error::StepError;
use crate::bootstrap::members::single;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::drill::{DrillContents, DrillResult, known_key, result_file};
use crate::core::bootstrap::{restore_pod, snapshots};
use crate::core::model::spec::Spec;
use crate::ports::{EtcdFiles, Progress};

const MANIFEST: &str = "etcd-drill.yaml";
const COMPONENT: &str = "etcd-drill";

/// Restores a snapshot (this node's newest without one named) into an etcd of its own, reads all of it, and removes that
/// etcd, which answers on this port of the loopback meanwhile. What it finds wrong with the snapshot is in the result, which is kept for `bootstrap status`.
///
/// # Errors
/// The drill itself could not be held.
pub async fn drill(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    snapshot: Option<&Path>,
    port: u16,
    progress: &dyn Progress,
) -> Result<DrillResult, StepError> {
    if spec.cluster.external_etcd.is_some() {
        return Err(StepError::NotOurEtcd);
    }
    let folder = &spec.node.paths.snapshots;
    let newest = match snapshot {
        Some(snapshot) => Some(snapshot.to_owned()),
        None => snapshots::newest(&ports.files.list(folder)?, &spec.node.name),
    };
    let found = match &newest {
        None => Err(Verdict::Unfit(format!("there is no snapshot of this node in {}", folder.display()))),
        Some(snapshot) => try_out(ports, files, spec, snapshot, port, progress).await,
    };
    let (contents, fault) = match found {
        Ok(contents) => (Some(contents), None),
        Err(Verdict::Unfit(fault)) => (None, Some(fault)),
        Err(Verdict::Undecided(error)) => return Err(error),
    };
    let result = DrillResult { at: (ports.now)(), snapshot: newest, contents, fault };
    let text = serde_json::to_string_pretty(&result).unwrap_or_default();
    ports.files.ensure_dir(folder, 0o700)?;
    ports.files.write(&result_file(spec), text.as_bytes(), 0o600)?;
    Ok(result)
}

/// The result of the last drill on this node.
pub fn last_drill(ports: &Ports, spec: &Spec) -> Result<Option<DrillResult>, StepError> {
    let text = ports.files.read(&result_file(spec))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Why a snapshot was not found good.
enum Verdict {
    /// It is not.
    Unfit(String),
    /// Nobody knows.
    Undecided(StepError),
}

impl<E: Into<StepError>> From<E> for Verdict {
    fn from(error: E) -> Self {
        Self::Undecided(error.into())
    }
}

async fn try_out(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    snapshot: &Path,
    port: u16,
    progress: &dyn Progress,
) -> Result<DrillContents, Verdict> {
    let size = files.check_snapshot(snapshot).map_err(|error| Verdict::Unfit(with_cause(&error)))?;
    needs_kubelet(ports).await?;
    let manifest = spec.node.paths.manifests().join(MANIFEST);
    // Of a drill that was cut short.
    end_pod(ports, &manifest).await?;
    progress.step_says(&format!("restoring {} into an etcd of its own", snapshot.display()));
    let stamp = (ports.now)().strftime("%Y%m%dt%H%M%Sz").to_string();
    let name = format!("{COMPONENT}-{stamp}");
    let pod = restore_pod::render_drill(spec, &name, snapshot, port).map_err(StepError::from)?;
    ports.files.write(&manifest, pod.as_bytes(), 0o600)?;
    let outcome = look(ports, spec, &format!("{name}-{}", spec.node.name), port, size).await;
    end_pod(ports, &manifest).await?;
    outcome
}

/// Waits for the drill's etcd and reads all it has.
async fn look(ports: &Ports, spec: &Spec, pod: &str, port: u16, size: u64) -> Result<DrillContents, Verdict> {
    let begun = Instant::now();
    let etcd = single(ports, spec, &format!("https://127.0.0.1:{port}"))?;
    loop {
        if etcd.health().await.is_ok_and(|health| health.leader != 0) {
            break;
        }
        if let Some(ended) = exited(ports, pod).await?.iter().find(|end| end.container != "restore" || end.code != 0) {
            let log = ports.files.read(Path::new(&ended.log)).ok().flatten().unwrap_or_default();
            let words = log.lines().last().unwrap_or_default();
            return Err(Verdict::Unfit(format!("{} ended with code {}: {words}", ended.container, ended.code)));
        }
        if begun.elapsed() >= WORK_PATIENCE {
            return Err(timed_out("etcd answers on the snapshot's data", begun).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let known = known_key(spec);
    let holdings = etcd.holdings(&known).await.map_err(|error| Verdict::Unfit(with_cause(&error)))?;
    if !holdings.known {
        return Err(Verdict::Unfit(format!("it has {} keys, but not {known}", holdings.keys)));
    }
    let (revision, keys, hash) = (holdings.revision, holdings.keys, holdings.hash);
    Ok(DrillContents { size, revision, keys, hash, millis })
}

/// Removes the drill's pod, and returns when it is gone.
async fn end_pod(ports: &Ports, manifest: &Path) -> Result<(), StepError> {
    ports.files.remove(manifest)?;
    let of_drill = |labels: &Labels| {
        in_kube_system(labels) && labels.get("component").is_some_and(|component| component == COMPONENT)
    };
    until_gone(ports, "the pod of the drill has ended", of_drill).await
}

fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::adapters::fake::members::{FakeEtcd, FakeEtcdClients, FakeHandover};
    use crate::adapters::fake::node::{FakeNode, FakeReachability};
    use crate::adapters::fake::{FakeChecks, FakeExec, NoNetwork, Record};
    use crate::adapters::x509::X509;
    use crate::config::cluster::{HostDefaults, Layers, derive_spec};
    use crate::ports::{EtcdFileError, NodeFiles, Units};

    const RESULT: &str = "/var/lib/roost/snapshots/drill-n1.json";
    const SNAPSHOTS: [&str; 2] = ["20270101T000000Z", "20270102T000000Z"];

    struct Snapshots {
        whole: bool,
    }

    impl EtcdFiles for Snapshots {
        fn check_snapshot(&self, path: &Path) -> Result<u64, EtcdFileError> {
            if self.whole { Ok(4096) } else { Err(EtcdFileError::Broken { path: path.to_owned() }) }
        }
        fn rename(&self, _from: &Path, _to: &Path) -> Result<(), EtcdFileError> {
            Ok(())
        }
    }

    async fn node(snapshots: &[&str]) -> Arc<FakeNode> {
        let node = FakeNode::new();
        for stamp in snapshots {
            let path = format!("/var/lib/roost/snapshots/etcd-n1-{stamp}.db");
            node.write(path.as_ref(), b"(data)", 0o600).unwrap();
        }
        for name in ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key"] {
            node.write(&Path::new("/etc/kubernetes/pki/etcd").join(name), b"(pem)", 0o600).unwrap();
        }
        node.start("kubelet.service").await.unwrap();
        node
    }

    /// Holds a drill on a node; in its etcd are so many keys.
    async fn hold(node: &Arc<FakeNode>, whole: bool, keys: i64) -> Result<DrillResult, StepError> {
        let host = HostDefaults { name: "n1".into(), address: "10.0.0.1".parse().ok(), program: "/b".into() };
        let spec = derive_spec(&Layers::defaults(), &host).unwrap();
        let etcd = Arc::<FakeEtcd>::default();
        *etcd.keys.lock().unwrap() = keys;
        let ports = Ports {
            files: node.clone(),
            pki: Arc::new(X509),
            units: node.clone(),
            images: node.clone(),
            pulls: node.clone(),
            runtime: Arc::new(FakeExec::with_pods_of(node)),
            network: Arc::new(NoNetwork),
            net: Arc::new(FakeReachability(node.clone())),
            checks: Arc::<FakeChecks>::default(),
            etcd: Arc::new(FakeEtcdClients(etcd)),
            handover: Arc::new(FakeHandover::default()),
            now: || Timestamp::from_second(1_800_000_000).unwrap(),
        };
        let result = drill(&ports, &Snapshots { whole }, &spec, None, 4001, &Record::default()).await?;
        assert_eq!(last_drill(&ports, &spec)?.as_ref(), Some(&result), "the status tells it");
        assert_eq!(node.file("/etc/kubernetes/manifests/etcd-drill.yaml"), None, "nothing of it is left");
        Ok(result)
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_snapshot_is_read_whole() {
        let node = node(&SNAPSHOTS).await;
        let result = hold(&node, true, 99).await.unwrap();
        assert_eq!(result.snapshot, Some("/var/lib/roost/snapshots/etcd-n1-20270102T000000Z.db".into()));
        let contents = result.contents.unwrap();
        assert_eq!((contents.size, contents.keys, contents.revision), (4096, 99, 42));
        assert_eq!(result.fault, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_bring_no_cluster_back_is_told() {
        let fault = async |snapshots: &[&str], whole, keys| {
            hold(&node(snapshots).await, whole, keys).await.unwrap().fault.unwrap()
        };
        let cut = fault(&SNAPSHOTS, false, 99).await;
        assert!(cut.contains("20270102T000000Z.db is no whole snapshot"), "{cut}");
        let none = fault(&[], true, 99).await;
        assert!(none.contains("there is no snapshot of this node in /var/lib/roost/snapshots"), "{none}");
        let strange = fault(&SNAPSHOTS, true, 0).await;
        assert!(strange.contains("but not /registry/namespaces/kube-system"), "{strange}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drill_that_was_cut_short_anywhere_leaves_nothing_to_the_next_one() {
        for changes in 0.. {
            let node = node(&SNAPSHOTS).await;
            node.fail_after(changes);
            let cut = hold(&node, true, 99).await;
            if node.failure_is_ahead() {
                assert!(changes > 3, "the drill changes files");
                return;
            }
            assert!(cut.is_err());
            assert_eq!(hold(&node, true, 99).await.unwrap().fault, None, "after {changes} changes");
            assert!(node.file(RESULT).is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_kubelet_nothing_is_said_about_the_snapshot() {
        let node = node(&SNAPSHOTS).await;
        node.stop("kubelet.service").await.unwrap();
        assert!(matches!(hold(&node, true, 99).await, Err(StepError::NoKubelet)));
        assert_eq!(node.file(RESULT), None);
    }
}
