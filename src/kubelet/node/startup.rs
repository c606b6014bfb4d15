//! Shows how long the phases of the node's start took.

use jiff::{SignedDuration, Timestamp};

use super::status::NodeReporter;

impl NodeReporter {
    /// The node was registered; `is_new` if it did not exist before.
    pub(super) fn show_registration(&mut self, is_new: bool) {
        if !is_new {
            return;
        }
        let Some(phases) = self.startup.register(Timestamp::now()) else { return };
        let metrics = &self.metrics;
        if let Some(duration) = phases.pre_kubelet {
            metrics.startup_pre_kubelet.with([]).set(seconds(duration));
        }
        metrics.startup_pre_registration.with([]).set(seconds(phases.pre_registration));
        metrics.startup_registration.with([]).set(seconds(phases.registration));
    }

    /// The node is ready.
    pub(super) fn show_readiness(&mut self) {
        let Some(phases) = self.startup.ready(Timestamp::now()) else { return };
        let metrics = &self.metrics;
        metrics.startup_post_registration.with([]).set(seconds(phases.post_registration));
        if let Some(total) = phases.total {
            metrics.startup.with([]).set(seconds(total));
        }
    }
}

fn seconds(duration: SignedDuration) -> f64 {
    duration.as_secs_f64()
}
