//! Renews the node's lease, independently of the status, and also while the node shuts down.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::core::model::time::seconds;
use crate::core::model::{Backoff, with_causes};
use crate::ports::kubelet::NodeApi;
use crate::ports::node::ApiError;

/// Number of consecutive failures after which the connection itself is suspected.
const SUSPECT: u32 = 5;
/// Delays after failures; none is longer than the renewal interval.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(400), most: Duration::from_millis(6400) };

pub struct LeaseKeeper {
    /// Reads and writes the lease.
    pub api: Arc<dyn NodeApi>,
    /// Name of the node, and of its lease.
    pub node_name: String,
    /// Uid of the Node object, its owner.
    pub node_uid: watch::Receiver<Option<String>>,
    /// Duration of the lease in seconds; it is renewed four times as often.
    pub seconds: i32,
    /// Called when renewal keeps failing, to force new connections.
    pub suspect: Box<dyn Fn() + Send + Sync>,
}

impl LeaseKeeper {
    /// Runs until `stop`, starting once the node is registered.
    pub async fn run(&mut self, stop: CancellationToken) {
        let interval = seconds(self.seconds.max(4).into()).checked_div(4).unwrap_or_default();
        let registered = async { self.node_uid.wait_for(Option::is_some).await.is_ok() };
        if !stop.run_until_cancelled(registered).await.unwrap_or(false) {
            return;
        }
        let backoff = Backoff { most: BACKOFF.most.min(interval), ..BACKOFF };
        let mut lease = None;
        let mut failures: u32 = 0;
        loop {
            let pause = match self.renew(&mut lease).await {
                Ok(()) => {
                    failures = 0;
                    interval
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures.is_multiple_of(SUSPECT) {
                        warn!(error = with_causes(&error), failures, "lease cannot be renewed");
                        (self.suspect)();
                    } else {
                        debug!(error = with_causes(&error), "lease not renewed");
                    }
                    backoff.after(failures)
                }
            };
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn renew(&self, known: &mut Option<Lease>) -> Result<(), ApiError> {
        let renewed = match known.take() {
            Some(lease) => self.api.replace_lease(&self.renewed(lease)).await,
            None => match self.api.get_lease().await {
                Ok(lease) => self.api.replace_lease(&self.renewed(lease)).await,
                Err(ApiError::NotFound(_)) => self.api.create_lease(&self.renewed(Lease::default())).await,
                Err(error) => Err(error),
            },
        };
        *known = Some(renewed?);
        Ok(())
    }

    fn renewed(&self, mut lease: Lease) -> Lease {
        let meta = &mut lease.metadata;
        meta.managed_fields = None;
        if meta.name.is_none() {
            *meta = ObjectMeta {
                name: Some(self.node_name.clone()),
                namespace: Some("kube-node-lease".into()),
                ..ObjectMeta::default()
            };
        }
        if let (None, Some(uid)) = (&meta.owner_references, self.node_uid.borrow().clone()) {
            meta.owner_references = Some(vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Node".into(),
                name: self.node_name.clone(),
                uid,
                ..OwnerReference::default()
            }]);
        }
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.holder_identity = Some(self.node_name.clone());
        spec.lease_duration_seconds = Some(self.seconds);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        lease
    }
}
