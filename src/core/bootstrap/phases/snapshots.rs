//! Phase `snapshots`: the timer that takes snapshots of etcd.

use super::super::units;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// Service and timer; none with an etcd of somebody else's, or when nobody wants them.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let wanted = spec.cluster.snapshots.as_ref().filter(|_| spec.cluster.external_etcd.is_none());
    let service = spec.node.paths.units.join(units::SNAPSHOT_SERVICE);
    let timer = spec.node.paths.units.join(units::SNAPSHOT_TIMER);
    let Some(wanted) = wanted else {
        return Ok(vec![
            Step::StopUnit { unit: units::SNAPSHOT_TIMER.to_owned() },
            Step::RemoveUnit { path: timer },
            Step::RemoveUnit { path: service },
        ]);
    };
    Ok(vec![
        // The service may write nothing but this folder, so it must be there before.
        Step::EnsureDir { path: spec.node.paths.snapshots.clone(), mode: 0o700 },
        Step::WriteUnit { path: service, content: units::render_snapshot_service(spec, wanted.keep) },
        Step::WriteUnit { path: timer.clone(), content: units::render_snapshot_timer(&wanted.schedule) },
        Step::EnableUnit { unit: units::SNAPSHOT_TIMER.to_owned() },
        Step::StartUnit { unit: units::SNAPSHOT_TIMER.to_owned(), configured_by: vec![timer] },
    ])
}
