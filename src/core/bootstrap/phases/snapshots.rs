//! Phase `snapshots`: the timers that take snapshots of etcd and verify that they can be restored.

use super::super::step::{FileStep, UnitStep};
use super::super::units;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// Services and timers; removed with an external etcd, or if snapshots are disabled.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let wanted = spec.cluster.snapshots.as_ref().filter(|_| spec.cluster.external_etcd.is_none());
    let snapshots = wanted.map(|wanted| {
        let service = units::render_snapshot_service(spec, wanted.keep);
        (service, units::render_snapshot_timer(&wanted.schedule))
    });
    let drills = wanted.and_then(|wanted| wanted.drills.as_ref());
    let drills = drills.map(|schedule| (units::render_drill_service(spec), units::render_drill_timer(schedule)));
    let mut steps = Vec::new();
    if snapshots.is_some() {
        // The services may write nothing but this folder, so it must be there before.
        steps.push(Step::File(FileStep::EnsureDir { path: spec.node.paths.snapshots.clone(), mode: 0o700 }));
    }
    steps.extend(plan_timer(spec, units::SNAPSHOT_SERVICE, units::SNAPSHOT_TIMER, snapshots));
    steps.extend(plan_timer(spec, units::DRILL_SERVICE, units::DRILL_TIMER, drills));
    Ok(steps)
}

/// Writes and starts a service and its timer with these texts; `None` removes them.
fn plan_timer(spec: &Spec, service: &str, timer: &str, texts: Option<(String, String)>) -> Vec<Step> {
    let folder = &spec.node.paths.units;
    let path = folder.join(timer);
    match texts {
        Some((service_text, timer_text)) => vec![
            Step::Unit(UnitStep::Write { path: folder.join(service), content: service_text }),
            Step::Unit(UnitStep::Write { path: path.clone(), content: timer_text }),
            Step::Unit(UnitStep::Enable { unit: timer.to_owned() }),
            Step::Unit(UnitStep::Start { unit: timer.to_owned(), configured_by: vec![path] }),
        ],
        None => vec![
            Step::Unit(UnitStep::Stop { unit: timer.to_owned() }),
            Step::Unit(UnitStep::Remove { path }),
            Step::Unit(UnitStep::Remove { path: folder.join(service) }),
        ],
    }
}
