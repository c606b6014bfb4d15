//! The desired files of this node's components.

use super::Purpose;
use super::error::Error;
use super::form::Form;
use crate::bootstrap::observe::observe_facts;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::membership::{joined_members, peer_url};
use crate::core::bootstrap::upgrade::running;
use crate::core::model::spec::{Component, Spec};
use crate::ports::bootstrap::FileError;

/// True when such a change of this node was interrupted.
pub fn is_under_way(ports: &Ports, purpose: Purpose) -> Result<bool, FileError> {
    Ok(!ports.files.list(purpose.kept())?.is_empty())
}

/// The desired file of each component. An upgrade leaves etcd unchanged as long as its image is the same: only another
/// version is worth a restart.
pub(super) async fn wanted(
    ports: &Ports,
    spec: &Spec,
    form: Form,
    purpose: Purpose,
) -> Result<Vec<(Component, String)>, Error> {
    let mut facts = observe_facts(ports, spec, false).await?;
    let mut all = Vec::new();
    for component in spec.cluster.own_components() {
        let present = ports.files.read(&form.path(spec, component))?;
        if component == Component::Etcd {
            facts.etcd_members = present.as_deref().and_then(joined_members).unwrap_or_default();
            // The node's address may have changed.
            let own = facts.etcd_members.iter_mut().filter(|(name, _)| *name == spec.node.name);
            own.for_each(|(_, url)| *url = peer_url(spec));
        }
        let rendered = form.render(component, spec, &facts)?;
        let same = |text: &str| purpose == Purpose::Version && running::runs_the_same(text, &rendered);
        let stays = component == Component::Etcd && present.as_deref().is_some_and(same);
        all.push((component, if stays { present.unwrap_or_default() } else { rendered }));
    }
    Ok(all)
}

/// Replaces the versions in the settings by those that this node runs, for commands that change only flags or certificates.
pub fn keep_running(ports: &Ports, spec: &mut Spec) -> Result<(), FileError> {
    let mut manifests = Vec::new();
    for component in spec.cluster.own_components() {
        if let Some(text) = ports.files.read(&Form::Pods.path(spec, component))? {
            manifests.push((component, text));
        }
    }
    running::keep_running(&mut spec.cluster, &manifests);
    Ok(())
}
