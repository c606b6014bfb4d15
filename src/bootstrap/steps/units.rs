//! systemd units.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::files::has_content;
use crate::bootstrap::error::{StepError, TimedOut};
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::step::UnitStep;
use crate::core::bootstrap::units;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::UnitState;
use crate::ports::node::UnitError;

/// How long a unit may take to stop before it is restarted; systemd's own timeout is shorter.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(75);

/// True if the unit is as wanted.
pub async fn is_met(ports: &Ports, spec: &Spec, step: &UnitStep) -> Result<bool, StepError> {
    Ok(match step {
        UnitStep::Write { path, content } => has_content(ports, path, content.as_bytes(), units::mode(path))?,
        UnitStep::Remove { path } => ports.files.info(path)?.is_none(),
        UnitStep::Find { unit, enabled } => is_declared(&declared_state(ports, unit).await?, *enabled),
        UnitStep::Enable { unit } => is_enabled(&ports.units.state(unit).await?),
        UnitStep::Start { unit, configured_by } => {
            let state = ports.units.state(unit).await?;
            state.is_active() && !changed_since(ports, configured_by, state.begun_at.or(state.active_since))?
        }
        UnitStep::Launch { unit, configured_by } => {
            let state = ports.units.state(unit).await?;
            state.is_on_its_way() && !changed_since(ports, configured_by, state.begun_at)?
        }
        UnitStep::Stop { unit } => {
            let state = ports.units.state(unit).await?;
            // What the system declares stays enabled until its configuration says otherwise.
            let disabled = spec.node.declared_units || !state.is_enabled();
            state.load != "loaded" || (state.is_at_rest() && disabled)
        }
    })
}

/// Makes the unit as wanted.
pub async fn apply(ports: &Ports, spec: &Spec, step: &UnitStep) -> Result<(), StepError> {
    match step {
        UnitStep::Write { path, content } => {
            let replaced = ports.files.info(path)?.is_some();
            ports.files.write(path, content.as_bytes(), units::mode(path).unwrap_or(0o644))?;
            // A new one is read when it is enabled or started; reading all units takes a moment each time.
            if replaced {
                ports.units.reload().await?;
            }
        }
        UnitStep::Remove { path } => {
            ports.files.remove(path)?;
            ports.units.reload().await?;
        }
        UnitStep::Find { unit, enabled } => {
            // The unit may have been declared or written a moment ago.
            ports.units.reload().await?;
            let state = declared_state(ports, unit).await?;
            if !is_declared(&state, *enabled) {
                return Err(StepError::NotDeclared { step: step.to_string(), load: state.load, file: state.file });
            }
        }
        UnitStep::Enable { unit } => ports.units.enable(unit).await?,
        UnitStep::Start { unit, .. } => {
            let state = ports.units.state(unit).await?;
            if state.needs_reload || state.load != "loaded" {
                ports.units.reload().await?;
            }
            // It may run with an older configuration; a restart starts one that does not run as well.
            ports.units.restart(unit).await?;
        }
        UnitStep::Launch { unit, .. } => launch(ports, unit).await?,
        UnitStep::Stop { unit } => {
            ports.units.stop(unit).await?;
            // A slice has no file to be disabled.
            if !spec.node.declared_units && ports.units.state(unit).await?.is_enabled() {
                ports.units.disable(unit).await?;
            }
        }
    }
    Ok(())
}

/// True if the unit starts with the machine. A unit without `[Install]` (for example on NixOS) is started by the system
/// that declares it.
pub fn is_enabled(state: &UnitState) -> bool {
    state.is_enabled() || matches!(state.file.as_str(), "enabled-runtime" | "static" | "linked" | "alias" | "generated")
}

/// The state of a unit that may be a template: systemd loads instances only.
async fn declared_state(ports: &Ports, unit: &str) -> Result<UnitState, UnitError> {
    ports.units.state(&unit.replace("@.", "@any.")).await
}

fn is_declared(state: &UnitState, enabled: bool) -> bool {
    state.load == "loaded" && (!enabled || is_enabled(state))
}

/// True if one of the files changed after that moment, or if the moment is unknown.
fn changed_since(ports: &Ports, files: &[PathBuf], since: Option<SystemTime>) -> Result<bool, StepError> {
    let Some(since) = since else { return Ok(true) };
    for file in files {
        if ports.files.info(file)?.is_some_and(|info| info.modified > since) {
            return Ok(true);
        }
    }
    Ok(false)
}

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
        Err(StepError::TimedOut(TimedOut {
            condition: format!("{unit} has started"),
            seconds: LAUNCH_PATIENCE.as_secs(),
            hint: format!("see journalctl -u {unit}"),
        }))
    })
}
