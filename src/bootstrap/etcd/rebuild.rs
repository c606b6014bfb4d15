//! Rebuilds etcd as a single member: from a snapshot, or from the data of this node after a lost quorum.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::client::{ClientError, client, manifest, single};
use super::error::Error;
use super::needs::{must_be_ours, needs_kubelet};
use super::pods::{Labels, PAUSE, WORK_PATIENCE, in_kube_system, timed_out, until_exited, until_gone};
use crate::bootstrap::observe::observe_facts;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::steps::{apply, is_met};
use crate::core::bootstrap::membership::peer_url;
use crate::core::bootstrap::phases::control_plane::{plan_cloud, plan_component, wait_for_etcd};
use crate::core::bootstrap::phases::{convert, ready};
use crate::core::bootstrap::services::place;
use crate::core::bootstrap::step::FileStep;
use crate::core::bootstrap::{Step, restore_pod};
use crate::core::model::labels::POD_NAME;
use crate::core::model::spec::{Component, ControlPlaneMode, Endpoint, Spec};
use crate::ports::bootstrap::{EtcdFiles, Progress};

/// How long no leader may answer before the quorum counts as lost.
const ELECTION_PATIENCE: Duration = Duration::from_secs(20);

/// The plan of `restore`, one line per step; it fails where `restore` would.
pub async fn foresee_restore(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    snapshot: &Path,
) -> Result<Vec<String>, Error> {
    must_be_ours(spec)?;
    files.check_snapshot(snapshot)?;
    needs_kubelet(ports).await?;
    let spec = &as_it_is(ports, spec).await?;
    let mut lines = Vec::new();
    for step in away(spec) {
        if !is_met(ports, spec, &step).await? {
            lines.push(step.to_string());
        }
    }
    let data = &spec.node.paths.etcd_data;
    if ports.files.info(&data.join("member"))?.is_some() {
        let kept = kept_beside(spec, &stamp(ports));
        lines.push(format!("move {} to {}", data.join("member").display(), kept.display()));
    }
    lines.push(format!("restore {} into {} as a single-member cluster", snapshot.display(), data.display()));
    lines.push(format!("start etcd, {}", Component::CONTROL_PLANE.map(Component::name).join(", ")));
    Ok(lines)
}

/// The plan of `recover`.
pub async fn foresee_recover(ports: &Ports, spec: &Spec) -> Result<Vec<String>, Error> {
    must_have_lost_quorum(ports, spec).await?;
    let spec = &as_it_is(ports, spec).await?;
    Ok(vec![
        format!("start etcd of {} with --force-new-cluster, as the only member", spec.node.name),
        "start it once more without that flag".to_owned(),
        format!(
            "start {} unless they already run as configured",
            Component::CONTROL_PLANE.map(Component::name).join(", ")
        ),
    ])
}

/// The steps that stop this node's control plane: services, then manifests.
fn away(spec: &Spec) -> Vec<Step> {
    let mut steps = convert::stop_services();
    steps.extend(convert::remove_services(spec));
    steps.extend(
        Component::CONTROL_PLANE
            .into_iter()
            .chain([Component::Etcd])
            .map(|component| Step::File(FileStep::Remove { path: spec.node.paths.manifest(component) })),
    );
    steps
}

