//! Reads the state of the node: the facts that phases plan from, and whether a step is already met.

use std::path::{Path, PathBuf};

use super::conditions;
use super::credentials::{self, read_text};
use super::error::StepError;
use super::keys;
use super::member_address;
use super::members;
use super::objects;
use super::owners;
use super::pods;
use super::ports::Ports;
use crate::core::bootstrap::authorities::authorities;
use crate::core::bootstrap::kubeconfig::CLOUD_CONF;
use crate::core::bootstrap::kubelet_ca::kubelet_authorities;
use crate::core::bootstrap::rotation::{self, ObservedAuthority, Rotation};
use crate::core::bootstrap::{Facts, Step, api_files, kubeconfig, services, units};
use crate::core::model::short_digest;
use crate::core::model::spec::{CLOUD_CONTROLLER_MANAGER, Spec};
use crate::ports::bootstrap::UnitState;

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
        ("kube-controller-manager", "controller-manager.conf"),
        ("kube-scheduler", "scheduler.conf"),
        (CLOUD_CONTROLLER_MANAGER, CLOUD_CONF),
    ] {
        if let Some(text) = read_text(ports.files.as_ref(), &spec.node.paths.kubeconfig(file))?
            && let Some(certificate) = kubeconfig::parse(&text).and_then(|parsed| parsed.client_certificate)
        {
            facts.client_digests.insert(component.to_owned(), short_digest(&certificate));
        }
    }
    let of_etcd = spec.cluster.external_etcd.as_ref().map(api_files::etcd_files).unwrap_or_default();
    for (_, path) in api_files::files(&spec.cluster).into_iter().chain(of_etcd) {
        if let Some(text) = ports.files.read(path)? {
            facts.file_digests.insert(path.to_owned(), short_digest(&text));
        }
    }
    for component in services::ALL {
        if ports.files.info(&spec.node.paths.units.join(services::unit(component)))?.is_some() {
            facts.services.insert(component.to_owned());
        }
        if let Some(text) = ports.files.read(&spec.node.paths.manifests().join(format!("{component}.yaml")))? {
            facts.pods.insert(component.to_owned());
            facts.manifests.insert(component.to_owned(), text);
        }
    }
    facts.etcd_data = !ports.files.list(&spec.node.paths.etcd_data)?.is_empty();
    if joins_etcd {
        facts.etcd_members = members::observe(ports, spec).await?;
    }
    let resolver = read_text(ports.files.as_ref(), Path::new("/etc/resolv.conf"))?.unwrap_or_default();
    if resolver.lines().any(|line| line.trim() == "nameserver 127.0.0.53")
        && ports.files.info(Path::new(RESOLVED))?.is_some()
    {
        facts.resolv_conf = Some(PathBuf::from(RESOLVED));
    }
    Ok(facts)
}

