//! The ConfigMaps and Secrets that a pod refers to.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::{containers_of, key_of};

/// The kinds of objects that are watched while a pod needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// A ConfigMap in an environment or a volume.
    ConfigMap,
    /// A Secret in an environment, a volume or a pull secret.
    Secret,
}

/// One object that a pod refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Whether it is a ConfigMap or a Secret.
    pub kind: ReferenceKind,
    /// Namespace of the object, which is the pod's.
    pub namespace: Arc<str>,
    /// Name of the object.
    pub name: Arc<str>,
}

/// Every ConfigMap and Secret in environments, volumes and pull secrets.
pub fn references_of(pod: &Pod) -> BTreeSet<Reference> {
    let namespace = key_of(pod).namespace;
    let mut found = BTreeSet::new();
    let mut add = |kind, name: &str| {
        if !name.is_empty() {
            found.insert(Reference { kind, namespace: namespace.clone(), name: name.into() });
        }
    };
    for secret in pod.spec.iter().flat_map(|s| s.image_pull_secrets.iter().flatten()) {
        add(ReferenceKind::Secret, &secret.name);
    }
    visit_read(pod, &mut add);
    found
}

/// True if the pod's containers can read the object's content, in a volume or the environment.
pub fn reads(pod: &Pod, kind: ReferenceKind, namespace: &str, name: &str) -> bool {
    if *key_of(pod).namespace != *namespace {
        return false;
    }
    let mut is_read = false;
    visit_read(pod, &mut |found_kind, found| is_read |= found_kind == kind && found == name);
    is_read
}

/// The objects in environments and volumes.
fn visit_read(pod: &Pod, add: &mut dyn FnMut(ReferenceKind, &str)) {
    use ReferenceKind::{ConfigMap, Secret};
    for (_, container) in containers_of(pod) {
        for from in container.env_from.iter().flatten() {
            if let Some(source) = &from.config_map_ref {
                add(ConfigMap, &source.name);
            }
            if let Some(source) = &from.secret_ref {
                add(Secret, &source.name);
            }
        }
        for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
            if let Some(key) = &source.config_map_key_ref {
                add(ConfigMap, &key.name);
            }
            if let Some(key) = &source.secret_key_ref {
                add(Secret, &key.name);
            }
        }
    }
    let Some(spec) = &pod.spec else { return };
    for volume in spec.volumes.iter().flatten() {
        if let Some(source) = &volume.config_map {
            add(ConfigMap, &source.name);
        }
        if let Some(source) = &volume.secret {
            add(Secret, source.secret_name.as_deref().unwrap_or_default());
        }
        for source in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
            if let Some(config_map) = &source.config_map {
                add(ConfigMap, &config_map.name);
            }
            if let Some(secret) = &source.secret {
                add(Secret, &secret.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_see_volumes_and_environments_but_no_pull_secrets() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "d"},
            "spec": {
                "imagePullSecrets": [{"name": "pull"}],
                "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "map"}}]}],
                "volumes": [{"name": "v", "secret": {"secretName": "secret"}}],
            },
        }))
        .unwrap();
        use ReferenceKind::{ConfigMap, Secret};
        assert!(reads(&pod, ConfigMap, "d", "map") && reads(&pod, Secret, "d", "secret"));
        assert!(!reads(&pod, Secret, "d", "map") && !reads(&pod, ConfigMap, "e", "map"));
        assert!(!reads(&pod, Secret, "d", "pull"), "the kubelet reads it when it pulls");
        let all: Vec<_> = references_of(&pod).into_iter().map(|reference| reference.name.to_string()).collect();
        assert_eq!(all, ["map", "pull", "secret"]);
    }
}
