//! Phase `keys`: receives the files that all control planes share from one of them.

use super::super::key_handover::{SHARED_FILES, Wanted};
use super::super::step::FileStep;
use super::super::{Facts, PhaseError, Step};
use super::kubelet_join::BOOTSTRAP_CONF;
use crate::core::model::spec::Spec;

/// The shared files. A node that already has them sends no request, so they may also be copied to it in advance.
pub fn plan(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let pki = &spec.node.paths.pki;
    let own_etcd = spec.cluster.external_etcd.is_none();
    let mut steps = vec![Step::File(FileStep::EnsureDir { path: pki.clone(), mode: 0o755 })];
    if own_etcd {
        steps.push(Step::File(FileStep::EnsureDir { path: pki.join("etcd"), mode: 0o755 }));
    }
    // The key of a CA may be external; certificates and the service-account key are on every control plane. Clusters of
    // an older version may not have a CA for kubelets yet (phase `kubelet-serving-ca`).
    let may_lack = |name: &str| name.ends_with("ca.key") || name.starts_with("kubelet-");
    let needed = SHARED_FILES.iter().filter(|name| !may_lack(name) && (own_etcd || !name.starts_with("etcd/")));
    steps.push(Step::ReceiveKeys {
        // An existing node asks with its own identity; an administrator has to approve that.
        kubeconfig: spec.node.paths.kubeconfig(if facts.kubelet_credentials { "kubelet.conf" } else { BOOTSTRAP_CONF }),
        node: spec.node.name.clone(),
        folder: pki.clone(),
        needed: needed.map(|name| (*name).to_owned()).collect(),
        wanted: Wanted::Shared,
    });
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cluster::{HostDefaults, Layers, derive_spec};

    #[test]
    fn keys_of_authorities_may_be_elsewhere_but_not_those_of_service_accounts() {
        let host = HostDefaults { name: "n2".into(), address: Some([10, 0, 0, 2].into()), program: "/b".into() };
        let spec = derive_spec(&Layers::defaults(), &host).unwrap();
        let steps = plan(&spec, &Facts::at(jiff::Timestamp::UNIX_EPOCH)).unwrap();
        let Some(Step::ReceiveKeys { needed, .. }) = steps.last() else { panic!("{steps:?}") };
        assert_eq!(needed, &["ca.crt", "etcd/ca.crt", "front-proxy-ca.crt", "sa.key", "sa.pub"]);
    }
}
