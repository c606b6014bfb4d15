//! Replaces the CAs of a running cluster, stage by stage and one control plane after another.
//!
//! Each stage changes this node's CA files, updates everything that reads them in the same way as changed settings
//! (`settle.rs`), and records the stage on the Node. The last control plane to finish a stage publishes it for all
//! other nodes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{ConnectError, administrator, retry};
use super::apply_settings::{ApplyError, apply_control_plane};
use super::observe::observe_rotation;
use super::ports::Ports;
use super::run::{RunError, RunOptions, run};
use super::upgrade::ControlPlaneChange;
use crate::core::bootstrap::Facts;
use crate::core::bootstrap::Phase;
use crate::core::bootstrap::rotation::{
    ControlPlane, KubeletTrust, ROTATION_ANNOTATION, Refusal, ReportedStage, Rotation, Stage, StageSource, ids,
    is_control_plane, source_of_stage,
};
use crate::core::bootstrap::workflow::{ROTATE_CLEAN, ROTATE_FINISH, ROTATE_PREPARE, ROTATE_PUBLISH, ROTATE_SWITCH};
use crate::core::model::StepOutcome;
use crate::core::model::json::at;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{ClusterObjects, ClusterObjectsError, FileError, ObjectRef, Progress};

/// How long the controller manager may take to update all namespaces: it has just been restarted, and a predecessor
/// that exited without releasing its leader lease delays it.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(500);
/// Annotation on the pod template of our own addons, which read the trusted CAs only at their start.
const AUTHORITIES: &str = "roost.io/authorities";

/// Why a stage was not completed.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The stage may not begin yet.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The CA files are those of the stage, but some components do not use them yet.
    #[error(
        "the CAs on this node were switched to stage `rotate-ca {stage}`, but some components did not pick them up; fix the cause and run the same command again to continue"
    )]
    Unsettled {
        /// The command's name for the stage.
        stage: &'static str,
        /// Why components did not follow.
        #[source]
        source: ApplyError,
    },
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file of the node could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No connection to the API.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Objects(#[from] ClusterObjectsError),
}

/// Observed state of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// This node's CA files.
    pub own: Rotation,
    /// All control planes by name.
    pub control_planes: Vec<ControlPlane>,
    /// The kubelets of all nodes by node name; `None` if one has reported nothing.
    pub kubelets: Vec<(String, Option<KubeletTrust>)>,
}

impl Observed {
    /// What a control plane reported about its stage.
    pub fn told(&self, node: &str) -> Option<&ReportedStage> {
        self.control_planes.iter().find(|other| other.name == node)?.told.as_ref()
    }

    /// All control planes except that node.
    fn others(&self, node: &str) -> Vec<ControlPlane> {
        self.control_planes.iter().filter(|other| other.name != node).cloned().collect()
    }
}

/// Result of a stage on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many steps were changed (or, in a dry run, would be).
    pub changed: usize,
    /// Control planes that have not completed this stage.
    pub left: Vec<String>,
}

/// Reads this node's files and what all nodes report.
pub async fn observe(ports: &Ports, spec: &Spec, objects: &dyn ClusterObjects) -> Result<Observed, RotationError> {
    let kind = ObjectRef::new("v1", "Node", None, "");
    let nodes = retry(|| objects.list(&kind, "")).await?;
    let name = |node: &Value| at(node, &["metadata", "name"]).as_str().unwrap_or_default().to_owned();
    let control_planes = nodes.iter().filter(|node| is_control_plane(node));
    Ok(Observed {
        own: observe_rotation(ports, spec)?,
        control_planes: control_planes
            .map(|node| ControlPlane { name: name(node), told: ReportedStage::of(node) })
            .collect(),
        kubelets: nodes.iter().map(|node| (name(node), KubeletTrust::of(node))).collect(),
    })
}

