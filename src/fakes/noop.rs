//! No-op ports for tests of phases: a pod network without effect, and a progress listener.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::core::model::StepOutcome;
use crate::core::network::{BridgeChange, ObservedBridge, Route, RouteChange};
use crate::ports::bootstrap::{NetworkChange, PodNetwork, PodNetworkError, Progress};

/// A node without a pod network, which is set up by the node agent.
pub struct NoNetwork;

#[async_trait]
impl PodNetwork for NoNetwork {
    async fn observe_routes(&self) -> Result<Vec<Route>, PodNetworkError> {
        Ok(Vec::new())
    }
    async fn apply_route(&self, _: &RouteChange) -> Result<(), PodNetworkError> {
        Ok(())
    }
    async fn observe_mtu(&self, _: IpAddr) -> Result<Option<u32>, PodNetworkError> {
        Ok(None)
    }
    async fn apply_forwarding(&self, _: bool) -> Result<bool, PodNetworkError> {
        Ok(false)
    }
    async fn apply_ruleset(&self, _: &str) -> Result<bool, PodNetworkError> {
        Ok(false)
    }
    async fn observe_bridge(&self) -> Result<ObservedBridge, PodNetworkError> {
        Ok(ObservedBridge::default())
    }
    async fn apply_bridge(&self, _: &BridgeChange) -> Result<(), PodNetworkError> {
        Ok(())
    }
    async fn apply_conflist(&self, _: &Value) -> Result<bool, PodNetworkError> {
        Ok(false)
    }
    async fn observe_traces(&self) -> Result<Vec<String>, PodNetworkError> {
        Ok(Vec::new())
    }
    async fn remove_traces(&self) -> Result<(), PodNetworkError> {
        Ok(())
    }
    async fn changed(&self) -> NetworkChange {
        std::future::pending().await
    }
}

/// Records the steps that were not met, and their messages.
#[derive(Default)]
pub struct Record(Mutex<Vec<String>>);

impl Record {
    /// The lines recorded so far.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Record {
    fn phase_begins(&self, id: &str, _summary: &str, _place: (usize, usize)) {
        self.lines().push(format!("{id}:"));
    }
    fn step_begins(&self, _step: &str) {}
    fn step_says(&self, word: &str) {
        self.lines().push(format!("    ({word})"));
    }
    fn step_ends(&self, _phase: &str, step: &str, outcome: StepOutcome) {
        if outcome != StepOutcome::Unchanged {
            self.lines().push(format!("  {step}"));
        }
    }
    fn phase_ends(&self, _id: &str, _changed: usize, _took: Duration) {}
}
