//! Manifests of the control plane: the plain Pods of `static-pods/`, merged with this cluster's settings.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::kubelet_ca::{kubelet_authorities, kubelet_serving_ca};
use super::objects::{join_subnets, render_yaml};
use super::{Facts, api_files, hardening};
use crate::core::model::spec::{Component, ComponentSource, Endpoint, Spec};
use crate::core::yaml;

pub use super::pod_parts::{Error, VERSION_ANNOTATION};
use super::pod_parts::{HostPath, add_host_path};
pub use crate::core::manifest::host_image::SCRATCH_IMAGE;

/// Annotation with the digest of the client certificate that a controller was started with: a renewed certificate
/// creates a new pod.
const CLIENT_DIGEST: &str = "roost.io/client-certificate";
/// Annotation with the CAs that a component was started with during a CA rotation: changed CAs create a new pod.
const AUTHORITIES: &str = "roost.io/authorities";

/// Name of the volume that mounts a host program.
pub const PROGRAM_VOLUME: &str = "program";

/// The controller manager's flag for the CA of kubelets' serving certificates.
const SERVING_SIGNER: &str = "cluster-signing-kubelet-serving-cert-file";

/// The plain manifest of a component, as in `static-pods/`.
fn plain(component: Component) -> &'static str {
    match component {
        Component::Etcd => include_str!("../../../static-pods/etcd.yaml"),
        Component::ApiServer => include_str!("../../../static-pods/kube-apiserver.yaml"),
        Component::ControllerManager => include_str!("../../../static-pods/kube-controller-manager.yaml"),
        Component::Scheduler => include_str!("../../../static-pods/kube-scheduler.yaml"),
        Component::CloudControllerManager => include_str!("../../../static-pods/cloud-controller-manager.yaml"),
    }
}

/// The manifest of a component for this node, as YAML.
pub fn render(component: Component, spec: &Spec, facts: &Facts) -> Result<String, Error> {
    let mut pod = parse(component)?;
    let container = container_of(&mut pod, component)?;
    let mut flags = Flags::parse(container.command.as_deref().unwrap_or_default());
    flags.lay(component, spec, facts);
    container.command = Some(flags.render(component.name()));
    container.image = Some(spec.cluster.image(component.name()).to_owned());
    lay_probes(component, spec, container);
    lay_paths(component, spec, &mut pod);
    lay_annotations(component, spec, facts, &mut pod);
    if component == Component::ApiServer {
        api_files::lay(&spec.cluster, facts, &mut pod)?;
    }
    lay_program(component, spec, &mut pod)?;
    let value = serde_json::to_value(&pod).map_err(|error| manifest_error(component, error))?;
    Ok(format!("# Written by roost from static-pods/{component}.yaml.\n{}", render_yaml(&value)))
}

/// The manifest with its client-certificate digest replaced; `None` if it has none or already this one.
pub fn with_client_certificate(manifest: &str, digest: &str) -> Option<String> {
    let mut value = yaml::parse_document(manifest.as_bytes()).ok()?;
    let named = value.pointer_mut("/metadata/annotations")?.get_mut(CLIENT_DIGEST)?;
    if named == digest {
        return None;
    }
    *named = digest.into();
    let comment: String =
        manifest.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    Some(format!("{comment}{}", render_yaml(&value)))
}

/// The flags of a component for this node, without the program: for its systemd unit.
pub fn arguments(component: Component, spec: &Spec, facts: &Facts) -> Result<Vec<String>, Error> {
    if component == Component::ApiServer {
        api_files::digests(&spec.cluster, facts)?;
    }
    let mut pod = parse(component)?;
    let mut flags = Flags::parse(container_of(&mut pod, component)?.command.as_deref().unwrap_or_default());
    flags.lay(component, spec, facts);
    Ok(flags.render(component.name()).split_off(1))
}

/// The plain pod of a component, with its probes adapted to this node.
pub fn probed(component: Component, spec: &Spec) -> Result<Pod, Error> {
    let mut pod = parse(component)?;
    lay_probes(component, spec, container_of(&mut pod, component)?);
    Ok(pod)
}

