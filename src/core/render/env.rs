//! Environment of a container (upstream `makeEnvironmentVariables` in `pkg/kubelet/kubelet_pods.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};

use super::error::fail;
use super::expand::{Budget, MAX_TOTAL, expand};
use super::field::field_ref;
use super::service_env::service_variables;
use super::{Error, NodeContext, PodContext};
use crate::core::model::field::resource_value;
use crate::core::model::key_of;

/// Something that has to be read before the environment can be rendered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// A ConfigMap in the pod's namespace, by name.
    ConfigMap(String),
    /// A Secret in the pod's namespace, by name.
    Secret(String),
    /// A file in a volume: volume name and relative path.
    File(String, String),
}

/// Why a reference could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    /// True if it does not exist, which optional references allow.
    pub not_found: bool,
    /// Message for users, such as `configmap "x" not found`.
    pub message: String,
}

/// Contents of the references.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// ConfigMaps of the pod's namespace, by name.
    pub config_maps: BTreeMap<String, Result<Arc<ConfigMap>, FetchError>>,
    /// Secrets of the pod's namespace, by name.
    pub secrets: BTreeMap<String, Result<Arc<Secret>, FetchError>>,
    /// Files in volumes, by volume name and path.
    pub files: BTreeMap<(String, String), Result<Vec<u8>, FetchError>>,
    /// All Services in [`service_namespaces`].
    pub services: Vec<Arc<Service>>,
}

/// The references in a container's environment, without duplicates.
pub fn references(container: &Container) -> BTreeSet<Reference> {
    let from = container.env_from.iter().flatten().flat_map(|f| {
        let map = f.config_map_ref.as_ref().map(|r| Reference::ConfigMap(r.name.clone()));
        let secret = f.secret_ref.as_ref().map(|r| Reference::Secret(r.name.clone()));
        map.or(secret)
    });
    let single = container.env.iter().flatten().filter(|v| v.value.as_deref().unwrap_or_default().is_empty());
    let single = single.filter_map(|v| v.value_from.as_ref()).filter_map(|s| {
        let map = s.config_map_key_ref.as_ref().map(|r| Reference::ConfigMap(r.name.clone()));
        let secret = s.secret_key_ref.as_ref().map(|r| Reference::Secret(r.name.clone()));
        let file = s.file_key_ref.as_ref().map(|r| Reference::File(r.volume_name.clone(), r.path.clone()));
        map.or(secret).or(file)
    });
    from.chain(single).collect()
}

/// Namespaces whose Services appear in the environment of the pod's containers.
pub fn service_namespaces(pod: &Pod) -> BTreeSet<String> {
    let own = links(pod).then(|| key_of(pod).namespace.to_string());
    own.into_iter().chain(["default".to_owned()]).collect()
}

fn links(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|s| s.enable_service_links).unwrap_or(true)
}

/// The container's variables sorted by name, service variables last. `granted` comes from device plugins.
///
/// An environment larger than a process can receive is rejected before it is built: values that double at each step,
/// one large object that is referenced many times.
///
/// Bytes of a Secret that are not UTF-8 are replaced, since no process could read them reliably.
pub fn environment(
    node: &NodeContext,
    ctx: &PodContext<'_>,
    container: &Container,
    fetched: &Fetched,
    granted: &[(String, String)],
) -> Result<Vec<(String, String)>, Error> {
    let services = service_variables(&fetched.services, &key_of(ctx.pod).namespace, links(ctx.pod));
    let mut budget = Budget::of(MAX_TOTAL);
    let mut files = Budget::of(MAX_FILES);
    let mut vars = variables_from(container, fetched, &mut budget)?;
    for var in container.env.iter().flatten() {
        let literal = var.value.as_deref().unwrap_or_default();
        let value = match &var.value_from {
            Some(source) if literal.is_empty() => {
                match source_value(node, ctx, container, fetched, &mut files, source)? {
                    Some(value) => value,
                    None => continue,
                }
            }
            _ => expand(literal, |name| vars.get(name).or_else(|| services.get(name)).map(String::as_str))
                .map_err(|error| fail!("environment variable {} {error}", var.name))?,
        };
        charge(&mut budget, &var.name, &value)?;
        vars.insert(var.name.clone(), value);
    }
    let rest: Vec<_> = services.into_iter().filter(|(name, _)| !vars.contains_key(name)).collect();
    rest.iter().try_for_each(|(name, value)| charge(&mut budget, name, value))?;
    Ok(granted.iter().cloned().chain(vars).chain(rest).collect())
}

/// Most bytes of env files that are read for one container; a file counts once for each variable that is taken from it.
const MAX_FILES: usize = 64 << 20;

/// Counts a variable as execve(2) does: name, `=`, value and terminator.
fn charge(budget: &mut Budget, name: &str, value: &str) -> Result<(), Error> {
    budget
        .take(name.len().saturating_add(value.len()).saturating_add(2))
        .map_err(|error| fail!("the environment {error}"))
}

