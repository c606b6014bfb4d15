//! Preconditions of every change to etcd.

use crate::bootstrap::error::StepError;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::units;
use crate::core::model::spec::Spec;

/// Fails if etcd is external.
pub fn must_be_ours(spec: &Spec) -> Result<(), StepError> {
    match &spec.cluster.external_etcd {
        None => Ok(()),
        Some(_) => Err(StepError::NotOurEtcd),
    }
}

/// Fails if no kubelet is running.
pub async fn needs_kubelet(ports: &Ports) -> Result<(), StepError> {
    match ports.units.state(units::KUBELET).await?.is_active() {
        true => Ok(()),
        false => Err(StepError::NoKubelet),
    }
}
