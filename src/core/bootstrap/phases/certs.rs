//! Phase `certs`: the CAs, the leaves and the service-account key of a control-plane node
//! (docs/contract.md, bootstrap 1; kubeadm's `phases/certs/certlist.go`).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::super::authorities::{authorities, ca_files};
use super::super::kubelet_ca::kubelet_serving_ca;
use super::super::pki::{Authority, Certificate, KeyPairFiles, San, Subject, Usage};
use super::super::step::{FileStep, PkiStep};
use super::super::{Facts, PhaseError, Step};
use super::kubeconfigs;
use crate::core::model::spec::{Component, Spec};

/// The PKI folder and everything in it.
pub fn plan(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let pki = &spec.node.paths.pki;
    let mut steps = vec![Step::File(FileStep::EnsureDir { path: pki.clone(), mode: 0o755 })];
    if spec.cluster.external_etcd.is_none() {
        steps.push(Step::File(FileStep::EnsureDir { path: pki.join("etcd"), mode: 0o755 }));
    }
    let serving = kubelet_serving_ca(spec);
    // On a control plane that already runs, the kubelets' CA is created by phase `kubelet-serving-ca`, in step with the
    // other control planes.
    let may_be_made = |wanted: &Authority| {
        wanted.files != serving || facts.kubelet_serving().is_some() || !facts.has_component(Component::ApiServer)
    };
    steps.extend(authorities(spec).into_iter().filter(may_be_made).map(|one| Step::Pki(PkiStep::MakeAuthority(one))));
    // Whoever holds the CA's key elsewhere brings along what it signs.
    let (brought, issued): (Vec<_>, Vec<_>) = leaves(spec)
        .into_iter()
        .partition(|certificate| facts.external_ca() && certificate.leaf.signer == ca_files(spec));
    if facts.external_ca() {
        let kubeconfigs = kubeconfigs::kubeconfigs(spec);
        steps.push(Step::Pki(PkiStep::FindSigned { signer: ca_files(spec).cert, certificates: brought, kubeconfigs }));
    }
    steps.extend(issued.into_iter().map(|one| Step::Pki(PkiStep::IssueCert(one))));
    steps.push(Step::Pki(PkiStep::GenerateKey { key: pki.join("sa.key"), public: pki.join("sa.pub") }));
    Ok(steps)
}

/// The certificates of it that can be renewed on this node.
pub fn plan_renewal(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = plan(spec, facts)?;
    steps.retain(|step| !matches!(step, Step::Pki(PkiStep::FindSigned { .. })));
    Ok(steps)
}

/// The leaves of an additional control plane, signed by the CAs that were handed over. No CA is created here: the
/// cluster would not trust it.
pub fn plan_joining(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = plan(spec, facts)?;
    steps.retain(|step| !matches!(step, Step::Pki(PkiStep::MakeAuthority(_)) | Step::Pki(PkiStep::GenerateKey { .. })));
    for step in &mut steps {
        if let Step::Pki(PkiStep::FindSigned { kubeconfigs, .. }) = step {
            kubeconfigs.retain(kubeconfigs::is_of_joining);
        }
    }
    Ok(steps)
}

/// The leaves in the PKI folder of a control plane, without those inside kubeconfigs.
pub fn leaves(spec: &Spec) -> Vec<Certificate> {
    let leaf = |name: &str, signer: &str, common_name: &str, usage, sans| Certificate {
        files: KeyPairFiles::named(&spec.node.paths.pki, name),
        leaf: super::super::pki::Leaf {
            signer: KeyPairFiles::named(&spec.node.paths.pki, signer),
            subject: Subject::named(common_name),
            usage,
            sans,
            life: spec.cluster.certs.leaf,
        },
    };
    let none = BTreeSet::new;
    let mut all = vec![
        leaf("apiserver", "ca", "kube-apiserver", Usage::Server, apiserver_sans(spec)),
        leaf("apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client", Usage::Client, none()),
        leaf("front-proxy-client", "front-proxy-ca", "front-proxy-client", Usage::Client, none()),
    ];
    if spec.cluster.external_etcd.is_none() {
        let name = spec.node.name.as_str();
        let sans = BTreeSet::from([
            San::Dns(name.to_owned()),
            San::Dns("localhost".to_owned()),
            San::Ip(spec.node.address),
            San::parse("127.0.0.1"),
            San::parse("::1"),
        ]);
        all.extend([
            leaf("etcd/server", "etcd/ca", name, Usage::Both, sans.clone()),
            leaf("etcd/peer", "etcd/ca", name, Usage::Both, sans),
            leaf("etcd/healthcheck-client", "etcd/ca", "kube-etcd-healthcheck-client", Usage::Client, none()),
            leaf("apiserver-etcd-client", "etcd/ca", "kube-apiserver-etcd-client", Usage::Client, none()),
        ]);
    }
    all
}

fn apiserver_sans(spec: &Spec) -> BTreeSet<San> {
    let cluster = &spec.cluster;
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned);
    let mut sans: BTreeSet<San> = names.into_iter().map(San::Dns).collect();
    sans.insert(San::Dns(format!("kubernetes.default.svc.{}", cluster.dns_domain)));
    sans.insert(San::Dns(spec.node.name.clone()));
    sans.insert(San::Ip(spec.node.address));
    sans.insert(San::parse(&cluster.endpoint.host));
    // For clients that connect through the node's own balancer.
    sans.insert(San::Ip(Ipv4Addr::LOCALHOST.into()));
    sans.extend(cluster.api_service_ip().map(San::Ip));
    sans.extend(cluster.certs.sans.iter().map(|name| San::parse(name)));
    sans
}