/// Brings this control plane to a stage.
pub async fn rotate(
    ports: &Ports,
    spec: &Spec,
    change: &ControlPlaneChange<'_>,
    stage: Stage,
    progress: &dyn Progress,
) -> Result<Outcome, RotationError> {
    let objects = administrator(ports, spec).await?;
    let node = &spec.node.name;
    let seen = observe(ports, spec, objects.as_ref()).await?;
    let source = source_of_stage(stage, &seen.own, seen.told(node), &seen.others(node), &seen.kubelets)?;
    if stage == Stage::Switched {
        let next = seen.own.authorities.first().and_then(|cluster| cluster.next.clone()).unwrap_or_default();
        is_published(objects.as_ref(), &next, &seen.own.digest()).await?;
    }
    let dry_run = change.dry_run;
    let mut changed = phases(stage_phases(stage), ports, spec, dry_run, &source, progress).await?;
    if dry_run {
        if changed > 0 {
            for line in ["reissue everything that is not signed by these CAs", "restart the components one by one"] {
                progress.step_ends("authorities", line, StepOutcome::Planned);
            }
        }
        return Ok(Outcome { changed, left: Vec::new() });
    }
    let unsettled = |source| RotationError::Unsettled { stage: stage.command(), source };
    changed =
        changed.saturating_add(apply_control_plane(ports, spec, change, false, progress).await.map_err(unsettled)?);
    if stage == Stage::Finished {
        changed = changed.saturating_add(phases(ROTATE_CLEAN, ports, spec, dry_run, &source, progress).await?);
    }
    // The credentials used so far are no longer valid, or soon will not be.
    let objects = administrator(ports, spec).await?;
    let told = ReportedStage { stage, digest: observe_rotation(ports, spec)?.digest() };
    if seen.told(node) != Some(&told) {
        let patch = json!({ "metadata": { "annotations": { ROTATION_ANNOTATION: told.to_string() } } });
        let own = ObjectRef::new("v1", "Node", None, node);
        retry(|| objects.merge_patch(&own, &patch)).await?;
        changed = changed.saturating_add(1);
    }
    let seen = observe(ports, spec, objects.as_ref()).await?;
    let there = |other: &ReportedStage| other.digest == told.digest && other.stage >= stage;
    let left = seen.control_planes.iter().filter(|other| !other.told.as_ref().is_some_and(there));
    let left: Vec<String> = left.map(|other| other.name.clone()).collect();
    if left.is_empty() {
        changed = changed.saturating_add(publish(ports, spec, &objects, &told, progress).await?);
    }
    Ok(Outcome { changed, left })
}

fn stage_phases(stage: Stage) -> &'static [Phase] {
    match stage {
        Stage::Prepared => ROTATE_PREPARE,
        Stage::Switched => ROTATE_SWITCH,
        Stage::Finished => ROTATE_FINISH,
    }
}

async fn phases(
    table: &[Phase],
    ports: &Ports,
    spec: &Spec,
    dry_run: bool,
    way: &StageSource,
    progress: &dyn Progress,
) -> Result<usize, RunError> {
    let options = RunOptions { dry_run, ..RunOptions::default() };
    let receiving = |mut facts: Facts| {
        if let StageSource::Receive(digest) = way {
            facts.rotation.receive = Some(digest.clone());
        }
        facts
    };
    run(table, spec, ports, &options, &receiving, progress).await
}

/// Publishes the stage to all other nodes, once every control plane has completed it.
async fn publish(
    ports: &Ports,
    spec: &Spec,
    objects: &Arc<dyn ClusterObjects>,
    told: &ReportedStage,
    progress: &dyn Progress,
) -> Result<usize, RotationError> {
    let mut changed = phases(ROTATE_PUBLISH, ports, spec, false, &StageSource::Own, progress).await?;
    let own = observe_rotation(ports, spec)?;
    match told.stage {
        Stage::Prepared => {
            let next = own.authorities.first().and_then(|cluster| cluster.next.clone()).unwrap_or_default();
            if !pods_are_told(objects.as_ref(), &next).await? {
                progress.step_says("the controller manager has not written kube-root-ca.crt yet; run this again");
                return Ok(changed);
            }
            for addon in addons() {
                changed =
                    changed.saturating_add(usize::from(start_again(objects.as_ref(), &addon, &told.digest).await?));
            }
        }
        Stage::Switched => {}
        Stage::Finished => changed = changed.saturating_add(usize::from(forget_former(objects.as_ref(), &own).await?)),
    }
    Ok(changed)
}

