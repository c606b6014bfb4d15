//! Phase `renewal`: the timer that renews certificates before they expire.

use super::super::units;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// Service and timer, or neither if renewal is disabled.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let service = spec.node.paths.units.join(units::RENEWAL_SERVICE);
    let timer = spec.node.paths.units.join(units::RENEWAL_TIMER);
    if !spec.cluster.certs.renewal {
        return Ok(vec![
            Step::StopUnit { unit: units::RENEWAL_TIMER.to_owned() },
            Step::RemoveUnit { path: timer },
            Step::RemoveUnit { path: service },
        ]);
    }
    Ok(vec![
        Step::WriteUnit { path: service, content: units::render_renewal_service(spec) },
        Step::WriteUnit { path: timer.clone(), content: units::render_renewal_timer(spec.cluster.certs.leaf) },
        Step::EnableUnit { unit: units::RENEWAL_TIMER.to_owned() },
        Step::StartUnit { unit: units::RENEWAL_TIMER.to_owned(), configured_by: vec![timer] },
    ])
}
