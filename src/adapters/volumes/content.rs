//! Reads configMaps, secrets, tokens and pod fields into the files of a content volume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret, ServiceAccountTokenProjection,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::payload::{self, DEFAULT_MODE, Payload};
use super::source::SourceError;
use crate::ports::kubelet::{ObjectError, Objects, TokenRequest};

/// Reads the sources of one pod's volumes.
pub struct Reader<'a> {
    pub objects: &'a dyn Objects,
    pub pod: &'a Pod,
    /// The node's allocatable resources, for limits that are not set.
    pub allocatable: &'a BTreeMap<String, Quantity>,
}

/// A missing optional object is treated as empty.
fn or_empty<T: Default + Clone>(
    answer: Result<std::sync::Arc<T>, ObjectError>,
    optional: bool,
) -> Result<T, SourceError> {
    match answer {
        Ok(object) => Ok(T::clone(&object)),
        Err(ObjectError::NotFound { .. }) if optional => Ok(T::default()),
        Err(error) => Err(error.into()),
    }
}

impl Reader<'_> {
    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or("default")
    }

    /// Files of a configMap.
    pub async fn config_map(
        &self,
        name: &str,
        items: &[KeyToPath],
        mode: i32,
        optional: bool,
    ) -> Result<Payload, SourceError> {
        let map: ConfigMap = or_empty(self.objects.config_map(self.namespace(), name).await, optional)?;
        payload::of_config_map(&map, items, mode, optional).map_err(SourceError::passing)
    }

    /// Files of a secret.
    pub async fn secret(
        &self,
        name: &str,
        items: &[KeyToPath],
        mode: i32,
        optional: bool,
    ) -> Result<Payload, SourceError> {
        let secret: Secret = or_empty(self.objects.secret(self.namespace(), name).await, optional)?;
        payload::of_secret(&secret, items, mode, optional).map_err(SourceError::passing)
    }

    /// Files of the downward API.
    pub fn downward_api(&self, items: &[DownwardAPIVolumeFile], mode: i32) -> Result<Payload, SourceError> {
        payload::of_downward_api(self.pod, items, mode, self.allocatable).map_err(SourceError::lasting)
    }

    async fn token(&self, source: &ServiceAccountTokenProjection, mode: i32) -> Result<Payload, SourceError> {
        const HOUR: i64 = 3600;
        let request = TokenRequest {
            audiences: source.audience.iter().filter(|a| !a.is_empty()).cloned().collect(),
            expiration_seconds: source.expiration_seconds.unwrap_or(HOUR),
        };
        let (token, _) = self.objects.token(self.pod, &request).await?;
        let owner = single_user(self.pod);
        let group = self.pod.spec.as_ref().and_then(|s| s.security_context.as_ref()).and_then(|c| c.fs_group);
        // The group's read permission is added with the volume's ownership.
        let mode = if owner.is_some() || group.is_some() { 0o600 } else { mode };
        let file = payload::ContentFile { owner, ..payload::file(token.as_bytes(), mode) };
        Ok(Payload::from([(source.path.clone(), file)]))
    }

    async fn projection(&self, source: &VolumeProjection, mode: i32) -> Result<Payload, SourceError> {
        if let Some(s) = &source.secret {
            return self.secret(&s.name, s.items.as_deref().unwrap_or_default(), mode, s.optional == Some(true)).await;
        }
        if let Some(s) = &source.config_map {
            return self
                .config_map(&s.name, s.items.as_deref().unwrap_or_default(), mode, s.optional == Some(true))
                .await;
        }
        if let Some(s) = &source.downward_api {
            return self.downward_api(s.items.as_deref().unwrap_or_default(), mode);
        }
        if let Some(s) = &source.service_account_token {
            return self.token(s, mode).await;
        }
        Err(SourceError::lasting("this kind of projected source is not supported by the kubelet"))
    }
}

/// Files of a projected volume: the union of its sources, later ones win. All faults are reported at once.
pub async fn projected(reader: &Reader<'_>, source: &ProjectedVolumeSource) -> Result<Payload, SourceError> {
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    let (mut union, mut faults) = (Payload::new(), Vec::new());
    for source in source.sources.iter().flatten() {
        match reader.projection(source, mode).await {
            Ok(payload) => payload::add(&mut union, payload).map_err(SourceError::lasting)?,
            Err(fault) => faults.push(fault),
        }
    }
    match faults.len() {
        0 => Ok(union),
        1 => Err(faults.remove(0)),
        _ => {
            let texts: Vec<_> = faults.iter().map(|f| f.message.as_str()).collect();
            let transient = faults.iter().any(|f| f.transient);
            Err(SourceError { message: format!("[{}]", texts.join(", ")), transient, attach_limit: false })
        }
    }
}

/// The user of all containers, if they all run as the same one (upstream `util.FsUserFrom`).
fn single_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec.security_context.as_ref().and_then(|c| c.run_as_user);
    let mut users = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .map(|c| c.security_context.as_ref().and_then(|s| s.run_as_user).or(of_pod));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok())?
}
