//! The two forms of a component, static pod and service: the path of its file, and how its health is checked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use super::Purpose;
use super::error::Error;
use super::pods::{self, ComponentHealth, STEADY, ask};
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::{Facts, services, static_pods};
use crate::core::model::spec::{Component, ControlPlaneMode, Spec};
use crate::ports::bootstrap::UnitState;

/// How the control plane of a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Static pods, run by the kubelet.
    Pods,
    Services,
}

impl Form {
    /// As it is found.
    pub fn of(facts: &Facts) -> Result<Self, Error> {
        // A provider's controller manager comes and goes with its own settings, and says nothing of the others.
        let any = |found: &BTreeSet<Component>| Component::REQUIRED.iter().any(|component| found.contains(component));
        match (any(&facts.services), any(&facts.pods)) {
            (false, _) => Ok(Self::Pods),
            (true, false) => Ok(Self::Services),
            (true, true) => Err(Error::BothForms),
        }
    }

    /// The value of the setting `mode` for this form.
    pub fn mode_of_cluster(self) -> ControlPlaneMode {
        if self == Self::Pods { ControlPlaneMode::StaticPods } else { ControlPlaneMode::Systemd }
    }

    /// Path of a component's file.
    pub fn path(self, spec: &Spec, component: Component) -> PathBuf {
        match self {
            Self::Pods => spec.node.paths.manifest(component),
            Self::Services => spec.node.paths.units.join(services::unit(component)),
        }
    }

    /// Mode bits of that file.
    pub fn mode(self) -> u32 {
        if self == Self::Pods { 0o600 } else { 0o644 }
    }

    /// Path where the previous file is kept during a change.
    pub fn kept(self, spec: &Spec, component: Component, purpose: Purpose) -> PathBuf {
        purpose.kept().join(self.path(spec, component).file_name().unwrap_or_default())
    }

    /// What the settings say of a component.
    pub fn render(self, component: Component, spec: &Spec, facts: &Facts) -> Result<String, Error> {
        Ok(match self {
            Self::Pods => static_pods::render(component, spec, facts)?,
            Self::Services => services::render(component, spec, facts)?.unit,
        })
    }

    /// Looks at a component whose text is this one.
    pub async fn observe_health(
        self,
        ports: &Ports,
        spec: &Spec,
        component: Component,
        text: &str,
    ) -> Result<ComponentHealth, Error> {
        match self {
            Self::Pods => Ok(pods::observe_health(ports, &self.path(spec, component), text, &spec.node.name).await?),
            Self::Services => self.observe_service(ports, spec, component).await,
        }
    }

    /// Lets a service run what its unit says now; the kubelet does that for pods.
    pub async fn load_unit(self, ports: &Ports, spec: &Spec, component: Component) -> Result<(), Error> {
        if self == Self::Pods {
            return Ok(());
        }
        let unit = services::unit(component);
        if self.is_stale(ports, spec, component, &ports.units.state(&unit).await?)? {
            ports.units.reload().await?;
            ports.units.restart_no_wait(&unit).await?;
        }
        Ok(())
    }

    fn is_stale(self, ports: &Ports, spec: &Spec, component: Component, state: &UnitState) -> Result<bool, Error> {
        let changed = ports.files.info(&self.path(spec, component))?.map(|info| info.modified);
        let Some(begun) = state.begun_at else { return Ok(true) };
        Ok(state.needs_reload || changed.is_some_and(|changed| changed > begun))
    }

    async fn observe_service(self, ports: &Ports, spec: &Spec, component: Component) -> Result<ComponentHealth, Error> {
        let unit = services::unit(component);
        let state = ports.units.state(&unit).await?;
        let mut health = ComponentHealth {
            uid: unit.clone(),
            healthy: false,
            reason: String::new(),
            restarts: state.restarts,
            exited: false,
        };
        if self.is_stale(ports, spec, component, &state)? {
            // Exits before the restart do not count.
            health.restarts = 0;
            health.reason = "it was not restarted after its unit changed".to_owned();
            return Ok(health);
        }
        if !state.is_active() {
            health.exited = state.active == "failed" || state.sub == "auto-restart";
            health.reason = format!("{unit} is {} ({})", state.active, state.sub);
            return Ok(health);
        }
        let now = SystemTime::from((ports.now)());
        if state.begun_at.is_some_and(|begun| now.duration_since(begun).is_ok_and(|age| age < STEADY)) {
            health.reason = "it has only just started".to_owned();
            return Ok(health);
        }
        // A service is probed like the corresponding pod.
        ask(ports, &static_pods::probed(component, spec)?, &mut health).await;
        Ok(health)
    }
}
