//! Which pods use a configMap or secret.

use k8s_openapi::api::core::v1::Pod;

use crate::core::model::{containers_of, key_of};
use crate::ports::ObjectChange;

/// Whether the pod refers to the object that changed, in a volume or an environment.
pub(super) fn uses(pod: &Pod, change: &ObjectChange) -> bool {
    let (map, secret) = match change {
        ObjectChange::ConfigMap(namespace, name) => (Some((namespace, name)), None),
        ObjectChange::Secret(namespace, name) => (None, Some((namespace, name))),
    };
    let Some((namespace, _)) = map.or(secret) else { return false };
    if key_of(pod).namespace != *namespace {
        return false;
    }
    let is_map = |name: &str| map.is_some_and(|(_, n)| **n == *name);
    let is_secret = |name: &str| secret.is_some_and(|(_, n)| **n == *name);
    let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()).any(|v| {
        let projected = v.projected.iter().flat_map(|p| p.sources.iter().flatten());
        v.config_map.as_ref().is_some_and(|c| is_map(&c.name))
            || v.secret.as_ref().and_then(|s| s.secret_name.as_deref()).is_some_and(is_secret)
            || projected.into_iter().any(|source| {
                source.config_map.as_ref().is_some_and(|c| is_map(&c.name))
                    || source.secret.as_ref().is_some_and(|s| is_secret(&s.name))
            })
    });
    let env = || {
        containers_of(pod).into_iter().any(|(_, c)| {
            c.env_from.iter().flatten().any(|from| {
                from.config_map_ref.as_ref().is_some_and(|c| is_map(&c.name))
                    || from.secret_ref.as_ref().is_some_and(|s| is_secret(&s.name))
            }) || c.env.iter().flatten().filter_map(|v| v.value_from.as_ref()).any(|from| {
                from.config_map_key_ref.as_ref().is_some_and(|c| is_map(&c.name))
                    || from.secret_key_ref.as_ref().is_some_and(|s| is_secret(&s.name))
            })
        })
    };
    volumes || env()
}
