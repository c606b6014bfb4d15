//! The host: what a test may do to it and ask of it.

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

/// No test of one pod needs so many calls: a kubelet that makes more of them turns without a pause.
const TOO_MANY: usize = 20_000;

/// A node without a kubelet.
#[derive(Default)]
pub struct PodHost {
    state: Mutex<State>,
    pub(super) changed: watch::Sender<()>,
}

impl PodHost {
    /// A host with nothing on it.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a call to the runtime down; gives its number, and what is to go wrong with it.
    pub(super) fn count(&self, call: &str, of: &str) -> (usize, Option<Fault>) {
        let mut state = self.state();
        let number = state.calls.len();
        assert!(number < TOO_MANY, "the kubelet calls the runtime again and again: {call} {of}");
        state.calls.push(format!("{call} {of}").trim_end().to_owned());
        (number, state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault))
    }

    /// Lets admission refuse the pod of that name while the other one is active (empty: always), or none any more.
    pub fn set_refused(&self, refused: Option<(&str, &str)>) {
        self.state().refused = refused.map(|(pod, beside)| (pod.to_owned(), beside.to_owned()));
    }

    /// How often admission was asked.
    pub fn admissions(&self) -> usize {
        self.state().asked
    }

    /// Why static pods are refused, by namespace and name.
    pub fn refusals(&self) -> BTreeMap<String, String> {
        self.state().disk.refusals.clone()
    }

    /// Lets starts fail while more than `at_once` calls are under way that belong to starts.
    pub fn set_bears(&self, at_once: usize) {
        self.state().bears = Some(at_once);
    }

    /// The most calls that belong to starts and were under way at once.
    pub fn most_starting(&self) -> usize {
        self.state().most_starting
    }

    /// A call that belongs to a start begins.
    pub(super) fn begin_start(&self) {
        let mut state = self.state();
        state.starting += 1;
        state.most_starting = state.most_starting.max(state.starting);
    }

    /// Lets the `number`-th call to the runtime (from 0) take that long.
    pub fn set_slow(&self, number: usize, takes: Duration) {
        self.state().slow = Some((number, takes));
    }

    /// How long this call takes.
    pub(super) fn takes(&self, number: usize) -> Duration {
        self.state().slow.filter(|(slow, _)| *slow == number).map_or(TAKES, |(_, takes)| takes)
    }

    /// Lets the `number`-th call to the runtime (from 0, counted from the host's beginning) go wrong.
    pub fn set_fault(&self, number: usize, fault: Fault) {
        self.state().fault = Some((number, fault));
    }

    /// Lets the `number`-th call of any port (from 0) panic.
    pub fn set_panic(&self, number: usize) {
        self.state().panics_at = Some(number);
    }

    /// Lets every call to the runtime that is about this (a pod's uid, `name#attempt`) panic, or none any more.
    pub fn set_panics_about(&self, what: Option<&str>) {
        self.state().panics_about = what.map(str::to_owned);
    }

    /// How many calls of ports there were.
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

    /// How long a start of the container takes.
    pub(super) fn starts_in(&self, id: &ContainerId) -> Duration {
        let state = self.state();
        let container = state.containers.iter().find(|c| c.id == id.as_str());
        container.and_then(|c| state.programs.get(c.name())).map_or(Duration::ZERO, |program| program.starts_in)
    }

    /// What containers of a name do.
    pub fn set_program(&self, name: &str, program: Program) {
        self.state().programs.insert(name.into(), program);
    }

    /// The runtime cannot be reached (or can be again); what runs goes on.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    pub(super) fn is_down(&self) -> bool {
        self.state().down
    }

    /// Hints of the runtime are lost from now on (or are not any more).
    pub fn lose_hints(&self, lost: bool) {
        self.state().deaf = lost;
    }

    /// The newest record of a container can never be removed.
    pub fn stick(&self, name: &str) {
        let mut state = self.state();
        let newest = state.containers.iter().rev().find(|c| c.name() == name).map(|c| c.id.clone());
        state.stuck.extend(newest);
    }

    /// All records can be removed again, and volumes taken down.
    pub fn unstick(&self) {
        let mut state = self.state();
        state.stuck.clear();
        state.stuck_volumes = None;
    }

    /// The volumes cannot be taken down, for this reason.
    pub fn stick_volumes(&self, why: &str) {
        self.state().stuck_volumes = Some((why.to_owned(), 0));
    }

    /// How often volumes that are stuck were to be taken down.
    pub fn stuck_removals(&self) -> usize {
        self.state().stuck_volumes.as_ref().map_or(0, |(_, tried)| *tried)
    }

    /// The running container of that name ends by itself.
    pub fn exit(&self, name: &str, code: i32) {
        let mut state = self.state();
        let ids: Vec<_> = state.running().filter(|c| c.name() == name).map(|c| c.id.clone()).collect();
        ids.iter().for_each(|id| state.end(id, code));
        drop(state);
        self.changed.send_replace(());
    }

    /// The newest sandbox dies, with all that runs in it.
    pub fn crash_sandbox(&self) {
        let mut state = self.state();
        if let Some(id) = state.sandboxes.last().map(|s| SandboxId::from(&s.id)) {
            state.stop_sandbox(&id);
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Settles the probes of the running container of that name.
    pub fn probe(&self, name: &str, probes: ContainerProbes) {
        let mut state = self.state();
        let found = state.running().find(|c| c.name() == name).map(|c| (c.id.clone(), PodUid::from(c.uid())));
        let Some((id, uid)) = found else { return };
        state.probes.insert(ContainerId::from(id), probes);
        state.probed.retain(|changes| changes.try_send(uid.clone()).is_ok());
    }

    /// Ends a container, now or once it was told to, beside everything else.
    pub(super) fn end_after(self: &Arc<Self>, id: &str, after: Duration, code: i32) {
        let (host, id) = (Arc::clone(self), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            host.state().end(&id, code);
            host.changed.send_replace(());
        });
    }

    /// Returns once the container does not run.
    pub(super) async fn ended(&self, id: &str) {
        let mut changed = self.changed.subscribe();
        while self.state().running().any(|c| c.id == id) {
            // The sender lives as long as the host.
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

    /// The events so far, `where reason: message`.
    pub fn events(&self) -> Vec<String> {
        self.state().events.clone()
    }

    /// What happened to processes and hooks, in order; forgotten then.
    pub fn take_happened(&self) -> Vec<String> {
        std::mem::take(&mut self.state().happened)
    }

    /// The newest status that was told.
    pub fn status(&self) -> Option<PodStatus> {
        self.state().reported.newest()
    }

    /// Everything that was told of the pod.
    pub fn reported(&self) -> Reported {
        self.state().reported.clone()
    }

    /// What must never happen and did, and exit codes that nobody was told of.
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

    /// Lets no more volumes be attached to the node.
    pub fn attach_no_more(&self) {
        self.state().disk.is_full = true;
    }

    /// The name servers that the newest sandbox was made with.
    pub fn name_servers(&self) -> Vec<String> {
        let state = self.state();
        let dns = state.sandboxes.last().and_then(|sandbox| sandbox.config.dns_config.clone());
        dns.map(|dns| dns.servers).unwrap_or_default()
    }

    /// The pods by which the classes were weighed last, and whether these were said to be all.
    pub fn weighed(&self) -> Option<(BTreeSet<String>, bool)> {
        self.state().disk.weighed.clone()
    }

    /// As if the classes had never been weighed.
    pub fn forget_weights(&self) {
        self.state().disk.weighed = None;
    }

    /// What is there of pods: records, directories, logs, cgroups; empty when all is gone.
    pub fn leftovers(&self) -> Vec<String> {
        let state = self.state();
        let sandboxes = state.sandboxes.iter().map(|s| format!("sandbox {}", s.id));
        let containers = state.containers.iter().map(|c| format!("container {}#{}", c.name(), c.attempt()));
        sandboxes.chain(containers).chain(state.disk.leftovers()).collect()
    }
}
