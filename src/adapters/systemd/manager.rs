//! The parts of the service manager's D-Bus interface (org.freedesktop.systemd1(5)) that are used.

use std::time::Duration;

use zbus::{OwnedObjectPath, Variant};

use crate::ports::node::UnitError;

/// Time limit of a response by the bus, systemd or logind: libdbus' default is 25 s.
pub(in crate::adapters) const PATIENCE: Duration = Duration::from_secs(25);

/// A connection to the system bus with a time limit for calls. Opening it has one too: a stopped bus still accepts
/// connections, and sends nothing.
pub(in crate::adapters) async fn connect() -> zbus::Result<zbus::Connection> {
    connect_to(zbus::connection::Builder::system(), PATIENCE).await
}

async fn connect_to(bus: zbus::connection::Builder<'_>, limit: Duration) -> zbus::Result<zbus::Connection> {
    let late = |_| zbus::Error::Failure(format!("the bus did not answer within {} s", limit.as_secs()));
    tokio::time::timeout(limit, bus.method_timeout(limit).build()).await.map_err(late)?
}

/// One line of `ListUnitsByPatterns`: name, description, load, active and sub state, followed unit, path, job id, job
/// type, job path.
pub(super) type Listed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(in crate::adapters) trait Manager {
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    #[allow(clippy::type_complexity, reason = "the interface's own signature")]
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Variant<'_>)],
        aux: &[(&str, &[(&str, Variant<'_>)])],
    ) -> zbus::Result<OwnedObjectPath>;
    fn set_unit_properties(&self, name: &str, runtime: bool, properties: &[(&str, Variant<'_>)]) -> zbus::Result<()>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn kill_unit(&self, unit: &str, whom: &str, signal: i32) -> zbus::Result<()>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<Listed>>;
    fn get_unit_file_state(&self, name: &str) -> zbus::Result<String>;
    fn enable_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
        force: bool,
    ) -> zbus::Result<(bool, Vec<(String, String, String)>)>;
    fn disable_unit_files(&self, files: &[&str], runtime: bool) -> zbus::Result<Vec<(String, String, String)>>;
    fn reload(&self) -> zbus::Result<()>;
    fn subscribe(&self) -> zbus::Result<()>;

    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
}

/// There is no system bus, or systemd is not connected to it.
pub(super) fn unavailable(error: &zbus::Error) -> UnitError {
    UnitError::Unavailable { message: error.to_string() }
}

/// systemd rejected a request about a unit.
pub(super) fn refused(unit: &str, error: &zbus::Error) -> UnitError {
    let message = match error {
        zbus::Error::MethodError(_, Some(text), _) => text.clone(),
        other => other.to_string(),
    };
    UnitError::Refused { unit: unit.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_takes_connections_and_says_nothing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bus");
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let address = format!("unix:path={}", socket.display());
        let bus = zbus::connection::Builder::address(address.as_str());
        let error = connect_to(bus, PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("did not answer within 25 s"), "{error}");
    }
}
