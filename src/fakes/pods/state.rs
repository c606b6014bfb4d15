//! The state of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::clock::wall;
use super::disk::Disk;
use super::fault::Fault;
use super::records::{Container, KILLED, Run, Sandbox};
use super::statuses::Reported;
use crate::core::model::{ContainerId, PodUid, ProbeResults, SandboxId};
use crate::ports::kubelet::RuntimeEvent;

/// The behavior of a container's process.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Exits by itself after this time, with this code.
    pub ends: Option<(Duration, i32)>,
    /// Time from SIGTERM to the exit, with code 143; `None` ignores the signal.
    pub heeds: Option<Duration>,
    /// Duration of a start.
    pub starts_in: Duration,
    pub hook_fails: bool,
    /// Duration of a hook.
    pub hook_takes: Duration,
}

impl Default for Program {
    /// Runs until it is told to stop, which takes a tenth of a second.
    fn default() -> Self {
        Self {
            ends: None,
            heeds: Some(Duration::from_millis(100)),
            starts_in: Duration::ZERO,
            hook_fails: false,
            hook_takes: Duration::ZERO,
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub sandboxes: Vec<Sandbox>,
    pub containers: Vec<Container>,
    pub programs: BTreeMap<String, Program>,
    pub disk: Disk,
    pub reported: Reported,
    pub calls: Vec<String>,
    pub fault: Option<(usize, Fault)>,
    /// A pod that is rejected, and the active pod that causes it (empty: always).
    pub refused: Option<(String, String)>,
    /// Number of admission decisions.
    pub asked: usize,
    /// Starts in progress, their highest number, and how many the machine can handle.
    pub starting: usize,
    pub most_starting: usize,
    pub bears: Option<usize>,
    /// A slow call to the runtime, with its duration.
    pub slow: Option<(usize, Duration)>,
    /// Number of calls of any port, and which of them panics.
    pub touches: usize,
    pub panics_at: Option<usize>,
    /// Calls to the runtime about this panic.
    pub panics_about: Option<String>,
    /// Records that cannot be removed.
    pub stuck: BTreeSet<String>,
    /// Why volumes cannot be removed, and the number of attempts.
    pub stuck_volumes: Option<(String, usize)>,
    pub deaf: bool,
    pub down: bool,
    pub sins: Vec<String>,
    pub happened: Vec<String>,
    pub probes: ProbeResults,
    pub events: Vec<String>,
    /// Exits of containers that had run: name, restart count, code.
    pub ends: BTreeSet<(String, u32, i32)>,
    pub hints: Vec<mpsc::Sender<RuntimeEvent>>,
    pub probed: Vec<mpsc::Sender<PodUid>>,
    made: u64,
    last: Timestamp,
}

impl State {
    /// A new id, and its creation time, which is later than any other.
    pub fn make(&mut self, kind: &str) -> (String, Timestamp) {
        self.made += 1;
        self.last = wall().max(self.last + SignedDuration::from_nanos(1));
        (format!("{kind}{}", self.made), self.last)
    }

    pub fn hint(&mut self, event: &RuntimeEvent) {
        if !self.deaf {
            self.hints.retain(|hints| hints.try_send(event.clone()).is_ok());
        }
    }

    /// The process of a container exits, if it is running.
    pub fn end(&mut self, id: &str, code: i32) {
        let Some(container) = self.containers.iter_mut().find(|c| c.id == id && c.run == Run::Running) else { return };
        container.run = Run::Exited(code);
        container.finished_at = Some(wall());
        let (name, attempt) = (container.name().to_owned(), container.attempt());
        self.happened.push(format!("{name}#{attempt} ended with {code}"));
        self.ends.insert((name, attempt, code));
        self.hint(&RuntimeEvent::Exited(ContainerId::from(id)));
    }

    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|c| c.run == Run::Running)
    }

    /// A sandbox stops, with everything in it.
    pub fn stop_sandbox(&mut self, id: &SandboxId) {
        let inside: Vec<_> = self.running().filter(|c| c.sandbox == id.as_str()).map(|c| c.id.clone()).collect();
        inside.iter().for_each(|id| self.end(id, KILLED));
        for sandbox in self.sandboxes.iter_mut().filter(|s| s.id == id.as_str()) {
            sandbox.ready = false;
        }
        self.hint(&RuntimeEvent::Exited(ContainerId::from(id.as_str())));
    }
}
