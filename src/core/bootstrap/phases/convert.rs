//! Phases of `convert`: moves a running control plane from static pods to systemd services, or back, one component at a
//! time. The old instance has stopped before the new one starts with the same data and ports.
//!
//! The API server stops before etcd moves: etcd takes seconds to release a client, so this way there is only one short
//! outage.

use std::time::Duration;

use super::super::services::{self, etcd_folders};
use super::super::step::{Condition, FileStep, UnitStep};
use super::super::units::KUBELET;
use super::super::{Facts, PhaseError, Step};
use super::control_plane::{plan_component, wait_for_etcd};
use super::ready;
use crate::core::model::spec::{Component, ControlPlaneMode, Spec};

/// Time for a static pod to start, and for the kubelet to answer.
const PATIENCE: Duration = Duration::from_secs(240);

type Plan = Result<Vec<Step>, PhaseError>;

/// Requires the kubelet: only it starts and stops pods.
pub fn plan_kubelet(_spec: &Spec, _facts: &Facts) -> Plan {
    let condition = Condition::UnitActive { unit: KUBELET.to_owned() };
    Ok(vec![Step::WaitFor { condition, within: Duration::from_secs(10) }])
}

/// etcd as a service.
pub fn etcd_to_service(spec: &Spec, facts: &Facts) -> Plan {
    if spec.cluster.external_etcd.is_some() {
        return Ok(Vec::new());
    }
    let mut steps = without_pod(Component::ApiServer, spec);
    steps.extend(to_service(Component::Etcd, spec, facts)?);
    Ok(steps)
}

/// The API server as a service.
pub fn api_to_service(spec: &Spec, facts: &Facts) -> Plan {
    to_service(Component::ApiServer, spec, facts)
}

/// Controller manager, scheduler and the cloud controller manager as services.
pub fn controllers_to_service(spec: &Spec, facts: &Facts) -> Plan {
    let mut steps = Vec::new();
    for component in controllers(spec) {
        steps.extend(to_service(component, spec, facts)?);
    }
    Ok(steps)
}

fn controllers(spec: &Spec) -> Vec<Component> {
    let cloud = spec.cluster.runs_cloud_controller().then_some(Component::CloudControllerManager);
    [Component::ControllerManager, Component::Scheduler].into_iter().chain(cloud).collect()
}

/// etcd as a static pod.
pub fn etcd_to_pod(spec: &Spec, facts: &Facts) -> Plan {
    if spec.cluster.external_etcd.is_some() {
        return Ok(Vec::new());
    }
    let mut steps = without_service(Component::ApiServer, spec);
    steps.extend(to_pod(Component::Etcd, spec, facts)?);
    Ok(steps)
}

/// The API server as a static pod.
pub fn api_to_pod(spec: &Spec, facts: &Facts) -> Plan {
    to_pod(Component::ApiServer, spec, facts)
}

/// Controller manager, scheduler and the cloud controller manager as static pods.
pub fn controllers_to_pod(spec: &Spec, facts: &Facts) -> Plan {
    let mut steps = Vec::new();
    for component in controllers(spec) {
        steps.extend(to_pod(component, spec, facts)?);
    }
    Ok(steps)
}

/// Removes the unit that created the users; the users stay.
pub fn plan_no_users(spec: &Spec, _facts: &Facts) -> Plan {
    let path = spec.node.paths.units.join(services::USERS);
    Ok(vec![Step::Unit(UnitStep::Stop { unit: services::USERS.to_owned() }), Step::Unit(UnitStep::Remove { path })])
}

fn to_service(component: Component, spec: &Spec, facts: &Facts) -> Plan {
    let mut steps = without_pod(component, spec);
    for step in plan_component(component, spec, facts, ControlPlaneMode::Systemd)? {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    match component {
        Component::Etcd => steps.push(wait_for_etcd()),
        Component::ApiServer => steps.extend(ready::plan_api(spec, facts)?),
        _ => {}
    }
    Ok(steps)
}

fn to_pod(component: Component, spec: &Spec, facts: &Facts) -> Plan {
    let mut steps = without_service(component, spec);
    if component == Component::Etcd {
        let root = |path| Step::File(FileStep::OwnTree { path, user: "root".to_owned() });
        steps.extend(etcd_folders(spec).into_iter().map(root));
    }
    steps.extend(plan_component(component, spec, facts, ControlPlaneMode::StaticPods)?);
    let condition = Condition::PodRuns { component };
    steps.push(Step::WaitFor { condition, within: PATIENCE });
    if component == Component::ApiServer {
        steps.extend(ready::plan_api(spec, facts)?);
    }
    Ok(steps)
}

fn without_pod(component: Component, spec: &Spec) -> Vec<Step> {
    let path = spec.node.paths.manifest(component);
    let condition = Condition::PodGone { component };
    vec![Step::File(FileStep::Remove { path }), Step::WaitFor { condition, within: PATIENCE }]
}

fn without_service(component: Component, spec: &Spec) -> Vec<Step> {
    let unit = services::unit(component);
    let path = spec.node.paths.units.join(&unit);
    vec![Step::Unit(UnitStep::Stop { unit }), Step::Unit(UnitStep::Remove { path })]
}

/// Stops every service, dependents first.
pub fn stop_services() -> Vec<Step> {
    let components = Component::ALL.into_iter().rev().map(services::unit);
    components.chain([services::USERS.to_owned()]).map(|unit| Step::Unit(UnitStep::Stop { unit })).collect()
}

/// Removes the unit files of all services.
pub fn remove_services(spec: &Spec) -> Vec<Step> {
    let units = Component::ALL.into_iter().map(services::unit).chain([services::USERS.to_owned()]);
    units.map(|unit| Step::Unit(UnitStep::Remove { path: spec.node.paths.units.join(unit) })).collect()
}
