//! Starts one container: image, environment, files, create, start, postStart hook.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::FutureExt;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Container;

use super::{Pass, Progress};
use crate::core::model::{ContainerId, ContainerKind, containers_of, field_path, key_of, with_causes};
use crate::core::plan::{KillContainer, KillReason, StartContainer, Waiting, container_grace};
use crate::core::render::{self, ContainerInputs, DeviceGrant, ImageUser, env};
use crate::cri;
use crate::kubelet::pods::{HookCall, ImageDemand, ImageWaiting, PulledImage};
use crate::ports::kubelet::{EventKind, EventTarget, ObjectError};
use crate::ports::node::RuntimeError;
use crate::telemetry::Metrics;

/// What the runtime's error says when it cannot mount an image volume (`cri-api/pkg/errors`).
const IMAGE_VOLUME_FAILED: &str = "ImageVolumeMountFailed";

impl Pass {
    /// Starts a container; an error becomes its `state.waiting`.
    pub(super) async fn start_container(&self, order: StartContainer) -> Result<(), Waiting> {
        let found = containers_of(&self.pod).into_iter().find(|(_, c)| c.name == order.name);
        let Some((kind, container)) = found else { return Ok(()) };
        let path = field_path(kind, &container.name);
        let event = |kind, reason: &str, message: String| {
            self.shared.ports.events.record(EventTarget::Container(&self.pod, &path), kind, reason, message);
        };
        let failed = |reason: &str, message: String| {
            event(EventKind::Warning, "Failed", format!("Error: {message}"));
            waiting(reason, message)
        };
        let Some(home) = self.prepared.sandbox.clone() else {
            return Err(waiting("CreateContainerError", "the pod has no sandbox".into()));
        };
        let sandbox_config = sandbox_config(self, home.attempt).map_err(|e| failed("CreateContainerConfigError", e))?;
        let demand = demand_of(&container, kind);
        let image =
            self.shared.ports.images.ensure(&self.pod, &demand, Some(&sandbox_config)).await.map_err(image_waiting)?;
        let attempt = match order.attempt {
            Some(attempt) => attempt,
            None => {
                self.shared.ports.files.highest_log(&self.pod, &container.name).await.map_or(0, |n| n.saturating_add(1))
            }
        };
        let config = configure(self, &container, kind, attempt, &image, &sandbox_config).await;
        let config = config.map_err(|e| match e {
            Refused::Image(waits) => waits,
            Refused::Config(message) => failed("CreateContainerConfigError", message),
        })?;
        let image_volumes = config.mounts.iter().filter(|mount| mount.image.is_some()).count();
        let created = self.calls.create_container(self.is_urgent(), &home.id, config, sandbox_config).await;
        count_image_volumes(self.shared.metrics(), image_volumes, created.as_ref().err());
        let id = created.map_err(|error| failed("CreateContainerError", error.to_string()))?;
        self.shared.table.note_id(id.as_str(), &self.uid);
        event(EventKind::Normal, "Created", "Container created".into());
        if let Err(error) = self.calls.start_container(self.is_urgent(), &id).await {
            raise(self, order);
            return Err(failed("RunContainerError", error.to_string()));
        }
        event(EventKind::Normal, "Started", "Container started".into());
        if let Err(error) = self.shared.ports.files.link_log(&self.pod, &container.name, &id, attempt).await {
            tracing::warn!(error = with_causes(&error), container = %id, "the container's log could not be linked");
        }
        raise(self, order);
        self.report(Progress::Waiting(container.name.clone(), None));
        self.report(Progress::Changed);
        post_start(self, &container, kind, &id, &path).await
    }
}

/// Image volumes of a container that was to be created (upstream `incrementImageVolumeMetrics`).
fn count_image_volumes(metrics: &Metrics, number: usize, error: Option<&RuntimeError>) {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    metrics.image_volumes_requested.with([]).add(number);
    let failed = error.is_some_and(|error| error.to_string().contains(IMAGE_VOLUME_FAILED));
    let family = if failed { &metrics.image_volume_errors } else { &metrics.image_volumes_mounted };
    family.with([]).add(number);
}

fn raise(pass: &Pass, order: StartContainer) {
    if let Some((key, finished)) = order.raise {
        pass.report(Progress::Raised(key, finished));
    }
}

fn demand_of(container: &Container, kind: ContainerKind) -> ImageDemand {
    ImageDemand {
        image: container.image.clone().unwrap_or_default(),
        policy: container.image_pull_policy.clone(),
        field_path: field_path(kind, &container.name),
    }
}

fn waiting(reason: &str, message: String) -> Waiting {
    // Failed starts are retried with the worker's back-off.
    Waiting { reason: reason.to_owned(), message, retry_at: None }
}

