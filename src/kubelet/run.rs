//! Front of the pod table: its ports, settings, events and start.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::driver::Driver;
use super::facts::RuntimeFacts;
use super::leftovers::Leftover;
use super::pulse::Pulse;
use super::starts::Starts;
use super::table::Table;
use super::weights::{self, Active};
use crate::core::model::{DesiredSet, PodKill, PodUid, SourceKind};
use crate::core::render::NodeContext;
use crate::ports;
use crate::supervise::{restarting, vital};
use crate::telemetry::Metrics;

/// Everything through which pods reach the world.
#[derive(Clone)]
pub struct PodPorts {
    /// Sandboxes and containers.
    pub runtime: Arc<dyn ports::Runtime>,
    /// Images by policy.
    pub images: Arc<dyn ports::PodImages>,
    /// Volumes.
    pub volumes: Arc<dyn ports::Volumes>,
    /// Pod cgroups.
    pub cgroups: Arc<dyn ports::Cgroups>,
    /// Referenced API objects.
    pub objects: Arc<dyn ports::Objects>,
    /// Id blocks of pods with a user namespace.
    pub user_namespaces: Arc<dyn ports::UserNamespaces>,
    /// Hosts files, logs, termination messages.
    pub files: Arc<dyn ports::PodFiles>,
    /// The node's resolver and hosts files.
    pub names: Arc<dyn ports::NameFiles>,
    /// Probes.
    pub probes: Arc<dyn ports::Probes>,
    /// Lifecycle hooks.
    pub hooks: Arc<dyn ports::Hooks>,
    /// Admission.
    pub admission: Arc<dyn ports::Admission>,
    /// Events for users.
    pub events: Arc<dyn ports::Events>,
    /// Receiver of statuses.
    pub statuses: Arc<dyn ports::StatusSink>,
    /// Facts and settings of the node; renewed when addresses or allocatable change.
    pub node: watch::Receiver<Arc<NodeContext>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub wall: fn() -> Timestamp,
}

/// Settings of the pod table.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sources that must have spoken before anything is killed.
    pub sources: Vec<SourceKind>,
    /// `syncFrequency`: a pod is looked at again after this long without any event.
    pub resync: Duration,
    /// `crashLoopBackOff.maxContainerRestartPeriod`.
    pub max_restart_backoff: Duration,
}

/// The running pod table.
#[derive(Clone)]
pub struct PodTable {
    /// Reads pods.
    pub pods: Arc<dyn ports::Pods>,
    /// Ends or wakes pods.
    pub control: Arc<dyn ports::PodControl>,
    /// Where mirror uids are noted.
    pub table: Arc<Table>,
    /// Whether the table's task turns.
    pub pulse: Pulse,
}

/// What all workers share.
pub(super) struct Shared {
    pub ports: PodPorts,
    pub settings: Settings,
    pub table: Arc<Table>,
    pub facts: RuntimeFacts,
    pub starts: Arc<Starts>,
    pub started: Timestamp,
    pub events: mpsc::Sender<Event>,
    pub active: watch::Sender<Active>,
}

/// Everything that the table's task reacts to.
pub(super) enum Event {
    /// A pod is to be ended.
    Kill(PodUid, PodKill, oneshot::Sender<()>),
    /// A pod is to be looked at.
    Wake(PodUid),
    /// Somebody wants to know whether the task turns.
    Ping(oneshot::Sender<()>),
    /// A pod's name is free again.
    Finished(PodUid),
    /// A worker has ended.
    Gone(PodUid),
    /// The runtime has these static pods of an earlier kubelet.
    FormerStatics(Vec<Leftover>),
    /// The runtime or the disk has these pods.
    Found(Vec<Leftover>),
}

/// Starts the pod table; it ends (without stopping any pod) when `stop` is cancelled. `desired` takes full sets.
pub fn start(
    ports: PodPorts,
    settings: Settings,
    desired: mpsc::Receiver<DesiredSet>,
    stop: CancellationToken,
) -> PodTable {
    let (events, incoming) = mpsc::channel(256);
    let table = Arc::new(Table::default());
    let started = (ports.wall)();
    let (active, counted) = watch::channel(Active::default());
    let state = (Arc::clone(&ports.cgroups), counted);
    restarting("weights of classes", &stop, state, |(cgroups, active)| {
        Box::pin(weights::run(Arc::clone(cgroups), active))
    });
    let shared = Arc::new(Shared {
        ports,
        settings,
        table: Arc::clone(&table),
        facts: RuntimeFacts::default(),
        starts: Arc::default(),
        started,
        events: events.clone(),
        active,
    });
    vital("pod table", &stop, Driver::new(shared).run(desired, incoming, stop.clone()));
    let pulse = Pulse::new(events.clone());
    PodTable { pods: Arc::<Table>::clone(&table), control: Arc::new(Control { events }), table, pulse }
}

/// Sends orders to the table's task.
struct Control {
    events: mpsc::Sender<Event>,
}

#[async_trait]
impl ports::PodControl for Control {
    async fn kill(&self, uid: &PodUid, kill: PodKill) -> bool {
        let (done, gone) = oneshot::channel();
        if self.events.send(Event::Kill(uid.clone(), kill, done)).await.is_err() {
            return false;
        }
        gone.await.is_ok()
    }

    fn wake(&self, uid: &PodUid) {
        // A full queue means that the table is about to look anyway.
        let _ = self.events.try_send(Event::Wake(uid.clone()));
    }
}