fn stamp(ports: &Ports) -> String {
    (ports.now)().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Where the previous data is kept during a restore.
fn kept_beside(spec: &Spec, stamp: &str) -> PathBuf {
    spec.node.paths.etcd_data.join(format!("before-restore-{stamp}"))
}

/// Replaces this node's etcd by the content of a snapshot. The previous data is kept; returns its path.
pub async fn restore(
    ports: &Ports,
    files: &dyn EtcdFiles,
    spec: &Spec,
    snapshot: &Path,
    progress: &dyn Progress,
) -> Result<Option<PathBuf>, Error> {
    must_be_ours(spec)?;
    files.check_snapshot(snapshot)?;
    needs_kubelet(ports).await?;
    let spec = &as_it_is(ports, spec).await?;
    progress.step_says("stopping this node's control plane");
    carry_out(ports, spec, &away(spec), progress).await?;
    let of_control_plane = |labels: &Labels| {
        let component = labels.get("component").map(String::as_str).unwrap_or_default();
        in_kube_system(labels) && Component::REQUIRED.iter().any(|known| known.name() == component)
    };
    until_gone(ports, "the pods of the control plane have terminated", of_control_plane).await?;

    let data = &spec.node.paths.etcd_data;
    let stamp = stamp(ports);
    let kept = match ports.files.info(&data.join("member"))? {
        Some(_) => {
            let kept = kept_beside(spec, &stamp);
            files.rename(&data.join("member"), &kept)?;
            Some(kept)
        }
        None => None,
    };
    ports.files.empty_dir(&data.join(restore_pod::FOLDER))?;

    progress.step_says("restoring the snapshot");
    let name = format!("etcd-restore-{}", stamp.to_lowercase());
    let pod = restore_pod::render(spec, &name, snapshot)?;
    let path = spec.node.paths.manifests().join("etcd-restore.yaml");
    ports.files.write(&path, pod.as_bytes(), 0o600)?;
    let outcome = until_exited(ports, &format!("{name}-{}", spec.node.name)).await;
    ports.files.remove(&path)?;
    match outcome? {
        0 => {}
        code => return Err(Error::RestoreFailed { code, node: spec.node.name.clone(), pod: name }),
    }
    until_gone(ports, "the pod of the restore has terminated", |labels| {
        labels.get(POD_NAME).is_some_and(|pod| pod.starts_with("etcd-restore-"))
    })
    .await?;
    files.rename(&data.join(restore_pod::FOLDER).join("member"), &data.join("member"))?;

    progress.step_says("starting the control plane");
    write_all(ports, spec, progress).await?;
    Ok(kept)
}

/// Makes this node's etcd a cluster of one with all that it has, after the other members were lost permanently.
pub async fn recover(ports: &Ports, spec: &Spec, progress: &dyn Progress) -> Result<(), Error> {
    must_have_lost_quorum(ports, spec).await?;
    let spec = &as_it_is(ports, spec).await?;
    if spec.cluster.mode == ControlPlaneMode::StaticPods {
        needs_kubelet(ports).await?;
    }
    progress.step_says("starting etcd as the only member");
    let mut alone = spec.clone();
    let flags = alone.cluster.extra_args.entry(Component::Etcd.to_string()).or_default();
    flags.insert("force-new-cluster".to_owned(), "true".to_owned());
    write(ports, &alone, Component::Etcd, progress).await?;
    let own = single(ports, spec, &Endpoint::new(spec.node.address, 2379).url())?;
    let begun = Instant::now();
    let url = peer_url(spec);
    loop {
        if let Ok(members) = own.list().await
            && let [member] = members.as_slice()
            && member.peer_urls.contains(&url)
        {
            break;
        }
        if begun.elapsed() >= WORK_PATIENCE {
            return Err(timed_out("etcd runs as the only member", begun).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    // The flag must be removed: with it every start would remove members that have joined since.
    write_all(ports, spec, progress).await
}

/// Fails unless this node has a member whose cluster has no quorum. An election is no loss.
async fn must_have_lost_quorum(ports: &Ports, spec: &Spec) -> Result<(), Error> {
    must_be_ours(spec)?;
    if ports.files.info(&spec.node.paths.etcd_data.join("member"))?.is_none() {
        return Err(ClientError::NoMembers { manifest: manifest(spec) }.into());
    }
    let begun = Instant::now();
    let members = client(ports, spec).await?;
    while begun.elapsed() < ELECTION_PATIENCE {
        if members.confirm_quorum().await.is_ok() {
            return Err(Error::HasQuorum);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The settings with the way in which this node's etcd is run.
async fn as_it_is(ports: &Ports, spec: &Spec) -> Result<Spec, Error> {
    let mut found = spec.clone();
    found.cluster.mode = place(Component::Etcd, spec, &observe_facts(ports, spec, false).await?);
    Ok(found)
}

async fn carry_out(ports: &Ports, spec: &Spec, steps: &[Step], progress: &dyn Progress) -> Result<(), Error> {
    for step in steps {
        if !is_met(ports, spec, step).await? {
            apply(ports, spec, step, progress).await?;
        }
    }
    Ok(())
}

/// A component's manifest, or its service, which is started.
async fn write(ports: &Ports, spec: &Spec, component: Component, progress: &dyn Progress) -> Result<(), Error> {
    let facts = observe_facts(ports, spec, false).await?;
    let steps = plan_component(component, spec, &facts, spec.cluster.mode)?;
    carry_out(ports, spec, &steps, progress).await
}

/// Waits until all components run and the API answers.
async fn write_all(ports: &Ports, spec: &Spec, progress: &dyn Progress) -> Result<(), Error> {
    write(ports, spec, Component::Etcd, progress).await?;
    if spec.cluster.mode == ControlPlaneMode::Systemd {
        carry_out(ports, spec, &[wait_for_etcd()], progress).await?;
    }
    for component in Component::CONTROL_PLANE {
        write(ports, spec, component, progress).await?;
    }
    let facts = observe_facts(ports, spec, false).await?;
    carry_out(ports, spec, &plan_cloud(spec, &facts)?, progress).await?;
    carry_out(ports, spec, &ready::plan_api(spec, &facts)?, progress).await
}
