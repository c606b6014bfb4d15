//! What runs in the cluster, from the API and etcd.

use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use crate::bootstrap::etcd;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::upgrade::{ObservedCluster, ObservedMember, derive_cluster};
use crate::core::model::spec::Spec;
use crate::core::model::with_causes;
use crate::ports::bootstrap::{ClusterObjects, ObjectRef};

/// How long to retry while the API server is not ready.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

fn named(api_version: &str, kind: &str, name: &str) -> ObjectRef {
    ObjectRef::new(api_version, kind, Some("kube-system"), name)
}

/// Versions and health of all nodes, components and members; retried while the API server is still starting.
pub async fn observe_cluster(
    ports: &Ports,
    spec: &Spec,
    objects: &dyn ClusterObjects,
) -> Result<ObservedCluster, Error> {
    let begun = Instant::now();
    loop {
        match attempt(ports, spec, objects).await {
            Err(Error::Objects(error)) if error.is_transient() && begun.elapsed() < PATIENCE => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the API server does not answer yet; retrying"
                );
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn attempt(ports: &Ports, spec: &Spec, objects: &dyn ClusterObjects) -> Result<ObservedCluster, Error> {
    let nodes = objects.list(&ObjectRef::new("v1", "Node", None, ""), "").await?;
    let pods = objects.list(&named("v1", "Pod", ""), "").await?;
    let config = objects.get(&named("v1", "ConfigMap", "kubeadm-config")).await?;
    let coredns = objects.get(&named("apps/v1", "Deployment", "coredns")).await?;
    let mut cluster = derive_cluster(&nodes, &pods, config.as_ref(), coredns.as_ref());
    for report in etcd::health(ports, spec).await? {
        let fault = match &report.health {
            Ok(_) if report.is_healthy() => None,
            Ok(health) if health.leader == 0 => Some("it has no leader".to_owned()),
            Ok(health) => Some(health.errors.join(", ")),
            Err(error) => Some(with_causes(error)),
        };
        let version = report.health.as_ref().ok().and_then(|health| health.version.parse().ok());
        let name = if report.name.is_empty() { report.endpoint } else { report.name };
        cluster.etcd.push(ObservedMember { name, version, fault });
    }
    Ok(cluster)
}
