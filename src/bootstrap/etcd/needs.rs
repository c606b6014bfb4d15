//! Preconditions of every change to etcd.

use super::error::Error;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::units;
use crate::core::model::spec::Spec;

/// Fails if etcd is external.
pub fn must_be_ours(spec: &Spec) -> Result<(), Error> {
    match &spec.cluster.external_etcd {
        None => Ok(()),
        Some(_) => Err(Error::External),
    }
}

/// Fails when no kubelet runs.
pub async fn needs_kubelet(ports: &Ports) -> Result<(), Error> {
    match ports.units.state(units::KUBELET).await?.is_active() {
        true => Ok(()),
        false => Err(Error::NoKubelet),
    }
}