fn image_waiting(waits: ImageWaiting) -> Waiting {
    Waiting { reason: waits.reason, message: waits.message, retry_at: waits.retry_at }
}

fn sandbox_config(pass: &Pass, attempt: u32) -> Result<cri::PodSandboxConfig, String> {
    match &pass.prepared.sandbox_config {
        Some(config) => Ok(config.clone()),
        None => render::sandbox(&pass.node, &pass.context(), attempt).map(|s| s.config).map_err(|e| e.to_string()),
    }
}

enum Refused {
    Image(Waiting),
    Config(String),
}

fn config_error(error: impl std::fmt::Display) -> Refused {
    Refused::Config(error.to_string())
}

/// Renders the runtime's configuration of the container; reads everything it refers to.
async fn configure(
    pass: &Pass,
    container: &Container,
    kind: ContainerKind,
    attempt: u32,
    image: &PulledImage,
    sandbox: &cri::PodSandboxConfig,
) -> Result<cri::ContainerConfig, Refused> {
    let context = pass.context();
    let grant = DeviceGrant::default();
    let fetched = fetch(pass, container).await?;
    let env = render::environment(&pass.node, &context, container, &fetched, &grant.envs).map_err(config_error)?;
    let sub_paths = sub_paths(pass, container, &env).await?;
    let image_volumes = image_volumes(pass, container, sandbox).await?;
    let files = &pass.shared.ports.files;
    let node = pass.with_hosts().await.map_err(config_error)?;
    let hosts = match render::etc_hosts(&node, &pass.pod, context.pod_ips).map_err(config_error)? {
        Some(content) => Some(files.write_hosts(&pass.uid, &content).await.map_err(config_error)?),
        None => None,
    };
    files.make_log_dir(&pass.pod, &container.name).await.map_err(config_error)?;
    let wants_message = container.termination_message_path.as_deref().is_none_or(|p| !p.is_empty());
    let termination_file = match wants_message {
        true => Some(files.new_termination_file(&pass.uid, &container.name).await.map_err(config_error)?),
        false => None,
    };
    let target = target(pass, container, kind)?;
    let inputs = ContainerInputs {
        container,
        attempt,
        image_ref: &image.spec.image,
        image_user: &ImageUser::of(Some(&image.image)),
        env: &env,
        sub_paths: &sub_paths,
        image_volumes: &image_volumes,
        hosts_file: hosts.as_deref(),
        termination_file: termination_file.as_deref(),
        target: target.as_ref(),
        grant: &grant,
    };
    render::container(&pass.node, &context, &inputs).map_err(config_error)
}

/// The container whose process namespace an ephemeral container shares.
fn target(pass: &Pass, container: &Container, kind: ContainerKind) -> Result<Option<ContainerId>, Refused> {
    if kind != ContainerKind::Ephemeral {
        return Ok(None);
    }
    let all = pass.pod.spec.iter().flat_map(|s| s.ephemeral_containers.iter().flatten());
    let name = all.filter(|c| c.name == container.name).find_map(|c| c.target_container_name.as_deref());
    let Some(name) = name.filter(|n| !n.is_empty()) else { return Ok(None) };
    match pass.observed.container(name) {
        Some(record) => Ok(Some(record.id.clone())),
        None => Err(Refused::Config(format!("unable to find target container {name:?}"))),
    }
}

/// Reads what the environment refers to.
async fn fetch(pass: &Pass, container: &Container) -> Result<env::Fetched, Refused> {
    let namespace = key_of(&pass.pod).namespace;
    let objects = &pass.shared.ports.objects;
    let mut fetched = env::Fetched::default();
    for reference in env::references(container) {
        match reference {
            env::Reference::ConfigMap(name) => {
                let map = objects.config_map(&namespace, &name).await.map_err(fetch_error);
                fetched.config_maps.insert(name, map);
            }
            env::Reference::Secret(name) => {
                let secret = objects.secret(&namespace, &name).await.map_err(fetch_error);
                fetched.secrets.insert(name, secret);
            }
            env::Reference::File(volume, path) => {
                let content = match pass.prepared.volumes.get(&volume) {
                    Some(mounted) => pass
                        .shared
                        .ports
                        .volumes
                        .read_file(mounted, &volume, &path)
                        .await
                        .map_err(|error| env::FetchError { not_found: error.transient, message: error.message }),
                    None => Err(env::FetchError { not_found: true, message: format!("volume {volume} not found") }),
                };
                fetched.files.insert((volume, path), content);
            }
        }
    }
    for namespace in env::service_namespaces(&pass.pod) {
        let services = objects.services(&namespace);
        if pass.is_static {
            // A static pod runs before there is an API server, so it gets the Services that are known so far.
            fetched.services.extend(services.now_or_never().and_then(Result::ok).unwrap_or_default());
            continue;
        }
        match services.await {
            Ok(services) => fetched.services.extend(services),
            Err(ObjectError::Standalone { .. }) => {}
            Err(_) => {
                let message = "services have not yet been read at least once, cannot construct envvars";
                return Err(Refused::Config(message.into()));
            }
        }
    }
    Ok(fetched)
}

