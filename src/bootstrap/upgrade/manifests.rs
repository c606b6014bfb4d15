//! The manifests of this node: those wanted, those that are there, and copies of those that were replaced.

use std::path::{Path, PathBuf};

use super::KEPT;
use crate::bootstrap::error::StepError;
use crate::bootstrap::observe::observe_facts;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::membership::joined_members;
use crate::core::bootstrap::static_pods::{self, CONTROL_PLANE, ETCD};
use crate::core::bootstrap::upgrade::running;
use crate::core::model::spec::Spec;

/// The manifest of a component.
pub(super) fn path(spec: &Spec, component: &str) -> PathBuf {
    spec.node.paths.manifests().join(format!("{component}.yaml"))
}

/// Where its former one is kept.
pub(super) fn kept(component: &str) -> PathBuf {
    Path::new(KEPT).join(format!("{component}.yaml"))
}

/// The components of this node, each after those that it needs.
pub(super) fn components(spec: &Spec) -> Vec<&'static str> {
    let etcd = spec.cluster.external_etcd.is_none().then_some(ETCD);
    etcd.into_iter().chain(CONTROL_PLANE).collect()
}

/// True when an upgrade of this node was cut short.
pub fn is_under_way(ports: &Ports) -> Result<bool, StepError> {
    Ok(!ports.files.list(Path::new(KEPT))?.is_empty())
}

/// The wanted manifests. etcd's stays as it is while it runs the same program: only another version is worth a restart.
pub(super) async fn wanted(ports: &Ports, spec: &Spec) -> Result<Vec<(&'static str, String)>, StepError> {
    let mut facts = observe_facts(ports, spec, false).await?;
    let mut all = Vec::new();
    for component in components(spec) {
        let present = ports.files.read(&path(spec, component))?;
        if component == ETCD {
            facts.etcd_members = present.as_deref().and_then(joined_members).unwrap_or_default();
        }
        let rendered = static_pods::render(component, spec, &facts)?;
        let stays = component == ETCD && present.as_deref().is_some_and(|text| running::runs_the_same(text, &rendered));
        all.push((component, if stays { present.unwrap_or_default() } else { rendered }));
    }
    Ok(all)
}

/// Lets the settings have the versions that this node runs: whoever only changes flags or certificates keeps them.
pub fn keep_running(ports: &Ports, spec: &mut Spec) -> Result<(), StepError> {
    let mut manifests = Vec::new();
    for component in components(spec) {
        if let Some(text) = ports.files.read(&path(spec, component))? {
            manifests.push((component, text));
        }
    }
    running::keep_running(&mut spec.cluster, &manifests);
    Ok(())
}
