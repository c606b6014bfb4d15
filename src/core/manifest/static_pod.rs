//! From a manifest's Pod to the static pod of this node: identity, defaults, and restrictions of static pods.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Pod, PodStatus, Toleration};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Finding;
use super::defaults::apply_defaults;
use super::host_image::expand_host_images;
use super::validate::validate_pod;
use crate::core::model::labels::{CONFIG_HASH, CONFIG_SOURCE};

/// Version of [`manifest_hash`]; a change of it restarts every static pod at an upgrade.
const HASH_VERSION: &str = "roost/1";

/// Where a static pod's manifest comes from; part of its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Path of the manifest file.
    File(PathBuf),
    /// URL of the manifest (`staticPodURL`).
    Url(String),
}

/// The name of a static pod in the cluster: the manifest's name and the node's name in lower case.
pub fn full_name(name: &str, node_name: &str) -> String {
    format!("{name}-{}", node_name.to_lowercase())
}

/// The name in the manifest of a static pod with that full name.
pub fn manifest_name<'a>(full: &'a str, node_name: &str) -> &'a str {
    let name = full.strip_suffix(node_name.to_lowercase().as_str()).and_then(|rest| rest.strip_suffix('-'));
    name.unwrap_or(full)
}

/// Creates the static pod of a manifest: defaulted, validated, with uid, full name, namespace and node.
///
/// # Errors
/// All findings.
pub fn make_static(mut pod: Pod, origin: &Origin, node_name: &str) -> Result<Pod, Vec<Finding>> {
    let hash = manifest_hash(&pod, origin, node_name);
    let meta = &mut pod.metadata;
    if meta.name.as_deref().unwrap_or_default().is_empty() {
        return Err(vec![Finding::of("metadata.name", "is missing")]);
    }
    meta.name = meta.name.take().map(|name| full_name(&name, node_name));
    if meta.namespace.as_deref().unwrap_or_default().is_empty() {
        meta.namespace = Some("default".into());
    }
    if meta.uid.as_deref().unwrap_or_default().is_empty() {
        meta.uid = Some(hash.clone());
    }
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(CONFIG_HASH.into(), hash);
    annotations.insert(CONFIG_SOURCE.into(), if matches!(origin, Origin::File(_)) { "file" } else { "http" }.into());
    let mut findings = Vec::new();
    if let Some(what) = api_reference(&pod) {
        findings.push(Finding::of(what.0, format!("static pods may not reference {}", what.1)));
    }
    if let Err(faults) = expand_host_images(&mut pod) {
        findings.extend(faults);
    }
    apply_defaults(&mut pod);
    findings.extend(validate_pod(&pod));
    if !findings.is_empty() {
        return Err(findings);
    }
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node_name.into());
    if matches!(origin, Origin::File(_)) {
        tolerate_everything(spec.tolerations.get_or_insert_default());
    }
    pod.status = Some(PodStatus { phase: Some("Pending".into()), ..PodStatus::default() });
    Ok(pod)
}

/// A static pod stays on its node, whatever the node's taints.
fn tolerate_everything(tolerations: &mut Vec<Toleration>) {
    let all = Toleration { operator: Some("Exists".into()), effect: Some("NoExecute".into()), ..Toleration::default() };
    let same_slot = |t: &Toleration| t.key.as_deref().unwrap_or_default().is_empty() && t.effect == all.effect;
    tolerations.retain(|t| !same_slot(t));
    tolerations.push(all);
}

/// 32 hexadecimal characters that change with the manifest's content (not its formatting), the node and the origin.
///
/// The input is the manifest as written, without defaults, in canonical JSON: a newer kubelet with more fields or other
/// defaults computes the same hash.
fn manifest_hash(pod: &Pod, origin: &Origin, node_name: &str) -> String {
    let mut text = format!("{HASH_VERSION}\nnode:{node_name}\n");
    match origin {
        Origin::File(path) => text += &format!("file:{}\n", path.display()),
        Origin::Url(url) => text += &format!("url:{url}\n"),
    }
    let mut value = serde_json::to_value(pod).unwrap_or(Value::Null);
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    write_canonical(&value, &mut text);
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// JSON with sorted keys, without nulls, empty lists and empty objects.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, v)| !is_empty(v)).collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (key, value) in entries {
                *out += &Value::from(key.as_str()).to_string();
                out.push(':');
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => *out += &value.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The first reference to an API object, as (field, kind): a static pod must run without an API server
/// (`HasAPIObjectReference` in `pkg/api/pod/util.go`).
fn api_reference(pod: &Pod) -> Option<(String, &'static str)> {
    let spec = pod.spec.as_ref()?;
    if spec.service_account_name.as_deref().is_some_and(|n| !n.is_empty()) {
        return Some(("spec.serviceAccountName".into(), "serviceaccounts"));
    }
    if spec.image_pull_secrets.as_ref().is_some_and(|s| !s.is_empty()) {
        return Some(("spec.imagePullSecrets".into(), "secrets"));
    }
    let init = spec.init_containers.iter().flatten().enumerate().map(|(i, c)| (format!("spec.initContainers[{i}]"), c));
    let regular = spec.containers.iter().enumerate().map(|(i, c)| (format!("spec.containers[{i}]"), c));
    for (at, container) in init.chain(regular) {
        for (i, from) in container.env_from.iter().flatten().enumerate() {
            let field = format!("{at}.envFrom[{i}]");
            if from.secret_ref.is_some() {
                return Some((field, "secrets"));
            }
            if from.config_map_ref.is_some() {
                return Some((field, "configmaps"));
            }
        }
        for (i, source) in
            container.env.iter().flatten().enumerate().filter_map(|(i, e)| Some((i, e.value_from.as_ref()?)))
        {
            let field = format!("{at}.env[{i}].valueFrom");
            if source.secret_key_ref.is_some() {
                return Some((field, "secrets"));
            }
            if source.config_map_key_ref.is_some() {
                return Some((field, "configmaps"));
            }
        }
    }
    if spec.resource_claims.as_ref().is_some_and(|c| !c.is_empty()) {
        return Some(("spec.resourceClaims".into(), "resourceclaims"));
    }
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        let what = match volume {
            v if v.config_map.is_some() => Some("configmaps (via configmap volumes)"),
            v if v.secret.is_some() => Some("secrets (via secret volumes)"),
            v if v.csi.is_some() => Some("csidrivers (via CSI volumes)"),
            v if v.glusterfs.is_some() => Some("endpoints (via glusterFS volumes)"),
            v if v.persistent_volume_claim.is_some() => Some("persistentvolumeclaims"),
            v if v.ephemeral.is_some() => Some("persistentvolumeclaims (via ephemeral volumes)"),
            v if v.azure_file.is_some() => Some("secrets (via azureFile volumes)"),
            v => v.projected.iter().flat_map(|p| p.sources.iter().flatten()).find_map(|source| match source {
                s if s.config_map.is_some() => Some("configmaps (via projected volumes)"),
                s if s.secret.is_some() => Some("secrets (via projected volumes)"),
                s if s.service_account_token.is_some() => Some("serviceaccounts (via projected volumes)"),
                s if s.cluster_trust_bundle.is_some() => Some("clustertrustbundles"),
                s if s.pod_certificate.is_some() => Some("podcertificates"),
                _ => None,
            }),
        };
        if let Some(what) = what {
            return Some((format!("spec.volumes[{i}]"), what));
        }
    }
    None
}
