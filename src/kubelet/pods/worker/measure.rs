//! What the worker counts of its pod: rounds, starts, terminated containers, resizes, volumes of orphans.

use std::time::Duration;

use k8s_openapi::api::core::v1::PodStatus;
use tokio::task::JoinError;

use super::{Ended, Worker};
use crate::core::status::terminations;
use crate::kubelet::pods::pass::PassEnd;

impl Worker {
    /// A round has ended.
    pub(super) fn count_round(&self, round: Option<(&'static str, Duration)>) {
        if let Some((about, took)) = round {
            self.shared.metrics().pod_worker.observe([about], took);
        }
    }

    /// A pass or a clean-up has ended, and its round with it.
    pub(super) fn count_pass(&self, ended: &Result<Ended, JoinError>, round: Option<(&'static str, Duration)>) {
        self.count_round(round);
        if let (true, Ok(Ended::Pass(PassEnd::Ran(ran))), Some((_, took))) = (self.tasks.resizing, ended, round) {
            let success = if ran.is_ok() { "true" } else { "false" };
            let millis = took.as_secs_f64() * 1000.0;
            self.shared.metrics().resize_duration.observe_value([success], millis);
        }
        if let (true, Ok(Ended::Cleaned(cleaned))) = (self.source.orphan, ended) {
            self.count_orphan(cleaned.is_ok());
        }
    }

    /// Volumes of a pod that no source lists were taken down, or not. One that failed before is no failure any more
    /// once it succeeds.
    fn count_orphan(&self, cleaned: bool) {
        let metrics = self.shared.metrics();
        let (volumes, errors) = (&metrics.orphan_volumes, &metrics.orphan_volume_errors);
        match (cleaned, self.failures.of_passes) {
            (true, failed) => {
                volumes.with([]).add(1.0);
                // Other passes fail too.
                if failed > 0 && errors.with([]).get() > 0.0 {
                    errors.with([]).add(-1.0);
                }
            }
            (false, 0) => errors.with([]).add(1.0),
            (false, _) => {}
        }
    }

    /// The status is about to change to that.
    pub(super) fn count_status(&mut self, next: &PodStatus) {
        let metrics = self.shared.metrics();
        let before = &self.published.status;
        for end in terminations(before, next) {
            let labels = [end.kind.metric_label(), &end.exit_code.to_string(), &end.reason];
            metrics.terminated_containers.with(labels).inc();
        }
        let runs = |status: &PodStatus| status.phase.as_deref() == Some("Running");
        if !runs(before)
            && runs(next)
            && let Some(seen) = self.source.first_seen.take()
        {
            metrics.pod_start.observe([], seen.elapsed());
        }
    }
}
