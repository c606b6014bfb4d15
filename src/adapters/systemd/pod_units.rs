//! Units of static pods by the manager's D-Bus interface.

use std::collections::BTreeSet;

use async_trait::async_trait;
use zbus::{Connection, OwnedObjectPath};

use crate::ports::{PodUnits, UnitError};

/// One line of `ListUnitsByPatterns`: name, description, load, active and sub state, followed unit, path, job id, job
/// type, job path.
type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<Listed>>;
}

/// The service manager; each call connects anew, for they are rare and a connection costs memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticPodUnits;

async fn connect() -> Result<Connection, UnitError> {
    Connection::system().await.map_err(|error| UnitError::Unavailable { message: error.to_string() })
}

async fn manager(connection: &Connection) -> Result<ManagerProxy<'_>, UnitError> {
    ManagerProxy::new(connection).await.map_err(|error| UnitError::Unavailable { message: error.to_string() })
}

fn refused(unit: &str, error: &zbus::Error) -> UnitError {
    UnitError::Refused { unit: unit.to_owned(), message: error.to_string() }
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
