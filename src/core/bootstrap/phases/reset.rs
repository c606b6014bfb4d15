//! The phases of `reset`: restores a node to its state before `init` or `join`.

use super::super::step::{FileStep, UnitStep};
use super::super::{Facts, PhaseError, Step};
use super::super::{hardening, kubeconfig, services, units};
use super::convert;
use crate::core::model::spec::{Component, Spec};
use crate::core::shutdown::SIGNAL_POLICY;
use crate::core::static_units::{RUN_DIR, unit_of};

/// Files directly in `/etc/kubernetes`.
const KUBECONFIGS: [&str; 8] = [
    "admin.conf",
    "super-admin.conf",
    "kubelet.conf",
    "bootstrap-kubelet.conf",
    "controller-manager.conf",
    "scheduler.conf",
    kubeconfig::SERVING_APPROVER_CONF,
    kubeconfig::CLOUD_CONF,
];

/// Stops the API server while etcd is available, so that it removes its address from the cluster's endpoints and exits
/// quickly.
pub fn plan_api(_spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let api = Component::ApiServer;
    Ok([unit_of(api.name()), services::unit(api)].map(|unit| Step::Unit(UnitStep::Stop { unit })).into())
}

/// Stops the units that would restart pods.
pub fn plan_units(_spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    // Units of static pods come first, while the kubelet can still terminate their pods; the agent before the kubelet,
    // since it would restore the network.
    let units = [
        units::RENEWAL_TIMER,
        units::SNAPSHOT_TIMER,
        units::DRILL_TIMER,
        units::STATIC_PODS,
        units::STATIC_POD_SLICE,
        units::AGENT,
        units::KUBELET,
    ];
    let mut steps: Vec<Step> = units.map(|unit| Step::Unit(UnitStep::Stop { unit: unit.to_owned() })).into();
    steps.extend(convert::stop_services());
    Ok(steps)
}

/// Terminates the pods, including etcd's and the API server's.
pub fn plan_pods(_spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(vec![Step::RemovePods])
}

/// Removes the pod network from the node.
pub fn plan_network(_spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(vec![Step::RemovePodNetwork])
}

/// Removes every file of ours; what the user put elsewhere stays, and so do snapshots, which should outlive a cluster.
pub fn plan_files(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let paths = &spec.node.paths;
    let units = [
        units::RENEWAL_TIMER,
        units::RENEWAL_SERVICE,
        units::SNAPSHOT_TIMER,
        units::SNAPSHOT_SERVICE,
        units::DRILL_TIMER,
        units::DRILL_SERVICE,
        units::AGENT,
        units::STATIC_PODS,
        units::STATIC_POD,
        units::KUBELET,
    ];
    let units = units.into_iter().chain(units::STATIC_POD_ORDER.map(|(name, _)| name));
    let mut steps: Vec<Step> =
        units.map(|unit| Step::Unit(UnitStep::Remove { path: paths.units.join(unit) })).collect();
    // Notes of pods that their units stopped, above all; another cluster is to start all of its pods.
    steps.push(Step::File(FileStep::EmptyDir { path: RUN_DIR.into() }));
    steps.extend(convert::remove_services(spec));
    steps.extend(
        [paths.kubelet.clone(), paths.manifests(), paths.pki.clone()]
            .map(|path| Step::File(FileStep::EmptyDir { path })),
    );
    if spec.cluster.external_etcd.is_none() {
        steps.push(Step::File(FileStep::EmptyDir { path: paths.etcd_data.clone() }));
        steps.push(Step::File(FileStep::OwnTree { path: paths.etcd_data.clone(), user: "root".to_owned() }));
    }
    steps.push(Step::File(FileStep::Remove { path: hardening::audit_policy_path(paths) }));
    steps.push(Step::File(FileStep::Remove { path: SIGNAL_POLICY.into() }));
    steps.extend(KUBECONFIGS.map(|name| Step::File(FileStep::Remove { path: paths.kubeconfig(name) })));
    Ok(steps)
}
