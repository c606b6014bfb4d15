//! Static pods as units: runs a unit `static-pod@NAME.service` for each static pod, reports the pod's state to it, and
//! removes the pod while its unit is stopped.
//!
//! The [`Board`] is between the sources of static pods and the pod table. Each unit has a small process ([`keep`]) that
//! connects to a socket ([`serve`]) and is notified of changes.

pub mod forward;
pub mod keep;
pub mod processes;
pub mod serve;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::core::model::labels::CONFIG_HASH;
use crate::core::model::{DesiredPod, DesiredSet, SourceKind, key_of, with_causes};
use crate::core::static_units::{PodState, UnitPod, by_name, derive_state, name_of, plan_units, unit_of};
use crate::ports::kubelet::{PodUnits, PodView, Pods, StopNotes};

/// Retry interval after systemd rejected a request.
const RETRY: Duration = Duration::from_secs(5);

/// What a unit's process requests for its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitRequest {
    Run,
    /// Stop the pod, until it should run again.
    Stop,
}

/// The states of all static pods, by the name in their manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// Every source has reported and the units were requested to start.
    pub complete: bool,
    states: BTreeMap<String, Report>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Report {
    state: PodState,
    path: Option<PathBuf>,
    /// Hash of the wanted definition.
    hash: String,
}

impl Reports {
    /// The state of the pod of this name.
    pub fn state(&self, name: &str) -> PodState {
        match self.states.get(name) {
            Some(report) => report.state.clone(),
            None if self.complete => PodState::Unknown,
            None => PodState::Waiting("the manifests are not read yet".to_owned()),
        }
    }

    /// The manifest of the pod of this name.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.states.get(name)?.path.clone()
    }

    /// The state of the pod of this name with the definition of this hash.
    pub fn state_of(&self, name: &str, hash: &str) -> PodState {
        match self.states.get(name) {
            Some(report) if report.hash == hash => report.state.clone(),
            _ => PodState::Waiting("the kubelet has not read the manifest yet".to_owned()),
        }
    }
}

/// The ports of the board.
pub struct BoardPorts {
    /// Sets from the sources of static pods.
    pub incoming: mpsc::Receiver<DesiredSet>,
    /// The same sets without stopped pods.
    pub outgoing: mpsc::Sender<DesiredSet>,
    pub wishes: mpsc::Receiver<(String, UnitRequest)>,
    /// Looks up the pods.
    pub pods: Arc<dyn Pods>,
    /// Signals that a static pod changed.
    pub changes: watch::Receiver<()>,
    pub units: Arc<dyn PodUnits>,
    /// Records which pods are stopped.
    pub notes: Arc<dyn StopNotes>,
    pub reports: watch::Sender<Reports>,
}

/// The task that decides which static pods run.
pub struct Board {
    ports: BoardPorts,
    node_name: String,
    sources: BTreeSet<SourceKind>,
    sets: BTreeMap<SourceKind, Vec<DesiredPod>>,
    wanted: BTreeMap<String, UnitPod>,
    stopped: BTreeSet<String>,
    /// Names at the last plan that was executed.
    planned: Option<BTreeSet<String>>,
    clashes: Vec<String>,
}

impl Board {
    /// A board for the static pods of `sources`.
    pub fn new(ports: BoardPorts, node_name: &str, sources: BTreeSet<SourceKind>) -> Self {
        let stopped = ports.notes.all().unwrap_or_else(|error| {
            warn!(error = with_causes(&error), "notes of stopped static pods cannot be read; all of them run");
            BTreeSet::new()
        });
        Self {
            ports,
            node_name: node_name.to_owned(),
            sources,
            sets: BTreeMap::new(),
            wanted: BTreeMap::new(),
            stopped,
            planned: None,
            clashes: Vec::new(),
        }
    }

