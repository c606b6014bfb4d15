//! Reads what a pod's volume refers to. The disk is not accessed here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::claim;
use super::content::{self, Reader};
use super::layout::plugin;
use super::payload::DEFAULT_MODE;
use super::source::{Medium, Source, SourceError, host_path};
use crate::adapters::csi::CsiSource;
use crate::core::model::Amount;
use crate::core::model::cgroup::{CgroupSettings, huge_page_size, pod_cgroup_limits};
use crate::ports::kubelet::Objects;

/// Reads what a volume refers to.
pub async fn resolve(
    objects: &dyn Objects,
    allocatable: &BTreeMap<String, Quantity>,
    pod: &Pod,
    volume: &Volume,
) -> Result<Source, SourceError> {
    if let Some(source) = &volume.empty_dir {
        return Ok(Source::EmptyDir(medium(pod, source, allocatable)?));
    }
    if let Some(source) = &volume.host_path {
        let kind = source.type_.clone().unwrap_or_default();
        return host_path(&source.path, kind, false);
    }
    if let Some(source) = &volume.image {
        let reference = source.reference.clone().unwrap_or_default();
        return Ok(Source::Image(reference, source.pull_policy.clone()));
    }
    if let Some(source) = &volume.nfs {
        return Ok(Source::Nfs {
            name: volume.name.clone(),
            server: source.server.clone(),
            path: source.path.clone(),
            options: Vec::new(),
            read_only: source.read_only.unwrap_or_default(),
            groups: Vec::new(),
        });
    }
    if let Some(source) = &volume.csi {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let source = CsiSource {
            name: volume.name.clone(),
            driver: source.driver.clone(),
            inline: true,
            block: false,
            read_only: source.read_only.unwrap_or_default(),
            fs_type: source.fs_type.clone().unwrap_or_default(),
            access_modes: vec!["ReadWriteOnce".to_owned()],
            attributes: source.volume_attributes.clone().unwrap_or_default(),
            publish_secret: source.node_publish_secret_ref.as_ref().map(|r| (namespace, r.name.clone())),
            ..CsiSource::default()
        };
        return Ok(Source::Csi { source: Box::new(source), groups: Vec::new() });
    }
    if let Some(source) = &volume.persistent_volume_claim {
        return claim::resolve(objects, pod, &source.claim_name, source.read_only.unwrap_or_default(), false).await;
    }
    if volume.ephemeral.is_some() {
        let name = format!("{}-{}", pod.metadata.name.as_deref().unwrap_or_default(), volume.name);
        return claim::resolve(objects, pod, &name, false, true).await;
    }
    content(&Reader { objects, pod, allocatable }, volume).await
}

async fn content(reader: &Reader<'_>, volume: &Volume) -> Result<Source, SourceError> {
    let memory = Medium::Memory(memory_limit(reader.pod, reader.allocatable));
    let (plugin, medium, payload) = if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let items = source.items.as_deref().unwrap_or_default();
        let payload = reader.config_map(&source.name, items, mode, source.optional == Some(true)).await?;
        (plugin::CONFIG_MAP, Medium::Disk, payload)
    } else if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let items = source.items.as_deref().unwrap_or_default();
        let name = source.secret_name.as_deref().unwrap_or_default();
        (plugin::SECRET, memory, reader.secret(name, items, mode, source.optional == Some(true)).await?)
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        (plugin::DOWNWARD_API, memory, reader.downward_api(source.items.as_deref().unwrap_or_default(), mode)?)
    } else if let Some(source) = &volume.projected {
        (plugin::PROJECTED, memory, content::projected(reader, source).await?)
    } else {
        return Err(SourceError::lasting(format!("no volume plugin matched for volume {:?}", volume.name)));
    };
    Ok(Source::Content { plugin, medium, payload })
}

fn medium(
    pod: &Pod,
    source: &EmptyDirVolumeSource,
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<Medium, SourceError> {
    match source.medium.as_deref().unwrap_or_default() {
        "" => Ok(Medium::Disk),
        "Memory" => {
            let most = memory_limit(pod, allocatable);
            let asked = source.size_limit.as_ref().map(bytes).filter(|size| *size > 0);
            Ok(Medium::Memory(match (most, asked) {
                (Some(most), Some(asked)) => Some(most.min(asked)),
                (most, asked) => most.or(asked),
            }))
        }
        "HugePages" => huge_pages_of(pod).map(Medium::HugePages),
        other => match other.strip_prefix("HugePages-").and_then(|size| huge_page_size(&format!("hugepages-{size}"))) {
            Some(size) => Ok(Medium::HugePages(size)),
            None => Err(SourceError::lasting(format!("unknown storage medium {other:?}"))),
        },
    }
}

/// The pod's memory limit, or the node's allocatable memory.
fn memory_limit(pod: &Pod, allocatable: &BTreeMap<String, Quantity>) -> Option<u64> {
    let node = allocatable.get("memory").map(bytes).filter(|size| *size > 0);
    let limit = pod_cgroup_limits(pod, CgroupSettings::default()).memory;
    let own = limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
    match (own, node) {
        (Some(own), Some(node)) => Some(own.min(node)),
        (own, node) => own.or(node),
    }
}

fn bytes(quantity: &Quantity) -> u64 {
    u64::try_from(Amount::of(quantity).units()).unwrap_or(0)
}

/// The single page size that the pod's containers request.
fn huge_pages_of(pod: &Pod) -> Result<u64, SourceError> {
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()));
    let own = containers.filter_map(|c| c.resources.as_ref());
    let all = own.chain(spec.and_then(|s| s.resources.as_ref())).filter_map(|r| r.requests.as_ref()).flatten();
    let mut sizes: Vec<u64> = all.filter_map(|(name, _)| huge_page_size(name)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    match sizes[..] {
        [size] => Ok(size),
        [] => {
            Err(SourceError::lasting("hugePages storage requested, but there is no resource request for huge pages."))
        }
        _ => {
            Err(SourceError::lasting("medium: HugePages can be used only if container requests use one huge page size"))
        }
    }
}