fn fetch_error(error: ObjectError) -> env::FetchError {
    env::FetchError { not_found: matches!(error, ObjectError::NotFound { .. }), message: error.to_string() }
}

async fn sub_paths(
    pass: &Pass,
    container: &Container,
    env: &[(String, String)],
) -> Result<BTreeMap<usize, PathBuf>, Refused> {
    let mut paths = BTreeMap::new();
    for sub in render::sub_paths(&pass.context(), container, env).map_err(config_error)? {
        let Some(volume) = pass.prepared.volumes.get(&sub.volume) else { continue };
        let volumes = &pass.shared.ports.volumes;
        let bound = volumes.sub_path(&pass.pod, &container.name, sub.index, volume, &sub.volume, &sub.path).await;
        let path = bound.map_err(|error| {
            tracing::info!(error = with_causes(&error), container = container.name, "a sub-path could not be bound");
            Refused::Config(format!(
                "failed to prepare subPath for volumeMount {:?} of container {:?}",
                sub.volume, container.name
            ))
        })?;
        paths.insert(sub.index, path);
    }
    Ok(paths)
}

/// Pulls the image volumes that the container mounts.
async fn image_volumes(
    pass: &Pass,
    container: &Container,
    sandbox: &cri::PodSandboxConfig,
) -> Result<BTreeMap<String, cri::ImageSpec>, Refused> {
    let mounted = |name: &String| container.volume_mounts.iter().flatten().any(|m| &m.name == name);
    let wanted = pass.prepared.volumes.iter().filter(|(name, _)| mounted(name));
    let pulls = wanted.filter_map(|(name, volume)| volume.image.as_ref().map(|image| (name, image)));
    let pulled = join_all(pulls.map(|(name, (image, policy))| async move {
        let demand =
            ImageDemand { image: image.clone(), policy: policy.clone(), field_path: format!("spec.volumes{{{name}}}") };
        let pulled = pass.shared.ports.images.ensure(&pass.pod, &demand, Some(sandbox)).await;
        pulled.map(|image| (name.clone(), image.spec))
    }))
    .await;
    pulled.into_iter().collect::<Result<_, _>>().map_err(|waits| Refused::Image(image_waiting(waits)))
}

async fn post_start(
    pass: &Pass,
    container: &Container,
    kind: ContainerKind,
    id: &ContainerId,
    path: &str,
) -> Result<(), Waiting> {
    let Some(handler) = container.lifecycle.as_ref().and_then(|l| l.post_start.clone()) else { return Ok(()) };
    let call = HookCall {
        pod: pass.pod.clone(),
        container: container.name.clone(),
        id: id.clone(),
        pod_ip: pass.prepared.sandbox.as_ref().and_then(|h| h.ips.first().cloned()),
        handler,
    };
    let Err(error) = pass.calls.post_start(call).await else { return Ok(()) };
    let target = EventTarget::Container(&pass.pod, path);
    pass.shared.ports.events.record(target, EventKind::Warning, "FailedPostStartHook", error.to_string());
    let grace = container_grace(&pass.pod, container, KillReason::Other);
    // If it cannot be stopped, it will be observed running and continues.
    let _ = pass
        .stop_containers(vec![KillContainer {
            id: id.clone(),
            name: container.name.clone(),
            kind,
            grace_seconds: grace,
            pre_stop: container.lifecycle.as_ref().and_then(|l| l.pre_stop.clone()),
            after: Vec::new(),
            message: "FailedPostStartHook".into(),
        }])
        .await;
    Err(waiting("PostStartHookError", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_volumes_fail_only_when_the_runtime_says_that_it_was_them() {
        let metrics = Metrics::default();
        let error = |message: &str| RuntimeError::Other { call: "CreateContainer", message: message.into() };
        count_image_volumes(&metrics, 2, None);
        count_image_volumes(&metrics, 1, Some(&error("ImageVolumeMountFailed: no such layer")));
        count_image_volumes(&metrics, 1, Some(&error("out of memory")));
        let families = [&metrics.image_volumes_requested, &metrics.image_volumes_mounted, &metrics.image_volume_errors];
        assert_eq!(families.map(|family| family.with([]).get()), [4, 3, 1]);
    }
}
