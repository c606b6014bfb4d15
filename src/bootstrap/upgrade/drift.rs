//! Differences between this node's components and the settings, in their files and in the running processes.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Container;

use super::error::Error;
use super::form::Form;
use super::pods::newest_container;
use super::{Purpose, manifests};
use crate::bootstrap::observe::observe_facts;
use crate::bootstrap::pods::PodsError;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::upgrade::difference::difference;
use crate::core::manifest::parse_manifest;
use crate::core::model::ContainerId;
use crate::core::model::spec::{Component, Spec};
use crate::cri;

pub async fn observe_drift(ports: &Ports, spec: &Spec) -> Result<Vec<(Component, String)>, Error> {
    let form = Form::of(&observe_facts(ports, spec, false).await?)?;
    let mut drift = Vec::new();
    for (component, wanted) in manifests::wanted(ports, spec, form, Purpose::Settings).await? {
        let mut add = |what: String| drift.push((component, what));
        let path = form.path(spec, component);
        let Some(present) = ports.files.read(&path)? else {
            add(format!("{} does not exist", path.display()));
            continue;
        };
        difference(&present, &wanted).into_iter().for_each(|line| add(format!("{}: {line}", path.display())));
        let health = form.observe_health(ports, spec, component, &present).await?;
        if !health.healthy {
            add(format!("is not running as its file says, or is unhealthy: {}", health.reason));
        }
        if form == Form::Pods
            && let Ok(pod) = parse_manifest(&path, present.as_bytes(), &spec.node.name)
            && let Some(written) = pod.spec.as_ref().and_then(|spec| spec.containers.first())
            && let Some(runs) = newest_container(ports, &health.uid).await?
        {
            running(ports, written, &ContainerId::from(runs.id)).await?.into_iter().for_each(add);
        }
    }
    Ok(drift)
}

/// What a container is, as the runtime reports.
async fn running(ports: &Ports, written: &Container, id: &ContainerId) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    if let Some(words) = ports.runtime.container_arguments(id).await.map_err(PodsError)? {
        let wanted: BTreeSet<&String> = written.command.iter().chain(&written.args).flatten().collect();
        let seen: BTreeSet<&String> = words.iter().collect();
        let text = |words: &BTreeSet<&String>| words.iter().map(|word| format!("{word}\n")).collect::<String>();
        lines.extend(difference(&text(&seen), &text(&wanted)).iter().map(|line| format!("its process: {line}")));
    }
    let status = ports.runtime.container_status(id).await.map_err(PodsError)?;
    let name = written.image.clone().unwrap_or_default();
    let wanted = cri::ImageSpec { image: name.clone(), ..cri::ImageSpec::default() };
    match ports.pulls.image_status(&wanted).await.map_err(PodsError)? {
        Some(image) => {
            let same = |told: &String| *told == image.id || image.repo_digests.contains(told);
            let told = [&status.image_id, &status.image_ref];
            if told.iter().any(|told| !told.is_empty()) && !told.into_iter().any(same) {
                lines.push(format!("runs image {}, but {name} is now {}", status.image_ref, image.id));
            }
        }
        None if status.image_ref.is_empty() => {}
        None => lines.push(format!("image {name} is no longer on the node; {} is running", status.image_ref)),
    }
    Ok(lines)
}