/// Variables of `envFrom`; later sources win.
fn variables_from(
    container: &Container,
    fetched: &Fetched,
    budget: &mut Budget,
) -> Result<BTreeMap<String, String>, Error> {
    let mut vars = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        if let Some(r) = &from.config_map_ref {
            let map = config_map(fetched, &r.name, r.optional)?;
            let data = map.iter().flat_map(|m| m.data.iter().flatten());
            for (key, value) in data {
                charge(budget, key, value)?;
                vars.insert(format!("{prefix}{key}"), value.clone());
            }
        } else if let Some(r) = &from.secret_ref {
            let secret = secret(fetched, &r.name, r.optional)?;
            let data = secret.iter().flat_map(|s| s.data.iter().flatten());
            for (key, value) in data {
                let value = String::from_utf8_lossy(&value.0);
                charge(budget, key, &value)?;
                vars.insert(format!("{prefix}{key}"), value.into_owned());
            }
        }
    }
    Ok(vars)
}

/// Value of a `valueFrom`; `None` for an optional one that does not exist.
fn source_value(
    node: &NodeContext,
    ctx: &PodContext<'_>,
    container: &Container,
    fetched: &Fetched,
    files: &mut Budget,
    source: &EnvVarSource,
) -> Result<Option<String>, Error> {
    let namespace = key_of(ctx.pod).namespace;
    if let Some(r) = &source.field_ref {
        return field_ref(node, ctx.pod, ctx.pod_ips, &r.field_path).map(Some);
    }
    if let Some(r) = &source.resource_field_ref {
        return resource_value(ctx.pod, Some(container), r, &node.allocatable).map(Some).map_err(Error);
    }
    if let Some(r) = &source.config_map_key_ref {
        let Some(map) = config_map(fetched, &r.name, r.optional)? else { return Ok(None) };
        return match map.data.as_ref().and_then(|d| d.get(&r.key)) {
            Some(value) => Ok(Some(value.clone())),
            None if r.optional == Some(true) => Ok(None),
            None => Err(fail!("couldn't find key {} in ConfigMap {namespace}/{}", r.key, r.name)),
        };
    }
    if let Some(r) = &source.secret_key_ref {
        let Some(secret) = secret(fetched, &r.name, r.optional)? else { return Ok(None) };
        return match secret.data.as_ref().and_then(|d| d.get(&r.key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None if r.optional == Some(true) => Ok(None),
            None => Err(fail!("couldn't find key {} in Secret {namespace}/{}", r.key, r.name)),
        };
    }
    let Some(r) = &source.file_key_ref else { return Ok(Some(String::new())) };
    let content = match fetched.files.get(&(r.volume_name.clone(), r.path.clone())) {
        Some(Ok(content)) => String::from_utf8_lossy(content),
        Some(Err(_)) => return Err(fail!("couldn't parse env file")),
        None => return Err(fail!("cannot find the volume {:?} referenced by FileKeyRef", r.volume_name)),
    };
    files
        .take(content.len())
        .map_err(|_| fail!("the files of environment variables are too long to be read so often"))?;
    match parse_env_file(&content, &r.key).map_err(|_| fail!("couldn't parse env file"))? {
        value if !value.is_empty() => Ok(Some(value)),
        _ if r.optional == Some(true) => Ok(None),
        _ => Err(fail!("environment variable key {:?} not found in file {:?}", r.key, r.path)),
    }
}

fn config_map<'a>(fetched: &'a Fetched, name: &str, optional: Option<bool>) -> Result<Option<&'a ConfigMap>, Error> {
    found(fetched.config_maps.get(name), "configmap", name, optional).map(|o| o.map(Arc::as_ref))
}

fn secret<'a>(fetched: &'a Fetched, name: &str, optional: Option<bool>) -> Result<Option<&'a Secret>, Error> {
    found(fetched.secrets.get(name), "secret", name, optional).map(|o| o.map(Arc::as_ref))
}

fn found<'a, T>(
    answer: Option<&'a Result<T, FetchError>>,
    kind: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a T>, Error> {
    match answer {
        Some(Ok(object)) => Ok(Some(object)),
        Some(Err(e)) if e.not_found && optional == Some(true) => Ok(None),
        Some(Err(e)) => Err(Error(e.message.clone())),
        None => Err(fail!("{kind} {name:?} was not read")),
    }
}

/// Value of `key` in a file of `KEY='value'` lines; empty if it does not exist (KEP-3721; upstream `util/env`).
pub(crate) fn parse_env_file(content: &str, key: &str) -> Result<String, ()> {
    let mut lines = content.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(())?;
        if name.is_empty() || name.ends_with([' ', '\t']) {
            return Err(());
        }
        if value.starts_with([' ', '\t']) {
            // As in a shell, `KEY= 'x'` assigns an empty value.
            if name == key {
                return Ok(String::new());
            }
            continue;
        }
        let mut rest = value.strip_prefix('\'').ok_or(())?;
        let mut text = String::new();
        let after = loop {
            if let Some((inside, after)) = rest.split_once('\'') {
                text.push_str(inside);
                break after;
            }
            text.push_str(rest);
            text.push('\n');
            rest = lines.next().ok_or(())?;
        };
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with('#') {
            return Err(());
        }
        if name == key {
            return Ok(text);
        }
    }
    Ok(String::new())
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
