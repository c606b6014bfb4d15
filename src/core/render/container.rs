//! From a container to its runtime configuration (upstream `generateContainerConfig` in `kuberuntime_container.go`).

use std::collections::BTreeMap;

use super::annotations::{container_annotations, container_labels};
use super::error::fail;
use super::expand::{Budget, MAX_TOTAL, expand};
use super::mounts::{devices, mounts};
use super::resources::container_resources;
use super::security::container_security;
use super::{ContainerInputs, Error, NodeContext, PodContext};
use crate::cri;

/// The runtime's configuration of one container.
pub fn container(
    node: &NodeContext,
    ctx: &PodContext<'_>,
    inputs: &ContainerInputs<'_>,
) -> Result<cri::ContainerConfig, Error> {
    let c = inputs.container;
    // Later entries win, as in the process.
    let env: BTreeMap<&str, &str> = inputs.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut budget = Budget::of(MAX_TOTAL);
    let mut expanded = |what: &str, words: Option<&Vec<String>>| {
        let word = |word: &String| {
            let word = expand(word, |name| env.get(name).copied())?;
            budget.take(word.len()).map(|()| word)
        };
        let words: Result<Vec<_>, _> = words.into_iter().flatten().map(word).collect();
        words.map_err(|error| fail!("{what} {error}"))
    };
    let command = expanded("command", c.command.as_ref())?;
    let args = expanded("args", c.args.as_ref())?;
    let security = container_security(node, ctx, c, inputs.image_user, inputs.target)?;
    Ok(cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: c.name.clone(), attempt: inputs.attempt }),
        image: Some(cri::ImageSpec {
            image: inputs.image_ref.to_owned(),
            user_specified_image: c.image.clone().unwrap_or_default(),
            ..cri::ImageSpec::default()
        }),
        command,
        args,
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
