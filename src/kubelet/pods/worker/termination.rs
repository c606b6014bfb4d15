//! The worker's part in the termination of a pod: kill, clean up, report, and remove the records.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::rounds::TERMINATED;
use super::{Ended, Worker};
use crate::core::model::{uid_of, with_causes};
use crate::core::plan::{self, Stage};
use crate::kubelet::pods::context::Event;
use crate::ports::kubelet::{EventKind, EventTarget};
use crate::supervise::spawn;
use crate::telemetry::panics::{Task, named};

impl Worker {
    /// Executes the next step of the termination.
    pub(super) fn advance_end(&mut self, now: Timestamp) {
        let Some(end) = self.ledger.end.clone() else { return };
        if self.stage == Stage::Terminating {
            let stale = self.tasks.ending.is_none_or(|grace| grace > end.grace_seconds);
            if !self.tasks.running.is_empty() && stale {
                // Termination has priority over starts; a shortened grace period restarts it. Calls in progress
                // complete first, then the pod is observed again.
                self.tasks.off.cancel();
            }
            if self.tasks.running.is_empty() && self.deadlines.may_begin(now) {
                let actions = plan::plan_end(&self.pod, &self.observed, &end, now);
                self.begin(actions, Some(end.grace_seconds));
                self.step();
            }
        }
        if matches!(self.stage, Stage::Terminated { .. })
            && self.tasks.running.is_empty()
            && self.deadlines.may_begin(now)
        {
            for waiter in self.mail.waiters.drain(..) {
                // The waiter may have given up.
                let _ = waiter.send(());
            }
            self.clean();
        }
        if matches!(self.stage, Stage::Finished { .. }) {
            self.finish(now);
        }
    }

    /// Removes volumes and cgroups once nothing runs.
    fn clean(&mut self) {
        let (ports, uid) = (self.shared.ports.clone(), self.uid.clone());
        self.tasks.rounds.begin_pass(Some(TERMINATED));
        let task = Task::of("pod clean-up", uid.as_str());
        self.tasks.running.spawn(named(task, async move {
            ports.probes.forget(&uid);
            let (volumes, cgroup) = tokio::join!(ports.volumes.tear_down(&uid), ports.cgroups.remove(&uid));
            if let Err(error) = &cgroup {
                tracing::warn!(error = with_causes(&error), %uid, "a pod cgroup was not removed");
            }
            if let Err(errors) = &volumes {
                for error in errors {
                    tracing::warn!(error = error.message, %uid, "a volume was not removed");
                }
            }
            let volumes = match volumes {
                Ok(true) => Ok(()),
                Ok(false) => Err("the pod's directory is still there".to_owned()),
                Err(errors) => Err(errors.into_iter().map(|error| error.message).next().unwrap_or_default()),
            };
            Ended::Cleaned(volumes.and(cgroup.map_err(|error| error.to_string())))
        }));
    }

    /// Something of the pod cannot be removed: it is retried, and an event on the pod says why it remains.
    pub(super) fn clean_failed(&mut self, now: Timestamp, message: String) {
        if !self.source.orphan && self.failures.last.as_ref() != Some(&message) {
            let text = format!("failed to remove the pod's directories or cgroup: {message}");
            let events = &self.shared.ports.events;
            events.record(EventTarget::Pod(&self.pod), EventKind::Warning, "FailedToRemovePodDirectories", text);
        }
        self.failed(now, message);
    }

    /// Marks the pod as finished; if its source dropped it, its records are removed too, unless it is listed again.
    fn finish(&mut self, now: Timestamp) {
        if let Stage::Finished { told: told @ false, .. } = &mut self.stage {
            *told = true;
            self.tell(now);
            if !self.source.orphan {
                self.shared.ports.statuses.finished(&self.pod, self.source.is_static);
            }
            self.shared.ports.objects.unregister(&self.pod);
            self.shared.ports.images.forget(&self.uid);
            let (shared, uid) = (Arc::clone(&self.shared), self.uid.clone());
            spawn("pod worker", async move { drop(shared.events.send(Event::Finished(uid)).await) });
        }
        // Nothing is lost by clearing it: the command is repeated while the disk is full.
        if std::mem::take(&mut self.mail.remove_dead) && !self.source.removed && self.tasks.running.is_empty() {
            let (pass, actions) = (self.pass(), plan::plan_removal(&self.observed));
            let task = Task::of("pod removal", self.uid.as_str());
            self.tasks
                .running
                .spawn(async move { Ended::Removed(pass.execute(task, actions, CancellationToken::new()).await) });
        }
        if self.source.removed && self.source.returns && self.tasks.running.is_empty() {
            self.set_records_removed(true);
        }
        let is_over = matches!(self.stage, Stage::Finished { records_removed: true, .. });
        if self.source.removed && self.tasks.running.is_empty() && !is_over && self.deadlines.removal.is_due(now) {
            let actions = plan::plan_removal(&self.observed);
            let pass = self.pass();
            let (ports, pod) = (self.shared.ports.clone(), Arc::clone(&self.pod));
            let task = Task::of("pod removal", self.uid.as_str());
            self.tasks.running.spawn(async move {
                let ended = pass.execute(task, actions, CancellationToken::new()).await;
                if let Err(error) = ports.files.remove_logs(&pod).await {
                    tracing::warn!(error = with_causes(&error), uid = %uid_of(&pod), "logs of a pod could not be removed");
                }
                Ended::Removed(ended)
            });
        }
    }
}
