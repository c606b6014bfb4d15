//! The host: what a test can change and observe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::PodStatus;
use tokio::sync::watch;

use super::fault::{Fault, TAKES};
use super::records::{Container, Record};
use super::state::{Program, State};
use super::statuses::Reported;
use crate::core::model::{ContainerId, ContainerProbes, PodUid, SandboxId};

/// More calls than any test of one pod needs: a kubelet that makes more of them is in a busy loop.
const TOO_MANY: usize = 20_000;

/// A node without a kubelet.
#[derive(Default)]
pub struct PodHost {
    state: Mutex<State>,
    pub(super) changed: watch::Sender<()>,
}

impl PodHost {
    /// A host without pods.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call to the runtime; returns its number, and its fault.
    pub(super) fn count(&self, call: &str, of: &str) -> (usize, Option<Fault>) {
        let mut state = self.state();
        let number = state.calls.len();
        assert!(number < TOO_MANY, "the kubelet calls the runtime again and again: {call} {of}");
        state.calls.push(format!("{call} {of}").trim_end().to_owned());
        (number, state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault))
    }

    /// Makes admission reject the pod of that name while the other one is active (empty: always), or no pod.
    pub fn set_refused(&self, refused: Option<(&str, &str)>) {
        self.state().refused = refused.map(|(pod, beside)| (pod.to_owned(), beside.to_owned()));
    }

    /// Number of admission decisions.
    pub fn admissions(&self) -> usize {
        self.state().asked
    }

    /// Reasons for rejecting static pods, by namespace and name.
    pub fn refusals(&self) -> BTreeMap<String, String> {
        self.state().disk.refusals.clone()
    }

    /// Makes starts fail while more than `at_once` of their calls are in progress.
    pub fn set_bears(&self, at_once: usize) {
        self.state().bears = Some(at_once);
    }

    /// Highest number of concurrent calls that were part of starts.
    pub fn most_starting(&self) -> usize {
        self.state().most_starting
    }

    /// A call that is part of a start begins.
    pub(super) fn begin_start(&self) {
        let mut state = self.state();
        state.starting += 1;
        state.most_starting = state.most_starting.max(state.starting);
    }

    /// Sets the duration of the `number`-th call to the runtime (from 0).
    pub fn set_slow(&self, number: usize, takes: Duration) {
        self.state().slow = Some((number, takes));
    }

    /// The duration of this call.
    pub(super) fn takes(&self, number: usize) -> Duration {
        self.state().slow.filter(|(slow, _)| *slow == number).map_or(TAKES, |(_, takes)| takes)
    }

    /// Sets a fault of the `number`-th call to the runtime (from 0, counted from the creation of the host).
    pub fn set_fault(&self, number: usize, fault: Fault) {
        self.state().fault = Some((number, fault));
    }

    /// Makes the `number`-th call of any port (from 0) panic.
    pub fn set_panic(&self, number: usize) {
        self.state().panics_at = Some(number);
    }

    /// Makes every call to the runtime about this (a pod's uid, `name#attempt`) panic, or none.
    pub fn set_panics_about(&self, what: Option<&str>) {
        self.state().panics_about = what.map(str::to_owned);
    }

    /// Number of calls of ports so far.
    pub fn touches(&self) -> usize {
        self.state().touches
    }

    pub(super) fn touch(&self) {
        let mut state = self.state();
        let panics = state.panics_at == Some(state.touches);
        state.touches += 1;
        drop(state);
        assert!(!panics, "a call of a port panics");
    }

    pub(super) fn panic_about(&self, of: &str) {
        let panics = self.state().panics_about.as_deref() == Some(of);
        assert!(!panics, "every call about a pod panics");
    }

    /// The calls to the runtime so far.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Duration of a start of the container.
    pub(super) fn starts_in(&self, id: &ContainerId) -> Duration {
        let state = self.state();
        let container = state.containers.iter().find(|c| c.id == id.as_str());
        container.and_then(|c| state.programs.get(c.name())).map_or(Duration::ZERO, |program| program.starts_in)
    }

    /// Sets what containers of a name do.
    pub fn set_program(&self, name: &str, program: Program) {
        self.state().programs.insert(name.into(), program);
    }

    /// Makes the runtime unreachable, or reachable again; containers keep running.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    pub(super) fn is_down(&self) -> bool {
        self.state().down
    }

    /// Drops hints of the runtime from now on, or not any more.
    pub fn lose_hints(&self, lost: bool) {
        self.state().deaf = lost;
    }

    /// Makes it impossible to remove the newest record of a container.
    pub fn stick(&self, name: &str) {
        let mut state = self.state();
        let newest = state.containers.iter().rev().find(|c| c.name() == name).map(|c| c.id.clone());
        state.stuck.extend(newest);
    }

    /// Makes all records and volumes removable again.
    pub fn unstick(&self) {
        let mut state = self.state();
        state.stuck.clear();
        state.stuck_volumes = None;
    }

    /// Makes it impossible to remove the volumes, for this reason.
    pub fn stick_volumes(&self, why: &str) {
        self.state().stuck_volumes = Some((why.to_owned(), 0));
    }

    /// Number of attempts to remove volumes that are stuck.
    pub fn stuck_removals(&self) -> usize {
        self.state().stuck_volumes.as_ref().map_or(0, |(_, tried)| *tried)
    }

    /// The running container of that name exits by itself.
    pub fn exit(&self, name: &str, code: i32) {
        let mut state = self.state();
        let ids: Vec<_> = state.running().filter(|c| c.name() == name).map(|c| c.id.clone()).collect();
        ids.iter().for_each(|id| state.end(id, code));
        drop(state);
        self.changed.send_replace(());
    }

    /// The newest sandbox fails, with everything in it.
    pub fn crash_sandbox(&self) {
        let mut state = self.state();
        if let Some(id) = state.sandboxes.last().map(|s| SandboxId::from(&s.id)) {
            state.stop_sandbox(&id);
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Sets the probe results of the running container of that name.
    pub fn probe(&self, name: &str, probes: ContainerProbes) {
        let mut state = self.state();
        let found = state.running().find(|c| c.name() == name).map(|c| (c.id.clone(), PodUid::from(c.uid())));
        let Some((id, uid)) = found else { return };
        state.probes.insert(ContainerId::from(id), probes);
        state.probed.retain(|changes| changes.try_send(uid.clone()).is_ok());
    }

    /// Makes a container exit in a separate task, now or after it was told to.
    pub(super) fn end_after(self: &Arc<Self>, id: &str, after: Duration, code: i32) {
        let (host, id) = (Arc::clone(self), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            host.state().end(&id, code);
            host.changed.send_replace(());
        });
    }

    /// Returns when the container is not running.
    pub(super) async fn ended(&self, id: &str) {
        let mut changed = self.changed.subscribe();
        while self.state().running().any(|c| c.id == id) {
            // The sender exists as long as the host.
            let _ = changed.changed().await;
        }
    }

    /// All container records, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.state().containers.iter().map(Container::record).collect()
    }

    /// The running container of that name.
    pub fn running(&self, name: &str) -> Option<Record> {
        self.state().running().find(|c| c.name() == name).map(Container::record)
    }

    /// Number of sandboxes, whatever their state.
    pub fn sandboxes(&self) -> usize {
        self.state().sandboxes.len()
    }

    /// The events so far, as `where reason: message`.
    pub fn events(&self) -> Vec<String> {
        self.state().events.clone()
    }

    /// Returns and clears what happened to processes and hooks, in order.
    pub fn take_happened(&self) -> Vec<String> {
        std::mem::take(&mut self.state().happened)
    }

    /// The newest published status.
    pub fn status(&self) -> Option<PodStatus> {
        self.state().reported.newest()
    }

    /// Everything that was published about the pod.
    pub fn reported(&self) -> Reported {
        self.state().reported.clone()
    }

    /// Violated invariants, and exit codes that were never published.
    pub fn sins(&self) -> Vec<String> {
        let state = self.state();
        let lost = state.ends.iter().filter(|end| !state.reported.ends.contains(end));
        let lost = lost.map(|(name, attempt, code)| format!("nobody was told that {name}#{attempt} ended with {code}"));
        state.sins.iter().chain(&state.reported.sins).cloned().chain(lost).collect()
    }

    /// Writes the node's resolv.conf, or removes it.
    pub fn set_resolv_conf(&self, text: Option<&str>) {
        let disk = &mut self.state().disk;
        disk.lacks_resolv_conf = text.is_none();
        disk.resolv_conf = text.unwrap_or_default().to_owned();
    }

    /// Makes it impossible to attach more volumes to the node.
    pub fn attach_no_more(&self) {
        self.state().disk.is_full = true;
    }

    /// The name servers in the newest sandbox's configuration.
    pub fn name_servers(&self) -> Vec<String> {
        let state = self.state();
        let dns = state.sandboxes.last().and_then(|sandbox| sandbox.config.dns_config.clone());
        dns.map(|dns| dns.servers).unwrap_or_default()
    }

    /// The pods of the last update of the classes' weights, and whether these were all pods.
    pub fn weighed(&self) -> Option<(BTreeSet<String>, bool)> {
        self.state().disk.weighed.clone()
    }

    /// Clears the record of the classes' weights.
    pub fn forget_weights(&self) {
        self.state().disk.weighed = None;
    }

    /// What exists of pods: records, directories, logs, cgroups; empty if nothing is left.
    pub fn leftovers(&self) -> Vec<String> {
        let state = self.state();
        let sandboxes = state.sandboxes.iter().map(|s| format!("sandbox {}", s.id));
        let containers = state.containers.iter().map(|c| format!("container {}#{}", c.name(), c.attempt()));
        sandboxes.chain(containers).chain(state.disk.leftovers()).collect()
    }
}
