//! `bootstrap certs renew`: certificates of the control plane, in this node's turn.

use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use crate::bootstrap::api::administrator;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::renewal::{Turn, end_turn, take_turn};
use crate::bootstrap::run::{RunOptions, run};
use crate::core::bootstrap::workflow::RENEW;
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{ClusterObjects, Progress};

/// Renews what is due, or everything with `reissue`. Returns how many steps were changed (or, in a dry run, would be).
pub async fn renew(ports: &Ports, spec: &Spec, options: &RunOptions, progress: &dyn Progress) -> Result<usize, Error> {
    if ports.files.info(&spec.node.paths.pki("ca.crt"))?.is_none() {
        return Err(Error::NoCertificates);
    }
    let turn = if options.dry_run { None } else { turn(ports, spec, options.reissue, progress).await? };
    let outcome = run(RENEW, spec, ports, options, &|facts| facts, progress).await;
    if let Some(objects) = turn {
        end_turn(objects.as_ref()).await;
    }
    Ok(outcome?)
}

/// This node's turn among the control planes; `None` if nothing is due, or if there is no API to take turns by.
async fn turn(
    ports: &Ports,
    spec: &Spec,
    reissue: bool,
    progress: &dyn Progress,
) -> Result<Option<Arc<dyn ClusterObjects>>, Error> {
    let look = RunOptions { dry_run: true, reissue, ..RunOptions::default() };
    if run(RENEW, spec, ports, &look, &|facts| facts, &Silent).await? == 0 {
        return Ok(None);
    }
    let Ok(objects) = administrator(ports, spec).await else { return Ok(None) };
    match take_turn(objects.as_ref(), &spec.node.name, ports.now, progress).await {
        Turn::Taken => Ok(Some(objects)),
        Turn::NoApi => Ok(None),
        // Renewing at the same time as another node is better than not renewing.
        Turn::NeverCame => {
            progress.step_says("other control planes did not finish in time; continuing without waiting");
            Ok(None)
        }
    }
}

/// Progress of a look ahead, which is shown to nobody.
struct Silent;

impl Progress for Silent {
    fn phase_begins(&self, _id: &str, _summary: &str, _place: (usize, usize)) {}
    fn step_begins(&self, _step: &str) {}
    fn step_ends(&self, _phase: &str, _step: &str, _outcome: StepOutcome) {}
    fn phase_ends(&self, _id: &str, _changed: usize, _took: Duration) {}
}
