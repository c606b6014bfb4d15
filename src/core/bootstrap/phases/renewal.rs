//! Phase `renewal`: the timer that renews certificates before they expire.

use super::super::step::UnitStep;
use super::super::units;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// Service and timer, or neither if renewal is disabled.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let service = spec.node.paths.units.join(units::RENEWAL_SERVICE);
    let timer = spec.node.paths.units.join(units::RENEWAL_TIMER);
    if !spec.cluster.certs.renewal {
        return Ok(vec![
            Step::Unit(UnitStep::Stop { unit: units::RENEWAL_TIMER.to_owned() }),
            Step::Unit(UnitStep::Remove { path: timer }),
            Step::Unit(UnitStep::Remove { path: service }),
        ]);
    }
    Ok(vec![
        Step::Unit(UnitStep::Write { path: service, content: units::render_renewal_service(spec) }),
        Step::Unit(UnitStep::Write {
            path: timer.clone(),
            content: units::render_renewal_timer(spec.cluster.certs.leaf),
        }),
        Step::Unit(UnitStep::Enable { unit: units::RENEWAL_TIMER.to_owned() }),
        Step::Unit(UnitStep::Start { unit: units::RENEWAL_TIMER.to_owned(), configured_by: vec![timer] }),
    ])
}
