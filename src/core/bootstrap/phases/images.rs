//! Phase `images`: a running container runtime, and the images of the control plane in it.

use std::time::Duration;

use super::super::static_pods::SCRATCH_IMAGE;
use super::super::step::{Condition, ImageOrigin, UnitStep};
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::{Component, ComponentSource, Spec};

const RUNTIME_UNIT: &str = "containerd.service";

/// The runtime and every image of this node's control plane.
pub fn plan(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let etcd = spec.cluster.external_etcd.is_none().then_some(Component::Etcd);
    let cloud = spec.cluster.runs_cloud_controller().then_some(Component::CloudControllerManager);
    let components = Component::CONTROL_PLANE.into_iter().chain(etcd).chain(cloud).map(Component::name);
    plan_some(spec, facts, &components.collect::<Vec<_>>())
}

/// The runtime and the images that every node needs.
pub fn plan_worker(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    plan_some(spec, facts, &[])
}

fn plan_some(spec: &Spec, _facts: &Facts, components: &[&str]) -> Result<Vec<Step>, PhaseError> {
    let unit = RUNTIME_UNIT.to_owned();
    let mut steps = vec![
        Step::Unit(UnitStep::Enable { unit: unit.clone() }),
        Step::Unit(UnitStep::Start { unit, configured_by: Vec::new() }),
        Step::WaitFor {
            condition: Condition::FileExists { path: spec.node.runtime_socket.clone() },
            within: Duration::from_secs(30),
        },
    ];
    let ensure = |component: &str, from: ImageOrigin| Step::EnsureImage {
        reference: spec.cluster.image(component).to_owned(),
        from,
        pinned: component == "pause",
    };
    // Without the sandbox image no pod starts, whatever the source of the components.
    match &spec.cluster.source {
        ComponentSource::Registry => {
            steps.push(ensure("pause", ImageOrigin::Registry));
            steps.extend(components.iter().map(|component| ensure(component, ImageOrigin::Registry)));
        }
        ComponentSource::Archive { paths } => {
            let mut all = components.to_vec();
            all.push("pause");
            if spec.cluster.network.dns {
                all.push("coredns");
            }
            if spec.cluster.network.proxy.is_some() {
                all.push("kube-proxy");
            }
            steps.extend(all.iter().map(|component| ensure(component, ImageOrigin::Archives(paths.clone()))));
        }
        ComponentSource::Host { programs } => {
            let from = programs.get("pause").cloned().map_or(ImageOrigin::Registry, ImageOrigin::Program);
            steps.push(ensure("pause", from));
        }
    }
    // Static pods may run host programs, whatever the source of the components.
    steps.push(Step::EnsureImage { reference: SCRATCH_IMAGE.to_owned(), from: ImageOrigin::Scratch, pinned: true });
    Ok(steps)
}
