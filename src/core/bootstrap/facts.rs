//! What was observed before a phase is planned. Whether a single step is already met is not a fact: the driver checks
//! that for each step.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;

use super::Step;
use super::kubelet_ca::{kubelet_authorities, kubelet_serving_ca};
use super::rotation::{ObservedAuthority, Rotation};
use super::step::{FileStep, MemberStep, PkiStep};
use crate::core::model::Secret;
use crate::core::model::spec::{Component, Spec};

/// The state of the world, as far as phases depend on it. Facts that cannot be known yet (there is no API server) are
/// `None`.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When the phase is planned.
    pub now: Timestamp,
    /// The cluster's CA certificate in PEM, once it is on the node.
    pub ca: Option<String>,
    /// True when the CA's key is on the node; without it a CA certificate is external.
    pub ca_key: bool,
    /// The resolver file for pods, if `/etc/resolv.conf` names a resolver that pods cannot reach (systemd-resolved).
    pub resolv_conf: Option<PathBuf>,
    /// Name and peer URL of etcd's members, this node's included; empty before a new etcd is created.
    pub etcd_members: Vec<(String, String)>,
    /// Digests of the client certificates in the controllers' kubeconfigs. A controller reads its
    /// kubeconfig only at startup, so its manifest carries the digest that it was started with.
    pub client_digests: BTreeMap<Component, String>,
    /// Digests of the files that the API server reads only when it starts, by path; missing files have no entry.
    pub file_digests: BTreeMap<PathBuf, String>,
    /// True when the kubelet keeps its client certificate in a file of its own, which it renews itself.
    pub kubelet_rotates: bool,
    /// True if `super-admin.conf`, the emergency credentials, is on the node: only on the first control plane.
    pub super_admin: bool,
    /// True when etcd's data directory is not empty.
    pub etcd_data: bool,
    /// Components that have a unit on this node.
    pub services: BTreeSet<Component>,
    /// Components that have a manifest on this node.
    pub pods: BTreeSet<Component>,
    /// Text of those manifests.
    pub manifests: BTreeMap<Component, String>,
    /// True when the kubelet has its own client certificate (`kubelet.conf` exists).
    pub kubelet_credentials: bool,
    /// Number of CoreDNS replicas; `None` if not observed.
    pub dns_replicas: Option<u64>,
    /// The current CAs, and the next ones during a rotation.
    pub rotation: Rotation,
    /// True when the file with both CAs of kubelets (`kubelet-authorities.crt`) exists.
    pub kubelet_authorities: bool,
    /// What the cluster reports about its kubelets' serving certificates; `None` if not observed.
    pub kubelets: Option<ObservedKubelets>,
    /// What a joining node discovered; `None` on the first node of a cluster.
    pub joining: Option<Joining>,
}

/// Which CA signs the serving certificates of kubelets, as the cluster reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedKubelets {
    /// The CA published in the cluster, PEM; `None` if there is none yet.
    pub published: Option<String>,
    /// True when every Node reports a serving certificate signed by that CA.
    pub are_signed: bool,
}

/// What a joining node knows about its cluster.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The bootstrap token; `None` when a node that already joined is run again without one.
    pub token: Option<Secret<String>>,
    /// The cluster's CA certificates in PEM, verified by discovery.
    pub ca: String,
    /// Uids of this node's certificate requests that were denied in an earlier attempt.
    pub denied: BTreeSet<String>,
}

impl Facts {
    /// Facts of which only the time is known.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            ca: None,
            ca_key: false,
            resolv_conf: None,
            etcd_members: Vec::new(),
            client_digests: BTreeMap::new(),
            file_digests: BTreeMap::new(),
            kubelet_rotates: false,
            super_admin: false,
            etcd_data: false,
            services: BTreeSet::new(),
            pods: BTreeSet::new(),
            manifests: BTreeMap::new(),
            kubelet_credentials: false,
            dns_replicas: None,
            rotation: Rotation::default(),
            kubelet_authorities: false,
            kubelets: None,
            joining: None,
        }
    }

    /// True when the CA's certificate is on the node and its key is not.
    pub fn external_ca(&self) -> bool {
        self.ca.is_some() && !self.ca_key
    }

    /// The CA of kubelets' serving certificates, once it is on the node.
    pub fn kubelet_serving(&self) -> Option<&ObservedAuthority> {
        self.rotation.authorities.iter().find(|authority| authority.is_of_kubelets())
    }

    /// True when this node runs a component, as a pod or as a service.
    pub fn has_component(&self, component: Component) -> bool {
        self.pods.contains(&component) || self.services.contains(&component)
    }

    /// Records a planned step as done, so that a dry run can plan the following phases.
    pub fn assume(&mut self, step: &Step, spec: &Spec) {
        if let Step::Pki(PkiStep::MakeAuthority(authority)) = step
            && authority.files.cert == spec.node.paths.pki("ca.crt")
            && self.ca.is_none()
        {
            self.ca = Some("(the certificate that phase certs creates)".to_owned());
            self.ca_key = true;
        }
        if let Step::Pki(PkiStep::MakeAuthority(authority)) = step
            && authority.files == kubelet_serving_ca(spec)
            && self.kubelet_serving().is_none()
        {
            self.rotation.authorities.push(ObservedAuthority {
                cert: authority.files.cert.clone(),
                bundle: Some("(the certificate to be created)".to_owned()),
                key: true,
                ..ObservedAuthority::default()
            });
        }
        if let Step::File(FileStep::Join { path, .. }) | Step::File(FileStep::Remove { path }) = step
            && *path == kubelet_authorities(spec)
        {
            self.kubelet_authorities = matches!(step, Step::File(FileStep::Join { .. }));
        }
        if let Step::Member(MemberStep::Add { name, peer_url }) = step
            && !self.etcd_members.iter().any(|(_, url)| url == peer_url)
        {
            self.etcd_members.push((name.clone(), peer_url.clone()));
        }
    }
}
