//! The probes of all containers of one pod, and how they wait for each other.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::{Probe, ProbeKind, Timing};
use crate::core::model::{ContainerId, ContainerProbes, ProbeResult, ProbeResults, ProbeSubject, ProbedContainer};

/// A run that is due now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueProbe {
    /// Name of the container.
    pub container: String,
    /// Its runtime id.
    pub id: ContainerId,
    /// Which probe.
    pub kind: ProbeKind,
    /// Whether a failure is worth an event.
    pub loud: bool,
}

/// Probe state of one pod.
#[derive(Debug)]
pub struct PodProbes {
    phase: Duration,
    jitter: f64,
    terminating: bool,
    containers: BTreeMap<String, ContainerState>,
}

#[derive(Debug)]
struct ContainerState {
    id: ContainerId,
    probes: BTreeMap<ProbeKind, Probe>,
}

impl PodProbes {
    /// A pod first seen at `phase`, from which its probes keep their rhythm; `jitter` is random in 0 to 1.
    pub fn new(phase: Duration, jitter: f64) -> Self {
        Self { phase, jitter, terminating: false, containers: BTreeMap::new() }
    }

    /// Takes what runs now. `age` says how long ago a container started; one that is older than the clock of `now`
    /// ran before the prober did.
    pub fn observe(&mut self, subject: &ProbeSubject, now: Duration, age: impl Fn(&ProbedContainer) -> Duration) {
        self.containers.retain(|name, _| subject.containers.iter().any(|c| c.name == *name));
        for container in &subject.containers {
            let Some(spec) = container_spec(&subject.pod, &container.name) else { continue };
            if self.containers.get(&container.name).is_none_or(|known| known.id != container.id) {
                let age = age(container);
                let state = ContainerState::new(spec, container, |kind, timing| match now.checked_sub(age) {
                    Some(started) => Probe::new(kind, timing, self.phase, started),
                    None => Probe::adopt(kind, timing, now, age, container.known_started.then_some(self.jitter)),
                });
                self.containers.insert(container.name.clone(), state);
            }
        }
        self.terminating |= subject.terminating;
        for state in self.containers.values_mut() {
            if self.terminating {
                state.quieten();
            }
            state.begin(now);
        }
    }

    /// When the next run is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.containers.values().flat_map(|c| c.probes.values()).filter_map(Probe::due).min()
    }

    /// Takes the runs that are due; each has to be answered.
    pub fn take_due(&mut self, now: Duration) -> Vec<DueProbe> {
        let mut due = Vec::new();
        for (name, state) in &mut self.containers {
            for (kind, probe) in &mut state.probes {
                if probe.due().is_some_and(|at| at <= now) {
                    let loud = probe.take();
                    due.push(DueProbe { container: name.clone(), id: state.id.clone(), kind: *kind, loud });
                }
            }
        }
        due
    }

    /// Takes the answer of a run that began at `began`. Gives whether a settled result changed.
    pub fn answer(&mut self, run: &DueProbe, result: Option<ProbeResult>, began: Duration, now: Duration) -> bool {
        let Some(state) = self.containers.get_mut(&run.container).filter(|c| c.id == run.id) else { return false };
        let Some(probe) = state.probes.get_mut(&run.kind) else { return false };
        if self.terminating && run.kind != ProbeKind::Readiness {
            return false;
        }
        let changed = probe.answer(result, began, now);
        if changed {
            state.begin(now);
        }
        changed
    }

    /// Settled results by container id.
    pub fn results(&self) -> ProbeResults {
        let settled = |c: &ContainerState, kind| c.probes.get(&kind).and_then(Probe::settled);
        let of = |c: &ContainerState| ContainerProbes {
            liveness: settled(c, ProbeKind::Liveness),
            readiness: settled(c, ProbeKind::Readiness),
            startup: settled(c, ProbeKind::Startup),
        };
        self.containers.values().map(|c| (c.id.clone(), of(c))).collect()
    }
}

impl ContainerState {
    fn new(spec: &Container, container: &ProbedContainer, make: impl Fn(ProbeKind, Timing) -> Probe) -> Self {
        let mut probes = BTreeMap::new();
        for (kind, probe) in [
            (ProbeKind::Liveness, &spec.liveness_probe),
            (ProbeKind::Readiness, &spec.readiness_probe),
            (ProbeKind::Startup, &spec.startup_probe),
        ] {
            if let Some(probe) = probe {
                probes.insert(kind, make(kind, Timing::of(probe)));
            }
        }
        let mut state = Self { id: container.id.clone(), probes };
        if container.known_started {
            state.settle(ProbeKind::Startup);
        }
        state
    }

    /// A terminating pod is not restarted, so only readiness is still of interest.
    fn quieten(&mut self) {
        self.settle(ProbeKind::Liveness);
        self.settle(ProbeKind::Startup);
    }

    fn settle(&mut self, kind: ProbeKind) {
        if let Some(probe) = self.probes.get_mut(&kind) {
            probe.settle(ProbeResult::Success);
        }
    }

    /// Begins what may run: the startup probe first, the others once it has succeeded.
    fn begin(&mut self, now: Duration) {
        let startup = self.probes.get(&ProbeKind::Startup);
        let started = startup.is_none_or(|p| p.settled() == Some(ProbeResult::Success));
        for (kind, probe) in &mut self.probes {
            let ended = probe.settled().is_some() && *kind != ProbeKind::Readiness;
            if (started || *kind == ProbeKind::Startup) && !ended {
                probe.begin(now);
            }
        }
    }
}

fn container_spec<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name)
}

#[cfg(test)]
mod tests;
