//! The probes of all containers of one pod, and their dependencies.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::{Probe, ProbeKind, Timing};
use crate::core::model::{ContainerId, ContainerProbes, ProbeResult, ProbeResults, ProbeSubject, ProbedContainer};

/// A probe that has to run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueProbe {
    /// Name of the container.
    pub container: String,
    /// Runtime id of the container.
    pub id: ContainerId,
    /// Liveness, readiness or startup.
    pub kind: ProbeKind,
    /// True if a failure should be reported as an event.
    pub loud: bool,
}

/// State of the probes of one pod.
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
    /// Probes of a pod first seen at `phase`, which determines their schedule; `jitter` is random in 0 to 1.
    pub fn new(phase: Duration, jitter: f64) -> Self {
        Self { phase, jitter, terminating: false, containers: BTreeMap::new() }
    }

    /// Updates the running containers. `age` returns how long ago a container started; one that started before the
    /// clock of `now` existed before the prober.
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

    /// When the next probe is due; `None` if there is none.
    pub fn next_due(&self) -> Option<Duration> {
        self.containers.values().flat_map(|c| c.probes.values()).filter_map(Probe::due).min()
    }

    /// Returns the probes that are due; each must get an answer.
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

    /// Records the result of a run that began at `began`; returns whether a probe's overall result changed.
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

    /// Overall results of the probes, by container id.
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

    /// The containers of a terminating pod are not restarted, so only readiness is still probed.
    fn quieten(&mut self) {
        self.settle(ProbeKind::Liveness);
        self.settle(ProbeKind::Startup);
    }

    fn settle(&mut self, kind: ProbeKind) {
        if let Some(probe) = self.probes.get_mut(&kind) {
            probe.settle(ProbeResult::Success);
        }
    }

    /// Starts the probes that may run: startup first, the others once it has succeeded.
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
