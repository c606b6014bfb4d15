//! Units of static pods, through the manager's D-Bus interface.

use std::collections::BTreeSet;

use async_trait::async_trait;
use zbus::Connection;

use super::manager::{ManagerProxy, refused, unavailable};
use crate::ports::kubelet::PodUnits;
use crate::ports::node::UnitError;

/// The service manager; each call opens a connection, because calls are rare and a connection costs memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticPodUnits;

async fn connect() -> Result<Connection, UnitError> {
    super::manager::connect().await.map_err(|error| unavailable(&error))
}

async fn manager(connection: &Connection) -> Result<ManagerProxy<'_>, UnitError> {
    ManagerProxy::new(connection).await.map_err(|error| unavailable(&error))
}

#[async_trait]
impl PodUnits for StaticPodUnits {
    async fn start(&self, unit: &str) -> Result<(), UnitError> {
        let connection = connect().await?;
        manager(&connection).await?.start_unit(unit, "replace").await.map(drop).map_err(|error| refused(unit, &error))
    }

    async fn stop(&self, unit: &str) -> Result<(), UnitError> {
        let connection = connect().await?;
        manager(&connection).await?.stop_unit(unit, "replace").await.map(drop).map_err(|error| refused(unit, &error))
    }

    async fn running(&self) -> Result<BTreeSet<String>, UnitError> {
        let connection = connect().await?;
        let pattern = "static-pod@*.service";
        let states = ["active", "activating", "reloading"];
        let listed = manager(&connection).await?.list_units_by_patterns(&states, &[pattern]).await;
        Ok(listed.map_err(|error| refused(pattern, &error))?.into_iter().map(|unit| unit.0).collect())
    }
}
