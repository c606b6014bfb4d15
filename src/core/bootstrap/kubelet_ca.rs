//! Paths of the CA of kubelets' serving certificates.

use std::path::PathBuf;

use super::pki::KeyPairFiles;
use crate::core::model::spec::Spec;

/// Base name of its files, and its common name.
pub const KUBELET_SERVING_CA: &str = "kubelet-serving-ca";

/// The CA of kubelets' serving certificates. It is separate from `ca.crt` because a kubelet chooses the names in its
/// request: what trusts `ca.crt` must not trust those certificates.
pub fn kubelet_serving_ca(spec: &Spec) -> KeyPairFiles {
    KeyPairFiles::named(&spec.node.paths.pki, KUBELET_SERVING_CA)
}

/// The bundle by which API servers verify kubelets while some of them have certificates of `ca.crt`: both CAs.
pub fn kubelet_authorities(spec: &Spec) -> PathBuf {
    spec.node.paths.pki("kubelet-authorities.crt")
}
