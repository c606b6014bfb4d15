//! The pod table and its workers: nothing else in the kubelet starts or stops containers.
//!
//! [`start`] receives the sources' full sets. The dispatcher runs one worker for each pod; a worker observes its pod,
//! asks [`crate::core::plan`] what to do, has a pass execute it in a separate task, and publishes the status.

mod calls;
mod context;
mod control;
mod dispatcher;
mod liveness;
mod looks;
mod orphans;
mod pass;
mod ports;
mod runtime_facts;
mod start_gate;
mod views;
mod weights;
pub(crate) mod worker;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::context::{Event, Shared};
use self::dispatcher::Dispatcher;
use self::runtime_facts::RuntimeFacts;
use self::weights::Active;
use crate::core::model::{DesiredSet, PodKill, PodUid};
use crate::ports::kubelet::Pods;
use crate::supervise::{restarting, vital};

pub use self::context::Settings;
pub use self::control::PodControl;
pub use self::liveness::Liveness;
pub use self::ports::{
    Admission, HookCall, HookError, Hooks, ImageDemand, ImageWaiting, Instruments, PodImages, PodPorts, Probes,
    PulledImage, StatusSink,
};
pub use self::views::Table;

/// The running pod table.
#[derive(Clone)]
pub struct PodTable {
    pub pods: Arc<dyn Pods>,
    /// Terminates or wakes pods.
    pub control: Arc<dyn PodControl>,
    /// Records the uids of mirror pods.
    pub table: Arc<Table>,
    /// Liveness of the dispatcher.
    pub liveness: Liveness,
}

/// Starts the pod table; it exits (without stopping any pod) when `stop` is cancelled. `desired` receives full sets.
pub fn start(
    ports: PodPorts,
    settings: Settings,
    desired: mpsc::Receiver<DesiredSet>,
    stop: CancellationToken,
) -> PodTable {
    let (events, incoming) = mpsc::channel(256);
    let table = Arc::new(Table::default());
    let started = (ports.instruments.wall)();
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
        looks: Default::default(),
        started,
        events: events.clone(),
        active,
    });
    vital("pod table", &stop, Dispatcher::new(shared).run(desired, incoming, stop.clone()));
    let liveness = Liveness::new(events.clone());
    PodTable { pods: Arc::<Table>::clone(&table), control: Arc::new(Control { events }), table, liveness }
}

/// Sends commands to the dispatcher.
struct Control {
    events: mpsc::Sender<Event>,
}

#[async_trait]
impl PodControl for Control {
    async fn kill(&self, uid: &PodUid, kill: PodKill) -> bool {
        let (done, gone) = oneshot::channel();
        if self.events.send(Event::Kill(uid.clone(), kill, done)).await.is_err() {
            return false;
        }
        gone.await.is_ok()
    }

    async fn remove_dead(&self) {
        // Nobody is left to ask when the dispatcher has exited.
        let _ = self.events.send(Event::RemoveDead).await;
    }

    fn wake(&self, uid: &PodUid) {
        // A full queue means that the table is about to reconcile anyway.
        let _ = self.events.try_send(Event::Wake(uid.clone()));
    }
}
