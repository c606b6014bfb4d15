//! Phases `etcd` and `control-plane`: the components as static pod manifests, which the kubelet runs without an API
//! server, or as systemd services.

use std::time::Duration;

use super::super::services::{self, place};
use super::super::static_pods;
use super::super::step::{Condition, Content, FileStep, UnitStep};
use super::super::{Facts, PhaseError, Step, api_files};
use crate::core::model::Secret;
use crate::core::model::spec::{Component, ComponentSource, ControlPlaneMode, Spec};

/// Time for a service to become ready: four minutes, as in kubeadm.
const PATIENCE: Duration = Duration::from_secs(240);

/// etcd's folder, and its manifest or service; nothing with an external etcd, whose client files must exist.
pub fn plan_etcd(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if let Some(etcd) = &spec.cluster.external_etcd {
        api_files::are_there(api_files::etcd_files(etcd), facts)
            .map_err(|error| PhaseError::Invalid(format!("{error}; copy the client certificate of your etcd there")))?;
        return Ok(Vec::new());
    }
    plan_as_set(Component::Etcd, spec, facts)
}

/// API server, controller manager and scheduler.
pub fn plan_control_plane(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps: Vec<Step> = Vec::new();
    if spec.cluster.external_etcd.is_none() && spec.cluster.mode == ControlPlaneMode::Systemd {
        steps.push(wait_for_etcd());
    }
    let mut all: Vec<Step> = Vec::new();
    for component in Component::CONTROL_PLANE {
        all.extend(plan_as_set(component, spec, facts)?);
    }
    all.extend(plan_cloud(spec, facts)?);
    for step in all {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    Ok(steps)
}

/// The cloud controller manager, in the same form as the others; no steps if none is configured.
pub fn plan_cloud(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if spec.cluster.runs_cloud_controller() {
        return plan_as_set(Component::CloudControllerManager, spec, facts);
    }
    let path = spec.node.paths.manifest(Component::CloudControllerManager);
    let mut steps = Vec::new();
    if facts.pods.contains(&Component::CloudControllerManager) {
        steps.push(Step::File(FileStep::Remove { path }));
    }
    if facts.services.contains(&Component::CloudControllerManager) {
        let unit = services::unit(Component::CloudControllerManager);
        let path = spec.node.paths.units.join(&unit);
        steps.extend([Step::Unit(UnitStep::Stop { unit }), Step::Unit(UnitStep::Remove { path })]);
    }
    Ok(steps)
}

/// The component in the configured form; no steps while it exists in the other form, since it must never run twice.
fn plan_as_set(component: Component, spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if place(component, spec, facts) != spec.cluster.mode {
        let (is, wanted, to) = match spec.cluster.mode {
            ControlPlaneMode::Systemd => ("a static pod", "systemd", "systemd"),
            ControlPlaneMode::StaticPods => ("a systemd service", "static-pods", "static-pods"),
        };
        return Err(PhaseError::NotYet {
            missing: format!("{component} is {is} on this node, but `mode` is \"{wanted}\""),
            remedy: format!("run `bootstrap convert --to {to}` or change `mode`"),
        });
    }
    plan_component(component, spec, facts, spec.cluster.mode)
}

/// A component as a static pod or as a service.
pub fn plan_component(
    component: Component,
    spec: &Spec,
    facts: &Facts,
    mode: ControlPlaneMode,
) -> Result<Vec<Step>, PhaseError> {
    let mut steps = Vec::new();
    if component == Component::Etcd {
        steps.push(Step::File(FileStep::EnsureDir { path: spec.node.paths.etcd_data.clone(), mode: 0o700 }));
    }
    if component == Component::ApiServer {
        steps.extend(plan_api_files(spec, facts)?);
    }
    match mode {
        ControlPlaneMode::StaticPods => steps.extend(manifest(component, spec, facts)?),
        ControlPlaneMode::Systemd => steps.extend(service(component, spec, facts)?),
    }
    Ok(steps)
}

/// The files that the API server reads at startup and that are written by us.
pub fn plan_api_files(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let policy = api_files::built_in(&spec.cluster);
    let write = |(path, text): (&std::path::Path, &str)| {
        Step::File(FileStep::Write { path: path.to_owned(), mode: 0o600, content: Content::Text(text.to_owned()) })
    };
    Ok(policy.map(write).into_iter().collect())
}

fn manifest(component: Component, spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let manifest =
        static_pods::render(component, spec, facts).map_err(|error| PhaseError::Invalid(error.to_string()))?;
    // Extra flags may contain a secret, so the content is not printed.
    let content = Content::Secret(Secret::new(manifest));
    Ok(vec![
        Step::File(FileStep::EnsureDir { path: spec.node.paths.manifests(), mode: 0o700 }),
        Step::File(FileStep::Write { path: spec.node.paths.manifest(component), mode: 0o600, content }),
    ])
}

fn service(component: Component, spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let service = render(component, spec, facts)?;
    let users = spec.node.paths.units.join(services::USERS);
    let unit = services::unit(component);
    let mut steps = vec![
        Step::Unit(UnitStep::Write { path: users.clone(), content: services::render_users(spec) }),
        Step::Unit(UnitStep::Enable { unit: services::USERS.to_owned() }),
        Step::Unit(UnitStep::Start { unit: services::USERS.to_owned(), configured_by: vec![users] }),
    ];
    // A pod may outlive its manifest for a while; two instances must never share ports or data.
    let condition = Condition::PodGone { component };
    steps.push(Step::WaitFor { condition, within: PATIENCE });
    if component == Component::Etcd {
        let user = services::user(component);
        let own = |path| Step::File(FileStep::OwnTree { path, user: user.clone() });
        steps.extend(services::etcd_folders(spec).into_iter().map(own));
    }
    steps.push(Step::Unit(UnitStep::Write { path: spec.node.paths.units.join(&unit), content: service.unit }));
    steps.push(Step::Unit(UnitStep::Enable { unit }));
    steps.push(start(component, spec, service.reads));
    Ok(steps)
}

fn render(component: Component, spec: &Spec, facts: &Facts) -> Result<services::Service, PhaseError> {
    if !matches!(spec.cluster.source, ComponentSource::Host { .. }) {
        return Err(PhaseError::Invalid(services::NEEDS_PROGRAMS.to_owned()));
    }
    services::render(component, spec, facts).map_err(|error| PhaseError::Invalid(error.to_string()))
}

/// etcd is only started: a new member is ready once it has all data, which a later phase waits for.
fn start(component: Component, spec: &Spec, reads: Vec<std::path::PathBuf>) -> Step {
    let unit = services::unit(component);
    let configured_by = std::iter::once(spec.node.paths.units.join(&unit)).chain(reads).collect();
    match component {
        Component::Etcd => Step::Unit(UnitStep::Launch { unit, configured_by }),
        _ => Step::Unit(UnitStep::Start { unit, configured_by }),
    }
}

/// Waits until a started etcd is ready.
pub fn wait_for_etcd() -> Step {
    Step::WaitFor { condition: Condition::UnitActive { unit: services::unit(Component::Etcd) }, within: PATIENCE }
}

/// The current manifest with the current client certificate and nothing else from the settings: those are applied by
/// `apply`, which can roll back.
fn reload(component: Component, spec: &Spec, facts: &Facts) -> Option<Step> {
    let (present, digest) = (facts.manifests.get(&component)?, facts.client_digests.get(&component)?);
    let renewed = static_pods::with_client_certificate(present, digest)?;
    let path = spec.node.paths.manifest(component);
    Some(Step::File(FileStep::Write { path, mode: 0o600, content: Content::Secret(Secret::new(renewed)) }))
}

/// Lets the components load renewed certificates. As static pods, API server and etcd reload them by themselves;
/// services have copies and are restarted one after another.
pub fn plan_renewal(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps: Vec<Step> = Vec::new();
    for component in Component::ALL {
        let is_there = facts.has_component(component);
        let no_etcd = component == Component::Etcd && spec.cluster.external_etcd.is_some();
        if no_etcd
            || (component == Component::CloudControllerManager && !(is_there && spec.cluster.runs_cloud_controller()))
        {
            continue;
        }
        match place(component, spec, facts) {
            ControlPlaneMode::StaticPods => steps.extend(reload(component, spec, facts)),
            ControlPlaneMode::Systemd => {
                steps.push(start(component, spec, render(component, spec, facts)?.reads));
                if component == Component::Etcd {
                    steps.push(wait_for_etcd());
                } else if component == Component::ApiServer {
                    steps.extend(super::ready::plan_api(spec, facts)?);
                }
            }
        }
    }
    Ok(steps)
}
