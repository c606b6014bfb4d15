//! Applies a step: the single match over `Step` that changes the node.

use std::time::Duration;

use super::conditions;
use super::credentials;
use super::error::StepError;
use super::images;
use super::keys;
use super::member_address;
use super::members;
use super::objects;
use super::owners;
use super::pods;
use super::ports::Ports;
use crate::core::bootstrap::{Step, units};
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::Progress;

/// How long a unit may take to stop before it is restarted; systemd's own timeout is shorter.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(75);

/// Restarts a unit and waits until its new process has started, not until it is ready.
async fn launch(ports: &Ports, unit: &str) -> Result<(), StepError> {
    let before = ports.units.state(unit).await?.begun_at;
    ports.units.restart_no_wait(unit).await?;
    let begun = async {
        while ports.units.state(unit).await?.begun_at == before {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    tokio::time::timeout(LAUNCH_PATIENCE, begun).await.unwrap_or_else(|_| {
        Err(StepError::TimedOut {
            condition: format!("{unit} has started"),
            seconds: LAUNCH_PATIENCE.as_secs(),
            hint: format!("see journalctl -u {unit}"),
        })
    })
}

/// Checks again after a systemd reload: the unit may have been declared or written a moment ago.
async fn find_unit(ports: &Ports, unit: &str, enabled: bool) -> Result<(), StepError> {
    ports.units.reload().await?;
    let step = Step::FindUnit { unit: unit.to_owned(), enabled };
    let state = super::observe::declared_state(ports, unit).await?;
    if state.load == "loaded" && (!enabled || super::observe::is_enabled(&state)) {
        return Ok(());
    }
    Err(StepError::NotDeclared { step: step.to_string(), load: state.load, file: state.file })
}

/// Applies a step that `is_met` found undone.
pub async fn apply(ports: &Ports, spec: &Spec, step: &Step, progress: &dyn Progress) -> Result<StepOutcome, StepError> {
    match step {
        Step::EnsureDir { path, mode } => ports.files.ensure_dir(path, *mode)?,
        Step::WriteFile { path, mode, content } => ports.files.write(path, content.as_bytes(), *mode)?,
        Step::JoinFiles { path, parts, mode } => credentials::join_files(ports, path, parts, *mode)?,
        Step::RemoveFile { path } => ports.files.remove(path)?,
        Step::EmptyDir { path } => ports.files.empty_dir(path)?,
        Step::MakeAuthority(authority) => credentials::make_authority(ports, authority)?,
        Step::IssueCert(certificate) => credentials::issue(ports, certificate)?,
        Step::GenerateKey { key, public } => credentials::make_key(ports, key, public)?,
        Step::WriteKubeconfig(kubeconfig) => credentials::write_kubeconfig(ports, kubeconfig)?,
        Step::FindSigned { signer, certificates, kubeconfigs } => {
            let faults = credentials::missing(ports, certificates, kubeconfigs)?;
            return Err(StepError::NotBrought { signer: signer.clone(), faults });
        }
        Step::PointKubeconfig { path, server, ca, readers } => {
            credentials::point(ports, path, server, ca, readers).await?;
        }
        Step::EnsureImage { reference, from, pinned } => return images::ensure(ports, reference, from, *pinned).await,
        Step::WriteUnit { path, content } => {
            let replaced = ports.files.info(path)?.is_some();
            ports.files.write(path, content.as_bytes(), units::mode(path).unwrap_or(0o644))?;
            // A new unit file is read when the unit is enabled or started; reading all unit files takes a moment each
            // time.
            if replaced {
                ports.units.reload().await?;
            }
        }
        Step::EnableUnit { unit } => ports.units.enable(unit).await?,
        Step::FindUnit { unit, enabled } => find_unit(ports, unit, *enabled).await?,
        Step::StartUnit { unit, .. } => {
            let state = ports.units.state(unit).await?;
            if state.needs_reload || state.load != "loaded" {
                ports.units.reload().await?;
            }
            // The unit may run with an older configuration; a restart also starts a unit that is not running.
            ports.units.restart(unit).await?;
        }
        Step::LaunchUnit { unit, .. } => launch(ports, unit).await?,
        Step::OwnTree { path, user } => owners::own(ports, path, user)?,
        Step::StopUnit { unit } => {
            ports.units.stop(unit).await?;
            // A slice has no unit file to disable.
            if !spec.node.declared_units && ports.units.state(unit).await?.is_enabled() {
                ports.units.disable(unit).await?;
            }
        }
        Step::ApplyObject { object, .. } => return objects::apply(ports, spec, object).await,
        Step::DeleteObject { object } => objects::delete(ports, spec, object).await?,
        Step::AssignPodSubnets { node, subnets } => objects::assign_pod_subnets(ports, spec, node, subnets).await?,
        Step::MarkControlPlane { node, taint } => objects::mark(ports, spec, node, *taint).await?,
        Step::LabelNode { node, labels } => objects::label(ports, spec, node, labels).await?,
        Step::WaitFor { condition, within } => {
            conditions::wait(ports, spec, condition, *within).await?;
            // Waiting changes nothing.
            return Ok(StepOutcome::Unchanged);
        }
        Step::RemovePods => pods::remove_all(ports).await?,
        Step::RemovePodNetwork => ports.network.remove_traces().await?,
        Step::RemoveUnit { path } => {
            ports.files.remove(path)?;
            ports.units.reload().await?;
        }
        Step::ReceiveKeys { kubeconfig, node, folder, needed, wanted } => {
            keys::receive(ports, kubeconfig, node, folder, needed, wanted).await?;
        }
        Step::AddMember { name, peer_url } => members::add(ports, spec, name, peer_url, progress).await?,
        Step::PromoteMember { name, peer_url } => members::promote(ports, spec, name, peer_url, progress).await?,
        Step::MoveMember { name, peer_url, may_wait } => {
            return member_address::tell(ports, spec, name, peer_url, *may_wait).await;
        }
        Step::RemoveMember { name, peer_url } => return members::remove(ports, spec, name, peer_url, progress).await,
    }
    Ok(StepOutcome::Changed)
}
