//! The CAs of a cluster, as files on a control plane.

use super::kubelet_ca::KUBELET_SERVING_CA;
use super::pki::{Authority, KeyPairFiles};
use crate::core::model::spec::Spec;

/// Certificate and key of the cluster's CA, which signs API server and client certificates.
pub fn ca_files(spec: &Spec) -> KeyPairFiles {
    KeyPairFiles::named(&spec.node.paths.pki, "ca")
}

/// All CAs that a control plane of these settings has.
pub fn authorities(spec: &Spec) -> Vec<Authority> {
    let authority = |name: &str, common_name: &str| Authority {
        files: KeyPairFiles::named(&spec.node.paths.pki, name),
        common_name: common_name.to_owned(),
        life: spec.cluster.certs.ca,
    };
    let mut all = vec![authority("ca", "kubernetes"), authority("front-proxy-ca", "front-proxy-ca")];
    if spec.cluster.external_etcd.is_none() {
        all.push(authority("etcd/ca", "etcd-ca"));
    }
    all.push(authority(KUBELET_SERVING_CA, KUBELET_SERVING_CA));
    all
}