    /// Runs until `stop`; units stay as they are.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut settled = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                set = self.ports.incoming.recv() => match set {
                    Some(set) => {
                        self.sets.insert(set.source, set.pods);
                        settled = self.take_manifests().await;
                    }
                    None => return,
                },
                Some((name, wish)) = self.ports.wishes.recv() => self.take_wish(&name, wish).await,
                Ok(()) = self.ports.changes.changed() => {}
                () = sleep(RETRY), if !settled => settled = self.take_manifests().await,
            }
            self.report();
        }
    }

    fn is_complete(&self) -> bool {
        self.sources.iter().all(|source| self.sets.contains_key(source))
    }

    /// Starts and stops units after a change of manifests; false if systemd has to be asked again.
    async fn take_manifests(&mut self) -> bool {
        let all: Vec<DesiredPod> = self.sets.values().flatten().cloned().collect();
        let (wanted, clashes) = by_name(&all, &self.node_name);
        if clashes != self.clashes {
            for name in &clashes {
                warn!(pod = name, "has no unit: its name is taken by a static pod of another namespace, or too long");
            }
            self.clashes = clashes;
        }
        self.wanted = wanted;
        let mut settled = true;
        // Until every source has reported, absence does not mean removal.
        if self.is_complete() {
            settled = self.apply_plan().await;
        }
        self.send_sets().await;
        settled
    }

    async fn apply_plan(&mut self) -> bool {
        let running = match self.ports.units.running().await {
            Ok(running) => running.iter().filter_map(|unit| name_of(unit)).map(str::to_owned).collect(),
            Err(error) => {
                warn!(error = with_causes(&error), "units of static pods cannot be listed");
                return false;
            }
        };
        let names: BTreeSet<String> = self.wanted.keys().cloned().collect();
        let plan = plan_units(&names, self.planned.as_ref(), &self.stopped, &running);
        let mut settled = true;
        for name in plan.forget.iter().chain(&plan.start) {
            self.forget(name);
        }
        for name in &plan.start {
            if let Err(error) = self.ports.units.start(&unit_of(name)).await {
                warn!(error = with_causes(&error), "unit of a static pod not started or stopped");
                settled = false;
            }
        }
        for name in &plan.stop {
            info!(unit = unit_of(name), "no manifest defines its pod any more");
            if let Err(error) = self.ports.units.stop(&unit_of(name)).await {
                warn!(error = with_causes(&error), "unit of a static pod not stopped");
                settled = false;
            }
        }
        if settled {
            self.planned = Some(names);
        }
        settled
    }

    fn forget(&mut self, name: &str) {
        if self.stopped.remove(name)
            && let Err(error) = self.ports.notes.drop_note(name)
        {
            warn!(error = with_causes(&error), name, "note about a stopped static pod not removed");
        }
    }

    async fn take_wish(&mut self, name: &str, wish: UnitRequest) {
        let known = self.wanted.contains_key(name);
        match wish {
            UnitRequest::Run if self.stopped.contains(name) => {
                info!(unit = unit_of(name), "starts its pod");
                self.forget(name);
            }
            UnitRequest::Stop if known && !self.stopped.contains(name) => {
                info!(unit = unit_of(name), "stops its pod");
                if let Err(error) = self.ports.notes.note(name) {
                    warn!(
                        error = with_causes(&error),
                        name,
                        "a stopped static pod could not be recorded; it will run again after a restart of the kubelet"
                    );
                }
                self.stopped.insert(name.to_owned());
            }
            UnitRequest::Run | UnitRequest::Stop => return,
        }
        self.send_sets().await;
    }

    /// Sends the sets without stopped pods.
    async fn send_sets(&self) {
        let stopped: Vec<_> =
            self.stopped.iter().filter_map(|name| Some(key_of(&self.wanted.get(name)?.pod))).collect();
        for (source, pods) in &self.sets {
            let pods = pods.iter().filter(|desired| !stopped.contains(&key_of(&desired.pod))).cloned().collect();
            // The table only exits together with everything else.
            let _ = self.ports.outgoing.send(DesiredSet { source: *source, pods }).await;
        }
    }

    fn report(&self) {
        let views = self.ports.pods.list();
        let statics: Vec<&Arc<PodView>> = views.iter().filter(|view| view.is_static).collect();
        let states = self.wanted.iter().map(|(name, unit)| {
            let key = key_of(&unit.pod);
            let uid = &unit.pod.metadata.uid;
            let own = statics.iter().filter(|view| key_of(&view.pod) == key).collect::<Vec<_>>();
            let state = match own.iter().find(|view| view.pod.metadata.uid == *uid) {
                _ if self.stopped.contains(name) && own.is_empty() => PodState::Stopped,
                _ if self.stopped.contains(name) => stopping(&unit.pod),
                Some(view) => derive_state(&view.status, view.last_error.as_deref()),
                None if own.is_empty() => PodState::Waiting("is about to be started".to_owned()),
                None => PodState::Waiting("waits for the containers of its last definition to end".to_owned()),
            };
            let hash = unit.pod.metadata.annotations.as_ref().and_then(|notes| notes.get(CONFIG_HASH));
            let hash = hash.cloned().unwrap_or_default();
            (name.clone(), Report { state, path: unit.path.clone(), hash })
        });
        let reports = Reports { complete: self.planned.is_some(), states: states.collect() };
        self.ports.reports.send_if_modified(|old| {
            let changed = *old != reports;
            *old = reports;
            changed
        });
    }
}

fn stopping(pod: &Pod) -> PodState {
    let grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    PodState::Stopping { text: "Its containers are being stopped".to_owned(), grace_seconds: grace.unwrap_or(30) }
}
