//! Reads the state of the node: the facts that a phase plans from.

use std::path::{Path, PathBuf};

use super::error::StepError;
use super::etcd::client;
use super::ports::Ports;
use super::read_text::read_text;
use crate::core::bootstrap::authorities::authorities;
use crate::core::bootstrap::kubeconfig::CLOUD_CONF;
use crate::core::bootstrap::kubelet_ca::kubelet_authorities;
use crate::core::bootstrap::rotation::{self, ObservedAuthority, Rotation};
use crate::core::bootstrap::{Facts, api_files, kubeconfig, services};
use crate::core::model::short_digest;
use crate::core::model::spec::{Component, Spec};
use crate::ports::bootstrap::FileError;

/// Where systemd-resolved lists its upstream servers; pods cannot reach its local stub.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Reads the current facts.
pub async fn observe_facts(ports: &Ports, spec: &Spec, joins_etcd: bool) -> Result<Facts, StepError> {
    let mut facts = Facts::at((ports.now)());
    facts.ca = read_text(ports.files.as_ref(), &spec.node.paths.pki("ca.crt"))?;
    facts.kubelet_credentials = ports.files.info(&spec.node.paths.kubeconfig("kubelet.conf"))?.is_some();
    let kubelet = read_text(ports.files.as_ref(), &spec.node.paths.kubeconfig("kubelet.conf"))?;
    let kubelet = kubelet.and_then(|text| kubeconfig::parse(&text));
    facts.kubelet_rotates = kubelet.is_some_and(|parsed| parsed.client_certificate_path.is_some());
    facts.super_admin = ports.files.info(&spec.node.paths.kubeconfig("super-admin.conf"))?.is_some();
    facts.ca_key = ports.files.info(&spec.node.paths.pki("ca.key"))?.is_some();
    facts.rotation = observe_rotation(ports, spec)?;
    facts.kubelet_authorities = ports.files.info(&kubelet_authorities(spec))?.is_some();
    for (component, file) in [
        (Component::ControllerManager, "controller-manager.conf"),
        (Component::Scheduler, "scheduler.conf"),
        (Component::CloudControllerManager, CLOUD_CONF),
    ] {
        if let Some(text) = read_text(ports.files.as_ref(), &spec.node.paths.kubeconfig(file))?
            && let Some(certificate) = kubeconfig::parse(&text).and_then(|parsed| parsed.client_certificate)
        {
            facts.client_digests.insert(component, short_digest(&certificate));
        }
    }
    let of_etcd = spec.cluster.external_etcd.as_ref().map(api_files::etcd_files).unwrap_or_default();
    for (_, path) in api_files::files(&spec.cluster).into_iter().chain(of_etcd) {
        if let Some(text) = ports.files.read(path)? {
            facts.file_digests.insert(path.to_owned(), short_digest(&text));
        }
    }
    for component in Component::ALL {
        if ports.files.info(&spec.node.paths.units.join(services::unit(component)))?.is_some() {
            facts.services.insert(component);
        }
        if let Some(text) = ports.files.read(&spec.node.paths.manifest(component))? {
            facts.pods.insert(component);
            facts.manifests.insert(component, text);
        }
    }
    facts.etcd_data = !ports.files.list(&spec.node.paths.etcd_data)?.is_empty();
    if joins_etcd {
        facts.etcd_members = client::observe(ports, spec).await?;
    }
    let resolver = read_text(ports.files.as_ref(), Path::new("/etc/resolv.conf"))?.unwrap_or_default();
    if resolver.lines().any(|line| line.trim() == "nameserver 127.0.0.53")
        && ports.files.info(Path::new(RESOLVED))?.is_some()
    {
        facts.resolv_conf = Some(PathBuf::from(RESOLVED));
    }
    Ok(facts)
}

/// The CAs of this node, and those to come.
pub fn observe_rotation(ports: &Ports, spec: &Spec) -> Result<Rotation, FileError> {
    let read = |path: &Path| read_text(ports.files.as_ref(), path);
    let mut all = Rotation::default();
    for wanted in authorities(spec) {
        let next = rotation::next(&wanted.files);
        let seen = ObservedAuthority {
            bundle: read(&wanted.files.cert)?,
            former: read(&rotation::former(&wanted.files))?,
            next: read(&next.cert)?,
            key: ports.files.info(&wanted.files.key)?.is_some(),
            next_key: ports.files.info(&next.key)?.is_some(),
            cert: wanted.files.cert,
        };
        // A cluster older than this version has no CA for kubelets; a CA that does not exist is not replaced.
        if !seen.is_of_kubelets() || seen.bundle.is_some() || seen.next.is_some() {
            all.authorities.push(seen);
        }
    }
    Ok(all)
}
