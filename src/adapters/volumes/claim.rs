//! From a persistent volume claim to the source of its volume.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, Pod, SecretReference};

use super::source::{Source, SourceError, host_path};
use crate::adapters::csi::CsiSource;
use crate::core::status::growth_wanted;
use crate::ports::kubelet::Objects;

const GID_ANNOTATION: &str = "pv.beta.kubernetes.io/gid";
const MOUNT_OPTIONS_ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";

/// Reads a claim and its volume. `owned` is for generic ephemeral volumes, whose claim must be owned by the pod.
pub async fn resolve(
    objects: &dyn Objects,
    pod: &Pod,
    claim_name: &str,
    read_only: bool,
    owned: bool,
) -> Result<Source, SourceError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let place = format!("error processing PVC {namespace}/{claim_name}");
    let fault = |text: String| SourceError::passing(format!("{place}: {text}"));
    let claim = objects.claim(namespace, claim_name).await;
    let claim = claim.map_err(|e| fault(format!("failed to fetch PVC from API server: {e}")))?;
    if owned && !is_owned_by(&claim, pod) {
        return Err(fault(format!("PVC {namespace}/{claim_name} was not created for pod (pod is not owner)")));
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(fault("can't start pod because PVC is being deleted".to_owned()));
    }
    let phase = claim.status.as_ref().and_then(|s| s.phase.as_deref());
    let volume_name = claim.spec.as_ref().and_then(|s| s.volume_name.as_deref()).filter(|n| !n.is_empty());
    let Some(volume_name) = volume_name.filter(|_| phase == Some("Bound")) else {
        return Err(fault("PVC is not bound".to_owned()));
    };
    let volume = objects.volume(volume_name).await;
    let volume = volume.map_err(|e| fault(format!("failed to fetch PV {volume_name:?} from API server: {e}")))?;
    let bound_to = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()).and_then(|r| r.uid.as_deref());
    if bound_to != claim.metadata.uid.as_deref() {
        return Err(fault(format!("PV {volume_name:?} is not bound to this PVC")));
    }
    let mut source = source_of(&volume, read_only)?;
    if let Source::Csi { source, .. } = &mut source {
        source.growing = growth_wanted(&claim, &volume).map(|growth| (claim, growth));
    }
    Ok(source)
}

fn is_owned_by(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let owners = claim.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().any(|o| o.controller == Some(true) && Some(&o.uid) == pod.metadata.uid.as_ref())
}

fn source_of(volume: &PersistentVolume, read_only: bool) -> Result<Source, SourceError> {
    let name = volume.metadata.name.clone().unwrap_or_default();
    let empty = PersistentVolumeSpec::default();
    let spec = volume.spec.as_ref().unwrap_or(&empty);
    let block = spec.volume_mode.as_deref() == Some("Block");
    let groups = annotation(volume, GID_ANNOTATION).and_then(|gid| gid.parse().ok()).into_iter().collect();
    let annotated = annotation(volume, MOUNT_OPTIONS_ANNOTATION).map(|o| o.split(',').map(str::to_owned).collect());
    if let Some(source) = &spec.host_path {
        return host_path(&source.path, source.type_.clone().unwrap_or_default(), read_only);
    }
    if let Some(source) = &spec.local {
        let path = source.path.clone().into();
        let (fs_type, options) = (source.fs_type.clone(), spec.mount_options.clone().or(annotated).unwrap_or_default());
        return Ok(Source::Local { name, path, block, fs_type, options, read_only, groups });
    }
    if let Some(source) = &spec.nfs {
        return Ok(Source::Nfs {
            name,
            server: source.server.clone(),
            path: source.path.clone(),
            options: spec.mount_options.clone().or(annotated).unwrap_or_default(),
            read_only: read_only || source.read_only.unwrap_or_default(),
            groups,
        });
    }
    if let Some(source) = &spec.csi {
        let reference = |r: &Option<SecretReference>| {
            let r = r.as_ref()?;
            Some((r.namespace.clone().unwrap_or_default(), r.name.clone().unwrap_or_default()))
        };
        let source = CsiSource {
            name,
            driver: source.driver.clone(),
            handle: source.volume_handle.clone(),
            inline: false,
            block,
            read_only: read_only || source.read_only.unwrap_or_default(),
            fs_type: source.fs_type.clone().unwrap_or_default(),
            access_modes: spec.access_modes.clone().unwrap_or_default(),
            attributes: source.volume_attributes.clone().unwrap_or_default(),
            mount_options: spec.mount_options.clone().unwrap_or_default(),
            publish_secret: reference(&source.node_publish_secret_ref),
            stage_secret: reference(&source.node_stage_secret_ref),
            grow_secret: reference(&source.node_expand_secret_ref),
            growing: None,
        };
        return Ok(Source::Csi { source: Box::new(source), groups });
    }
    Err(SourceError::lasting(format!("no volume plugin matched for PV {name:?}")))
}

fn annotation<'a>(volume: &'a PersistentVolume, key: &str) -> Option<&'a str> {
    volume.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
