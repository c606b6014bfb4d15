//! What a worker learns from the tasks beside it: progress and results of passes.

use jiff::Timestamp;

use super::{Ended, Worker};
use crate::core::model::time::Moment;
use crate::core::plan::{EndCause, Replacement, Stage, Waiting, pause};
use crate::kubelet::pods::pass::{Dropped, PassEnd, Progress};
use crate::ports::kubelet::{EventKind, EventTarget};
use crate::supervise::Panicked;

impl Worker {
    pub(super) fn read_progress(&mut self, progress: Progress) {
        let now = self.now();
        match progress {
            Progress::Changed => self.mail.look = true,
            Progress::Resized => {
                self.mail.look = true;
                self.mail.fresh = true;
            }
            Progress::VolumesReady => self.ledger.volumes_ready = true,
            Progress::Raised(key, finished) => self.ledger.raise(&key, finished, now),
            Progress::Waiting(name, None) => {
                self.failures.of_starts.remove(&name);
                self.ledger.waiting.remove(&name);
            }
            Progress::Waiting(name, Some(waiting)) => {
                let failures = self.failures.of_starts.entry(name.clone()).or_default();
                *failures = failures.saturating_add(1);
                let retry_at = waiting.retry_at.or(Some(now.later(pause(failures.saturating_add(1)))));
                self.failures.last = Some(format!("{}: {}", waiting.reason, waiting.message));
                self.ledger.waiting.insert(name, Waiting { retry_at, ..waiting });
            }
        }
    }

    pub(super) fn read_end(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let now = self.now();
        self.mail.look = true;
        let round = self.tasks.rounds.end_pass();
        self.count_pass(&ended, round);
        self.tasks.replacement = Replacement::default();
        // Progress that was sent before the end comes first.
        while let Ok(progress) = self.tasks.progress.1.try_recv() {
            self.read_progress(progress);
        }
        match ended {
            Ok(Ended::Pass(PassEnd::Ran(done @ (Ok(()) | Err(Dropped::Records(_)))))) => {
                self.deadlines.removal.ended(done.is_ok(), now);
                self.failures.of_passes = 0;
                self.failures.last = None;
                self.deadlines.retry = None;
                if self.tasks.resizing {
                    self.resized();
                }
            }
            Ok(Ended::Pass(PassEnd::Ran(Err(Dropped::Init(_))) | PassEnd::CalledOff)) => {}
            Ok(Ended::Pass(PassEnd::Ran(Err(Dropped::Rejected(kill))))) => self.end(EndCause::Killed(kill)),
            Ok(Ended::Pass(PassEnd::Ran(Err(Dropped::Resize(message))))) => self.resize_failed(now, message),
            Ok(Ended::Pass(PassEnd::Ran(Err(Dropped::Failed(message))))) => self.failed(now, message),
            Ok(Ended::Pass(PassEnd::Panicked(panicked)) | Ended::Removed(PassEnd::Panicked(panicked))) => {
                self.pass_panicked(now, &panicked);
            }
            Ok(Ended::Cleaned(Ok(()))) => {
                self.failures.of_passes = 0;
                if let Stage::Terminated { cleaned } = &mut self.stage {
                    *cleaned = true;
                }
            }
            Ok(Ended::Cleaned(Err(message))) => self.clean_failed(now, message),
            Ok(Ended::Removed(ended)) => {
                let all = matches!(ended, PassEnd::Ran(Ok(())));
                self.deadlines.removal.ended(all, now);
                let is_over = all || self.deadlines.removal.is_in_vain();
                // The records of a pod that is still listed are kept, with its status.
                self.set_records_removed(self.source.removed && is_over);
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.pass_panicked(now, &Panicked::from(error)),
        }
    }

    /// A panic of a pass is a failure of this pod, like others.
    fn pass_panicked(&mut self, now: Timestamp, panicked: &Panicked) {
        let message = format!("{panicked}; the pod is retried");
        self.shared.ports.events.record(EventTarget::Pod(&self.pod), EventKind::Warning, "FailedSync", message);
        self.failed(now, panicked.to_string());
        self.deadlines.removal.ended(false, now);
        // As after other failures to remove records: the next cleanup of orphans finds them.
        self.set_records_removed(self.source.removed && self.deadlines.removal.is_in_vain());
    }

    /// Records only matter once the pod has finished.
    pub(super) fn set_records_removed(&mut self, is_removed: bool) {
        if let Stage::Finished { records_removed, .. } = &mut self.stage {
            *records_removed = is_removed;
        }
    }

    pub(super) fn failed(&mut self, now: Timestamp, message: String) {
        tracing::info!(uid = %self.uid, error = message, "pass failed");
        self.failures.last = Some(message);
        self.failures.of_passes = self.failures.of_passes.saturating_add(1);
        self.deadlines.retry = Some(now.later(pause(self.failures.of_passes)));
    }
}
