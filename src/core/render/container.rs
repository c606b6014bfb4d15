//! Container → container configuration (upstream `generateContainerConfig` in `kuberuntime_container.go`).

use super::annotations::{container_annotations, container_labels};
use super::mounts::{devices, mounts};
use super::resources::container_resources;
use super::security::container_security;
use super::{ContainerInputs, Error, NodeContext, PodContext, expand};
use crate::cri;

/// What the runtime is told of one container.
pub fn container(
    node: &NodeContext,
    ctx: &PodContext<'_>,
    inputs: &ContainerInputs<'_>,
) -> Result<cri::ContainerConfig, Error> {
    let c = inputs.container;
    // Later entries win, as in the process itself.
    let lookup = |name: &str| inputs.env.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let expanded = |words: Option<&Vec<String>>| words.into_iter().flatten().map(|w| expand(w, lookup)).collect();
    let security = container_security(node, ctx, c, inputs.image_user, inputs.target)?;
    Ok(cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: c.name.clone(), attempt: inputs.attempt }),
        image: Some(cri::ImageSpec {
            image: inputs.image_ref.to_owned(),
            user_specified_image: c.image.clone().unwrap_or_default(),
            ..cri::ImageSpec::default()
        }),
        command: expanded(c.command.as_ref()),
        args: expanded(c.args.as_ref()),
        working_dir: c.working_dir.clone().unwrap_or_default(),
        envs: inputs.env.iter().map(|(k, v)| cri::KeyValue { key: k.clone(), value: v.clone().into() }).collect(),
        mounts: mounts(node, ctx, inputs)?,
        devices: devices(ctx, inputs)?,
        labels: container_labels(ctx.pod, c),
        annotations: container_annotations(ctx.pod, c, inputs.attempt, &inputs.grant.annotations),
        log_path: format!("{}/{}.log", c.name, inputs.attempt),
        stdin: c.stdin.unwrap_or_default(),
        stdin_once: c.stdin_once.unwrap_or_default(),
        tty: c.tty.unwrap_or_default(),
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(container_resources(node, ctx.pod, c, inputs.grant)),
            security_context: Some(security),
        }),
        cdi_devices: inputs.grant.cdi_devices.iter().map(|name| cri::CdiDevice { name: name.clone() }).collect(),
        ..cri::ContainerConfig::default()
    })
}
