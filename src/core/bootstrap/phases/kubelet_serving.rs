//! Phase `kubelet-serving-ca`: adds the CA for kubelets' serving certificates to a cluster of an older version.
//!
//! The first control plane creates and publishes it; the others receive it. While some kubelet has a certificate of
//! `ca.crt`, API servers trust both CAs; once all Nodes report the new one, they trust only that.

use super::super::key_handover::{KUBELET_SERVING_FILES, Wanted};
use super::super::kubelet_ca::{kubelet_authorities, kubelet_serving_ca};
use super::super::objects::render_kubelet_authority;
use super::super::rotation::{digest, ids};
use super::super::step::{FileStep, ObjectStep, PkiStep};
use super::super::{Facts, PhaseError, Step};
use crate::core::bootstrap::authorities::{authorities, ca_files};
use crate::core::model::spec::Spec;

/// The CA on this node, and the bundle by which API servers verify kubelets. No steps if the cluster could not be
/// asked.
pub fn plan(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let Some(kubelets) = &facts.kubelets else { return Ok(Vec::new()) };
    let files = kubelet_serving_ca(spec);
    let own = facts.kubelet_serving().and_then(|serving| serving.bundle.as_deref());
    let mut steps = Vec::new();
    match &kubelets.published {
        Some(published) if !own.is_some_and(|own| have_one_in_common(own, published)) => {
            steps.push(Step::ReceiveKeys {
                kubeconfig: spec.node.paths.kubeconfig("admin.conf"),
                node: spec.node.name.clone(),
                folder: spec.node.paths.pki.clone(),
                needed: KUBELET_SERVING_FILES.map(str::to_owned).to_vec(),
                wanted: Wanted::KubeletServing(digest([published.as_str()])),
            });
        }
        None if own.is_none() => {
            let wanted = authorities(spec).into_iter().filter(|authority| authority.files == files);
            steps.extend(wanted.map(|one| Step::Pki(PkiStep::MakeAuthority(one))));
        }
        Some(_) | None => {}
    }
    let path = kubelet_authorities(spec);
    let begins = own.is_none();
    if facts.kubelet_authorities && kubelets.are_signed {
        steps.push(Step::File(FileStep::Remove { path }));
    } else if facts.kubelet_authorities || (begins && !kubelets.are_signed) {
        let parts = vec![ca_files(spec).cert, files.cert];
        steps.push(Step::File(FileStep::Join { path, parts, mode: 0o644 }));
    }
    Ok(steps)
}

/// Publishes the CA created on this node, unless another one is published.
pub fn plan_published(_spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let own = facts.kubelet_serving().and_then(|serving| serving.bundle.as_deref());
    let (Some(own), Some(kubelets)) = (own, &facts.kubelets) else { return Ok(Vec::new()) };
    if kubelets.published.is_some() {
        return Ok(Vec::new());
    }
    let objects = render_kubelet_authority(own).into_iter();
    Ok(objects.map(|object| Step::Object(ObjectStep::Apply { object, create_only: true })).collect())
}

fn have_one_in_common(own: &str, published: &str) -> bool {
    let known = ids(published);
    ids(own).iter().any(|id| known.contains(id))
}
