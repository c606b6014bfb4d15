//! Steps on the node: whether one is already met, and how it is made true.
//!
//! A kind of step has a file here, with both in it: `is_met` reads and never writes, and `apply` may be run twice
//! without harm ("already exists" and "not found" are success).

mod files;
mod images;
mod keys;
mod kubeconfigs;
mod members;
mod objects;
mod owners;
mod pki;
mod reset;
mod units;
mod wait;

pub use units::is_enabled;

use super::error::StepError;
use super::ports::Ports;
use crate::core::bootstrap::Step;
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::Progress;

/// True if the step is already done.
pub async fn is_met(ports: &Ports, spec: &Spec, step: &Step) -> Result<bool, StepError> {
    match step {
        Step::File(step) => files::is_met(ports, step),
        Step::Pki(step) => pki::is_met(ports, step),
        Step::Kubeconfig(step) => kubeconfigs::is_met(ports, step).await,
        Step::Unit(step) => units::is_met(ports, spec, step).await,
        Step::Object(step) => Ok(objects::is_met(ports, spec, step).await),
        Step::Member(step) => members::is_met(ports, spec, step).await,
        Step::EnsureImage { reference, .. } => images::is_met(ports, reference).await,
        Step::ReceiveKeys { folder, needed, wanted, .. } => keys::is_met(ports, folder, needed, wanted),
        Step::WaitFor { condition, .. } => wait::is_met(ports, spec, condition).await,
        Step::RemovePods => reset::has_no_pods(ports).await,
        Step::RemovePodNetwork => reset::has_no_pod_network(ports).await,
    }
}

/// Applies a step that is not met.
pub async fn apply(ports: &Ports, spec: &Spec, step: &Step, progress: &dyn Progress) -> Result<StepOutcome, StepError> {
    match step {
        Step::File(step) => files::apply(ports, step)?,
        Step::Pki(step) => pki::apply(ports, step)?,
        Step::Kubeconfig(step) => kubeconfigs::apply(ports, step).await?,
        Step::Unit(step) => units::apply(ports, spec, step).await?,
        Step::Object(step) => return objects::apply(ports, spec, step).await,
        Step::Member(step) => return members::apply(ports, spec, step, progress).await,
        Step::EnsureImage { reference, from, pinned } => return images::apply(ports, reference, from, *pinned).await,
        Step::ReceiveKeys { kubeconfig, node, folder, needed, wanted } => {
            keys::apply(ports, kubeconfig, node, folder, needed, wanted).await?;
        }
        Step::WaitFor { condition, within } => {
            wait::apply(ports, spec, condition, *within).await?;
            // It became true by itself.
            return Ok(StepOutcome::Unchanged);
        }
        Step::RemovePods => reset::remove_pods(ports).await?,
        Step::RemovePodNetwork => reset::remove_pod_network(ports).await?,
    }
    Ok(StepOutcome::Changed)
}
