//! Compares a node with its settings. Changes nothing, and continues after each difference.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::apply_settings::{ApplyError, dry_run_phases};
use super::certificates::observe_certificates;
use super::ports::Ports;
use super::upgrade::observe_drift;
use crate::core::bootstrap::authorities::authorities;
use crate::core::bootstrap::phases::{certs, kubeconfigs};
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{Owner, Progress};

const ROOT: Owner = Owner { user: 0, group: 0 };

/// A difference between the node and its settings.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// What differs: a component, a file or a phase.
    pub subject: String,
    pub what: String,
}

/// Finds all differences of this node.
pub async fn observe_differences(
    ports: &Ports,
    spec: &Spec,
    control_plane: bool,
    shared: bool,
) -> Result<Vec<Difference>, ApplyError> {
    let mut all = Vec::new();
    let mut add = |subject: String, what: String| all.push(Difference { subject, what });
    if control_plane {
        for (component, what) in observe_drift(ports, spec).await? {
            add(component.to_string(), what);
        }
        let reports = observe_certificates(ports.files.as_ref(), ports.pki.as_ref(), spec, (ports.now)());
        for report in reports? {
            if let Some(fault) = report.fault {
                add(report.path.display().to_string(), fault);
            }
        }
    }
    for path in secrets(spec) {
        let Some(info) = ports.files.info(&path)? else { continue };
        if info.mode & 0o077 != 0 {
            add(path.display().to_string(), format!("readable by others: its mode is {:04o}, not 0600", info.mode));
        }
        if info.owner != ROOT {
            let owner = info.owner;
            add(path.display().to_string(), format!("belongs to {}:{}, not to root", owner.user, owner.group));
        }
    }
    let to_do = ToDo::default();
    dry_run_phases(ports, spec, control_plane, shared, &to_do).await?;
    let found = to_do.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Faults of certificates were reported above.
    let said = |what: &str| all.iter().any(|difference| what.contains(&difference.subject));
    let rest: Vec<Difference> = found.into_iter().filter(|difference| !said(&difference.what)).collect();
    all.extend(rest);
    Ok(all)
}

/// Files that only root may read: keys, kubeconfigs, encryption keys.
fn secrets(spec: &Spec) -> Vec<PathBuf> {
    let authorities = authorities(spec).into_iter().map(|authority| authority.files.key);
    let leaves = certs::leaves(spec).into_iter().map(|leaf| leaf.files.key);
    let configs = kubeconfigs::kubeconfigs(spec).into_iter().map(|config| config.path);
    let own = std::iter::once(spec.node.paths.pki("sa.key")).chain(spec.cluster.encryption.clone());
    authorities.chain(leaves).chain(configs).chain(own).collect()
}

/// Collects the steps that are not met.
#[derive(Default)]
struct ToDo(Mutex<Vec<Difference>>);

impl Progress for ToDo {
    fn phase_begins(&self, _id: &str, _summary: &str, _place: (usize, usize)) {}
    fn step_begins(&self, _step: &str) {}
    fn step_ends(&self, phase: &str, step: &str, outcome: StepOutcome) {
        if outcome == StepOutcome::Planned {
            let difference = Difference { subject: phase.to_owned(), what: format!("not done: {step}") };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(difference);
        }
    }
    fn phase_ends(&self, _id: &str, _changed: usize, _took: Duration) {}
}
