//! Where the CA of kubelets' serving certificates is kept.

use std::path::PathBuf;

use super::pki::KeyPairFiles;
use crate::core::model::spec::Spec;

/// Name of its files, and its CN.
pub const KUBELET_SERVING_CA: &str = "kubelet-serving-ca";

/// The CA of kubelets' serving certificates. A kubelet says itself which names it wants, so that whoever trusts
/// `ca.crt` must not come to trust these.
pub fn kubelet_serving_ca(spec: &Spec) -> KeyPairFiles {
    KeyPairFiles::named(&spec.node.paths.pki, KUBELET_SERVING_CA)
}

/// What API servers verify kubelets with as long as some of those have certificates of `ca.crt`: both CAs.
pub fn kubelet_authorities(spec: &Spec) -> PathBuf {
    spec.node.paths.pki("kubelet-authorities.crt")
}