fn manifest_error(component: Component, error: impl ToString) -> Error {
    Error::Manifest { component, message: error.to_string() }
}

fn parse(component: Component) -> Result<Pod, Error> {
    let value = yaml::parse_document(plain(component).as_bytes()).map_err(|error| manifest_error(component, error))?;
    serde_json::from_value(value).map_err(|error| manifest_error(component, error))
}

fn container_of(pod: &mut Pod, component: Component) -> Result<&mut Container, Error> {
    let spec = pod.spec.as_mut().ok_or_else(|| manifest_error(component, "no spec"))?;
    spec.containers.first_mut().ok_or_else(|| manifest_error(component, "no container"))
}

/// `--name=value` flags, sorted by name as kubeadm does.
struct Flags(BTreeMap<String, String>);

impl Flags {
    fn parse(command: &[String]) -> Self {
        let pairs = command.iter().skip(1).filter_map(|flag| flag.strip_prefix("--")?.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Sets the flags of this node, then the user's own flags, which override them.
    fn lay(&mut self, component: Component, spec: &Spec, facts: &Facts) {
        self.relocate(spec);
        self.set_all(hardening_flags(component, spec));
        self.set_all(derive_flags(component, spec, facts));
        for (name, value) in spec.cluster.extra_args.get(component.name()).into_iter().flatten() {
            self.set_or_remove(name, value);
        }
        if self.0.contains_key(SERVING_SIGNER) {
            self.split_signing();
        }
    }

    /// The controller manager accepts one pair of files for all signers, or one pair for each, never both
    /// (`cmd/kube-controller-manager/app/options/csrsigningcontroller.go`).
    fn split_signing(&mut self) {
        for kind in ["cert", "key"] {
            let Some(file) = self.0.remove(&format!("cluster-signing-{kind}-file")) else { continue };
            for signer in ["kube-apiserver-client", "kubelet-client", "legacy-unknown"] {
                let name = format!("cluster-signing-{signer}-{kind}-file");
                if !file.is_empty() {
                    self.0.entry(name).or_insert_with(|| file.clone());
                }
            }
        }
    }

    fn set_all(&mut self, flags: Vec<(&str, String)>) {
        self.0.extend(flags.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }

    fn set_or_remove(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    fn relocate(&mut self, spec: &Spec) {
        for value in self.0.values_mut() {
            *value = relocate(value, spec);
        }
    }

    fn render(&self, program: &str) -> Vec<String> {
        std::iter::once(program.to_owned())
            .chain(self.0.iter().map(|(name, value)| format!("--{name}={value}")))
            .collect()
    }
}

/// Translates a path in the plain manifests to this node's; other paths are unchanged.
fn relocate(path: &str, spec: &Spec) -> String {
    let paths = &spec.node.paths;
    let places: [(&str, &Path); 3] = [
        ("/etc/kubernetes/pki", &paths.pki),
        ("/etc/kubernetes", &paths.kubernetes),
        ("/var/lib/etcd", &paths.etcd_data),
    ];
    for (default, place) in places {
        if let Ok(rest) = Path::new(path).strip_prefix(default) {
            let mut moved = place.display().to_string();
            if !rest.as_os_str().is_empty() {
                moved = format!("{moved}/{}", rest.display());
            }
            return moved;
        }
    }
    path.to_owned()
}

fn hardening_flags(component: Component, spec: &Spec) -> Vec<(&'static str, String)> {
    if spec.cluster.hardening { hardening::flags(component) } else { Vec::new() }
}

/// The flags that follow from the settings.
fn derive_flags(component: Component, spec: &Spec, facts: &Facts) -> Vec<(&'static str, String)> {
    let cluster = &spec.cluster;
    let url = |host: &str, port: u16| Endpoint::new(host, port).url();
    let (address, loopback) = (spec.node.address.to_string(), spec.node.loopback().to_string());
    match component {
        Component::Etcd => {
            let peer = url(&address, 2380);
            let mut flags = vec![
                ("name", spec.node.name.clone()),
                ("advertise-client-urls", url(&address, 2379)),
                ("listen-client-urls", format!("{},{}", url(&loopback, 2379), url(&address, 2379))),
                ("listen-metrics-urls", format!("http://{}", Endpoint::new(loopback.as_str(), 2381))),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", format!("{}={peer}", spec.node.name)),
            ];
            if !facts.etcd_members.is_empty() {
                let members: Vec<_> = facts.etcd_members.iter().map(|(name, peer)| format!("{name}={peer}")).collect();
                flags.push(("initial-cluster", members.join(",")));
                flags.push(("initial-cluster-state", "existing".to_owned()));
            }
            flags
        }
        Component::ApiServer => {
            let mut flags = vec![
                ("advertise-address", address),
                ("secure-port", spec.node.api_port.to_string()),
                ("service-account-issuer", cluster.service_account_issuer()),
                ("service-cluster-ip-range", join_subnets(&cluster.service_subnets)),
                ("etcd-servers", url(&loopback, 2379)),
            ];
            if let Some(etcd) = &cluster.external_etcd {
                flags.extend([
                    ("etcd-servers", etcd.endpoints.join(",")),
                    ("etcd-cafile", etcd.ca.display().to_string()),
                    ("etcd-certfile", etcd.certificate.display().to_string()),
                    ("etcd-keyfile", etcd.key.display().to_string()),
                ]);
            }
            if facts.kubelet_serving().is_some() && cluster.signs_kubelet_servers() {
                let both = facts.kubelet_authorities.then(|| kubelet_authorities(spec));
                let file = both.unwrap_or_else(|| kubelet_serving_ca(spec).cert);
                flags.push(("kubelet-certificate-authority", file.display().to_string()));
            }
            flags.extend(api_files::flags(cluster));
            flags
        }
        Component::ControllerManager => {
            let mut flags = vec![("cluster-name", cluster.name.clone())];
            if !cluster.pod_subnets.is_empty() {
                flags.extend([
                    ("allocate-node-cidrs", "true".to_owned()),
                    ("cluster-cidr", join_subnets(&cluster.pod_subnets)),
                    ("service-cluster-ip-range", join_subnets(&cluster.service_subnets)),
                ]);
            }
            // With an external CA key nothing can be signed here (kubeadm does the same).
            if facts.external_ca() {
                flags.extend([
                    ("cluster-signing-cert-file", String::new()),
                    ("cluster-signing-key-file", String::new()),
                ]);
            }
            // The flag accepts only a file with one certificate.
            if let Some(signer) = facts.rotation.signer() {
                flags.push(("cluster-signing-cert-file", signer.display().to_string()));
            }
            if let Some(serving) = facts.kubelet_serving().filter(|serving| serving.key) {
                let files = kubelet_serving_ca(spec);
                let cert = serving.signer().unwrap_or(files.cert);
                flags.push((SERVING_SIGNER, cert.display().to_string()));
                flags.push(("cluster-signing-kubelet-serving-key-file", files.key.display().to_string()));
            }
            if cluster.external_cloud {
                flags.push(("cloud-provider", "external".to_owned()));
            }
            flags
        }
        Component::CloudControllerManager => {
            let mut flags = vec![("cluster-name", cluster.name.clone())];
            if !cluster.pod_subnets.is_empty() {
                flags.push(("cluster-cidr", join_subnets(&cluster.pod_subnets)));
            }
            flags
        }
        Component::Scheduler => Vec::new(),
    }
}

/// Adapts host and port of the probes to the flags.
fn lay_probes(component: Component, spec: &Spec, container: &mut Container) {
    let host =
        if component == Component::ApiServer { spec.node.address.to_string() } else { localhost_of(component, spec) };
    let probes = [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
    for probe in probes.into_iter().flatten() {
        if let Probe { http_get: Some(get), .. } = probe {
            get.host = Some(host.clone());
            get.port = IntOrString::String("probe-port".to_owned());
        }
    }
    if component == Component::ApiServer {
        for port in container.ports.iter_mut().flatten() {
            port.container_port = spec.node.api_port.into();
        }
    }
}

fn localhost_of(component: Component, spec: &Spec) -> String {
    let bound = spec.cluster.extra_args.get(component.name()).and_then(|flags| flags.get("bind-address"));
    match bound.map(String::as_str) {
        Some("0.0.0.0" | "::") | None if component != Component::Etcd => "127.0.0.1".to_owned(),
        Some(address) if component != Component::Etcd => address.to_owned(),
        Some(_) | None => spec.node.loopback().to_string(),
    }
}

fn lay_paths(component: Component, spec: &Spec, pod: &mut Pod) {
    let Some(pod_spec) = pod.spec.as_mut() else { return };
    for volume in pod_spec.volumes.iter_mut().flatten() {
        if let Some(host_path) = volume.host_path.as_mut() {
            host_path.path = relocate(&host_path.path, spec);
        }
    }
    for mount in pod_spec.containers.iter_mut().flat_map(|container| container.volume_mounts.iter_mut().flatten()) {
        mount.mount_path = relocate(&mount.mount_path, spec);
    }
    // The user chooses where certificates of an external etcd are.
    if let (Some(etcd), Component::ApiServer) = (&spec.cluster.external_etcd, component) {
        let folders: std::collections::BTreeSet<_> = [&etcd.ca, &etcd.certificate, &etcd.key]
            .into_iter()
            .filter_map(|path| path.parent())
            .filter(|folder| !folder.starts_with(&spec.node.paths.pki))
            .collect();
        for (index, folder) in folders.into_iter().enumerate() {
            let inside = folder.display().to_string();
            let certs = HostPath { path: folder, inside: &inside, kind: "Directory", writable: false };
            add_host_path(pod, &format!("etcd-certs-{index}"), certs);
        }
    }
}

fn lay_annotations(component: Component, spec: &Spec, facts: &Facts, pod: &mut Pod) {
    let address = spec.node.address;
    if let Some(trust) = trust(component, facts) {
        pod.metadata.annotations.get_or_insert_default().insert(AUTHORITIES.to_owned(), trust);
    }
    let annotation = match component {
        Component::Etcd => ("kubeadm.kubernetes.io/etcd.advertise-client-urls", Endpoint::new(address, 2379).url()),
        Component::ApiServer => (
            "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint",
            Endpoint::new(address, spec.node.api_port).to_string(),
        ),
        _ => match facts.client_digests.get(&component) {
            Some(digest) => (CLIENT_DIGEST, digest.clone()),
            None => return,
        },
    };
    pod.metadata.annotations.get_or_insert_default().insert(annotation.0.to_owned(), annotation.1);
}

/// Digest of the CAs that a component trusts, while there is more than one; it reads them only at startup.
pub(super) fn trust(component: Component, facts: &Facts) -> Option<String> {
    let reads = matches!(component, Component::Etcd | Component::ApiServer | Component::ControllerManager);
    facts.rotation.trust().filter(|_| reads)
}

/// Replaces the image's program by one of the host.
fn lay_program(component: Component, spec: &Spec, pod: &mut Pod) -> Result<(), Error> {
    let ComponentSource::Host { programs } = &spec.cluster.source else { return Ok(()) };
    let program = programs.get(component.name()).ok_or_else(|| Error::NoProgram(component.to_string()))?;
    let inside = format!("/usr/local/bin/{component}");
    let container = container_of(pod, component)?;
    container.image = Some(SCRATCH_IMAGE.to_owned());
    if let Some(first) = container.command.as_mut().and_then(|command| command.first_mut()) {
        first.clone_from(&inside);
    }
    add_host_path(pod, PROGRAM_VOLUME, HostPath { path: program, inside: &inside, kind: "File", writable: false });
    if component != Component::Etcd {
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(VERSION_ANNOTATION.to_owned(), spec.cluster.version.clone());
    }
    Ok(())
}
