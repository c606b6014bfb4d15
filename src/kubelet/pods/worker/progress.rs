//! What a worker learns from the tasks beside it: progress of a pass under way, and how it ended.

use jiff::Timestamp;

use super::{Ended, Worker};
use crate::core::model::time::Moment;
use crate::core::plan::{EndCause, Replacement, Stage, Waiting, pause};
use crate::kubelet::pods::pass::{Dropped, PassEnd, Progress};
use crate::ports::{EventKind, EventTarget};
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
                self.start_failures.remove(&name);
                self.ledger.waiting.remove(&name);
            }
            Progress::Waiting(name, Some(waiting)) => {
                let failures = self.start_failures.entry(name.clone()).or_default();
                *failures = failures.saturating_add(1);
                let retry_at = waiting.retry_at.or(Some(now.later(pause(failures.saturating_add(1)))));
                self.last_error = Some(format!("{}: {}", waiting.reason, waiting.message));
                self.ledger.waiting.insert(name, Waiting { retry_at, ..waiting });
            }
        }
    }

    pub(super) fn read_end(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let now = self.now();
        self.mail.look = true;
        self.replacement = Replacement::default();
        // What the pass said before it ended comes first.
        while let Ok(progress) = self.progress.1.try_recv() {
            self.read_progress(progress);
        }
        match ended {
            Ok(Ended::Pass(PassEnd::Ran(done @ (Ok(()) | Err(Dropped::Records(_)))))) => {
                self.removal.ended(done.is_ok(), now);
                self.failures = 0;
                self.last_error = None;
                self.retry_at = None;
                if self.resizing {
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
                self.failures = 0;
                self.cleaned = true;
            }
            Ok(Ended::Cleaned(Err(message))) => self.clean_failed(now, message),
            Ok(Ended::Removed(ended)) => {
                let all = matches!(ended, PassEnd::Ran(Ok(())));
                self.removal.ended(all, now);
                self.records_removed = all || self.removal.is_in_vain();
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.pass_panicked(now, &Panicked::from(error)),
        }
    }

    /// A pass that panicked is a failure of this pod, as others are.
    fn pass_panicked(&mut self, now: Timestamp, panicked: &Panicked) {
        let message = format!("{panicked}; the pod is tried again");
        self.shared.ports.events.record(EventTarget::Pod(&self.pod), EventKind::Warning, "FailedSync", message);
        self.failed(now, panicked.to_string());
        self.removal.ended(false, now);
        // As after other failures to remove records: the next look for leftovers finds them.
        self.records_removed = self.stage == Stage::Finished && self.removed && self.removal.is_in_vain();
    }

    pub(super) fn failed(&mut self, now: Timestamp, message: String) {
        tracing::info!(uid = %self.uid, error = message, "pass failed");
        self.last_error = Some(message);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now.later(pause(self.failures)));
    }
}