/// The CA bundle that the controller manager gives to all pods.
fn root_ca() -> ObjectRef {
    ObjectRef::new("v1", "ConfigMap", Some("kube-system"), "kube-root-ca.crt")
}

/// Our own addons that connect to the API server and read the trusted CAs only once.
fn addons() -> [ObjectRef; 2] {
    let object = |kind, name| ObjectRef::new("apps/v1", kind, Some("kube-system"), name);
    [object("DaemonSet", "kube-proxy"), object("Deployment", "coredns")]
}

async fn holds(objects: &dyn ClusterObjects, next: &str) -> Result<bool, ClusterObjectsError> {
    let root_ca = root_ca();
    let seen = retry(|| objects.get(&root_ca)).await?.unwrap_or_default();
    let seen = ids(at(&seen, &["data", "ca.crt"]).as_str().unwrap_or_default());
    Ok(ids(next).iter().all(|id| seen.contains(id)))
}

async fn pods_are_told(objects: &dyn ClusterObjects, next: &str) -> Result<bool, ClusterObjectsError> {
    let begun = Instant::now();
    while !holds(objects, next).await? {
        if begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(true)
}

/// Makes new pods of a workload that is there; true when they are not yet of these CAs.
async fn start_again(
    objects: &dyn ClusterObjects,
    workload: &ObjectRef,
    digest: &str,
) -> Result<bool, ClusterObjectsError> {
    let Some(seen) = retry(|| objects.get(workload)).await? else { return Ok(false) };
    if is_started_for(&seen, digest) {
        return Ok(false);
    }
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": { AUTHORITIES: digest } } } } });
    retry(|| objects.merge_patch(workload, &patch)).await?;
    Ok(true)
}

fn is_started_for(workload: &Value, digest: &str) -> bool {
    at(workload, &["spec", "template", "metadata", "annotations", AUTHORITIES]) == digest
}

/// True if all pods of a DaemonSet or Deployment have its current template.
fn is_rolled_out(workload: &Value) -> bool {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_u64);
    let wanted = number("/status/desiredNumberScheduled").or_else(|| number("/status/replicas"));
    let updated = number("/status/updatedNumberScheduled").or_else(|| number("/status/updatedReplicas"));
    number("/status/observedGeneration") >= number("/metadata/generation")
        && updated.unwrap_or_default() >= wanted.unwrap_or_default()
}

/// True when all pods trust the next CA; only then may servers use certificates of it.
async fn is_published(objects: &dyn ClusterObjects, next: &str, digest: &str) -> Result<(), RotationError> {
    if !holds(objects, next).await? {
        return Err(Refusal::NotPublished("configmap kube-system/kube-root-ca.crt".to_owned()).into());
    }
    for addon in addons() {
        let Some(seen) = retry(|| objects.get(&addon)).await? else { continue };
        if !is_started_for(&seen, digest) || !is_rolled_out(&seen) {
            return Err(Refusal::NotPublished(addon.to_string()).into());
        }
    }
    Ok(())
}

/// The ConfigMap from API servers to extension servers: API servers only ever add to it.
async fn forget_former(objects: &dyn ClusterObjects, own: &Rotation) -> Result<bool, ClusterObjectsError> {
    let shared = ObjectRef::new("v1", "ConfigMap", Some("kube-system"), "extension-apiserver-authentication");
    let Some(seen) = retry(|| objects.get(&shared)).await? else { return Ok(false) };
    let mut data = serde_json::Map::new();
    for (key, file) in [("client-ca-file", "ca.crt"), ("requestheader-client-ca-file", "front-proxy-ca.crt")] {
        let bundle = own.authorities.iter().find(|authority| authority.cert.ends_with(file));
        let Some(bundle) = bundle.and_then(|authority| authority.bundle.as_ref()) else { continue };
        if ids(at(&seen, &["data", key]).as_str().unwrap_or_default()) != ids(bundle) {
            data.insert(key.to_owned(), bundle.as_str().into());
        }
    }
    if data.is_empty() {
        return Ok(false);
    }
    let patch = json!({ "data": data });
    retry(|| objects.merge_patch(&shared, &patch)).await?;
    Ok(true)
}