/// This node's CAs, and the next ones.
pub fn observe_rotation(ports: &Ports, spec: &Spec) -> Result<Rotation, StepError> {
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

/// The state of a unit that may be a template: systemd loads only instances.
pub(super) async fn declared_state(ports: &Ports, unit: &str) -> Result<UnitState, StepError> {
    Ok(ports.units.state(&unit.replace("@.", "@any.")).await?)
}

/// True if the step is already done.
pub async fn is_met(ports: &Ports, spec: &Spec, step: &Step) -> Result<bool, StepError> {
    Ok(match step {
        Step::EnsureDir { path, mode } => ports.files.info(path)?.is_some_and(|info| info.is_dir && info.mode == *mode),
        Step::WriteFile { path, mode, content } => same_file(ports, path, content.as_bytes(), Some(*mode))?,
        Step::WriteUnit { path, content } => same_file(ports, path, content.as_bytes(), units::mode(path))?,
        Step::JoinFiles { path, parts, mode } => credentials::is_joined(ports, path, parts, *mode)?,
        Step::RemoveFile { path } => ports.files.info(path)?.is_none(),
        Step::EmptyDir { path } => ports.files.list(path)?.is_empty(),
        Step::MakeAuthority(authority) => credentials::authority_is_met(ports, authority)?,
        Step::IssueCert(certificate) => credentials::leaf_is_met(ports, certificate)?,
        Step::GenerateKey { key, public } => credentials::key_is_met(ports, key, public)?,
        Step::WriteKubeconfig(kubeconfig) => credentials::kubeconfig_is_met(ports, kubeconfig)?,
        Step::FindSigned { certificates, kubeconfigs, .. } => {
            credentials::missing(ports, certificates, kubeconfigs)?.is_empty()
        }
        Step::PointKubeconfig { path, server, ca, readers } => {
            credentials::is_pointed(ports, path, server, ca, readers).await?
        }
        Step::EnsureImage { reference, .. } => ports.images.names().await?.contains(reference),
        Step::EnableUnit { unit } => is_enabled(&ports.units.state(unit).await?),
        Step::FindUnit { unit, enabled } => {
            let state = declared_state(ports, unit).await?;
            state.load == "loaded" && (!enabled || is_enabled(&state))
        }
        Step::StartUnit { unit, configured_by } => {
            let state = ports.units.state(unit).await?;
            state.is_active() && !changed_since(ports, configured_by, state.begun_at.or(state.active_since))?
        }
        Step::LaunchUnit { unit, configured_by } => {
            let state = ports.units.state(unit).await?;
            state.is_on_its_way() && !changed_since(ports, configured_by, state.begun_at)?
        }
        Step::OwnTree { path, user } => owners::is_owned(ports, path, user)?,
        Step::StopUnit { unit } => {
            let state = ports.units.state(unit).await?;
            // A unit that the system declares stays enabled until its configuration changes.
            let disabled = spec.node.declared_units || !state.is_enabled();
            state.load != "loaded" || (state.is_at_rest() && disabled)
        }
        Step::ApplyObject { object, create_only } => objects::is_met(ports, spec, object, *create_only).await,
        Step::DeleteObject { object } => objects::is_absent(ports, spec, object).await,
        Step::AssignPodSubnets { .. } => objects::has_pod_subnets(ports, spec).await,
        Step::MarkControlPlane { node, taint } => objects::is_marked(ports, spec, node, *taint).await,
        Step::LabelNode { node, labels } => objects::is_labelled(ports, spec, node, labels).await,
        Step::WaitFor { condition, .. } => conditions::holds(ports, spec, condition).await?,
        Step::RemovePods => pods::are_gone(ports).await?,
        Step::RemovePodNetwork => ports.network.observe_traces().await?.is_empty(),
        Step::RemoveUnit { path } => ports.files.info(path)?.is_none(),
        Step::ReceiveKeys { folder, needed, wanted, .. } => keys::are_there(ports, folder, needed, wanted)?,
        Step::AddMember { name, peer_url } => members::is_added(ports, spec, name, peer_url).await?,
        Step::PromoteMember { name, peer_url } => members::has_vote(ports, spec, name, peer_url).await?,
        Step::MoveMember { peer_url, .. } => member_address::is_known(ports, spec, peer_url).await?,
        // Whether etcd lets the member go shows only when it is removed.
        Step::RemoveMember { .. } => !members::may_be_one(ports, spec)?,
    })
}

/// A unit without `[Install]` (for example on NixOS) counts as enabled: the system that declares it starts it.
pub(super) fn is_enabled(state: &UnitState) -> bool {
    state.is_enabled() || matches!(state.file.as_str(), "enabled-runtime" | "static" | "linked" | "alias" | "generated")
}

fn same_file(ports: &Ports, path: &Path, content: &[u8], mode: Option<u32>) -> Result<bool, StepError> {
    let same_mode = ports.files.info(path)?.is_some_and(|info| mode.is_none_or(|mode| info.mode == mode));
    Ok(same_mode && read_text(ports.files.as_ref(), path)?.is_some_and(|text| text.as_bytes() == content))
}

/// True if one of the files changed after that time.
fn changed_since(ports: &Ports, files: &[PathBuf], since: Option<std::time::SystemTime>) -> Result<bool, StepError> {
    let Some(since) = since else { return Ok(true) };
    for file in files {
        if ports.files.info(file)?.is_some_and(|info| info.modified > since) {
            return Ok(true);
        }
    }
    Ok(false)
}
