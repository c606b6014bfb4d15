//! Updates the number of volumes that can be attached to the node: network cards and other volumes may use the slots
//! (KEP-4876; upstream `pkg/volume/csi/csi_node_updater.go`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::driver::Driver;
use super::drivers::Drivers;
use super::terms::update_period;
use crate::core::model::time::Moment;
use crate::core::model::with_causes;
use crate::ports::kubelet::{NodeDriver, StorageApi};

/// Interval of checking the drivers' objects.
const LOOK: Duration = Duration::from_secs(60);
/// The shortest period that the API accepts.
const SHORTEST: Duration = Duration::from_secs(10);

/// Asks a driver for its description of this node.
pub(super) async fn describe(name: &str, driver: &Driver) -> Result<NodeDriver, String> {
    let node = driver.info().await.map_err(|e| format!("NodeGetInfo: {}", e.message()))?;
    Ok(NodeDriver {
        name: name.to_owned(),
        node_id: node.node_id,
        topology: node.accessible_topology.map(|t| t.segments.into_iter().collect()).unwrap_or_default(),
        max_volumes: i32::try_from(node.max_volumes_per_node).ok().filter(|n| *n > 0),
    })
}

/// Asks a driver again, and returns what changed.
pub(super) async fn renew(name: &str, driver: &Driver, api: &dyn StorageApi) -> Result<(), String> {
    let about = describe(name, driver).await?;
    api.publish_driver(&about).await.map_err(|e| e.to_string())
}

struct Renewal {
    period: Duration,
    next: Instant,
}

/// Updates the limits of all drivers that require it.
pub struct AttachLimits {
    drivers: Drivers,
    api: Arc<dyn StorageApi>,
    renewals: BTreeMap<String, Renewal>,
    /// When the drivers' objects have to be checked.
    look: Option<Instant>,
}

impl AttachLimits {
    /// For the drivers that are registered on this node.
    pub fn new(drivers: Drivers, api: Arc<dyn StorageApi>) -> Self {
        Self { drivers, api, renewals: BTreeMap::new(), look: None }
    }

    pub async fn run(&mut self, stop: CancellationToken) {
        loop {
            let next = self.round(Instant::now()).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(next) => {}
            }
        }
    }

    /// Performs what is due, and returns when to run next.
    pub(super) async fn round(&mut self, now: Instant) -> Instant {
        let look = match self.look.filter(|look| *look > now) {
            Some(look) => look,
            None => {
                self.look_at_objects(now).await;
                now.later(LOOK)
            }
        };
        self.look = Some(look);
        for (name, renewal) in self.renewals.iter_mut().filter(|(_, renewal)| renewal.next <= now) {
            renewal.next = now.later(renewal.period);
            let Some(driver) = self.drivers.get(name) else { continue };
            if let Err(error) = renew(name, &driver, &*self.api).await {
                tracing::warn!(driver = name, error, "the volume limit of the node is not updated");
            }
        }
        self.renewals.values().map(|renewal| renewal.next).fold(look, Instant::min)
    }

    async fn look_at_objects(&mut self, now: Instant) {
        let names = self.drivers.names();
        self.renewals.retain(|name, _| names.contains(name));
        for name in names {
            let period = match self.api.csi_driver(&name).await {
                Ok(object) => update_period(object.as_ref().map(|object| &object.spec)).map(|p| p.max(SHORTEST)),
                Err(error) => {
                    tracing::debug!(driver = name, error = with_causes(&error), "no CSIDriver object");
                    continue;
                }
            };
            match period {
                None => _ = self.renewals.remove(&name),
                Some(period) if self.renewals.get(&name).is_some_and(|renewal| renewal.period == period) => {}
                Some(period) => _ = self.renewals.insert(name, Renewal { period, next: now.later(period) }),
            }
        }
    }
}
