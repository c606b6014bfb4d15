//! Units through the manager's D-Bus interface (org.freedesktop.systemd1(5)). systemctl is not used.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use zbus::Connection;
use zbus::OwnedObjectPath;

use super::jobs::Jobs;
use super::manager::{ManagerProxy, refused, unavailable};
use crate::ports::bootstrap::{UnitState, Units};
use crate::ports::node::UnitError;

#[zbus::proxy(interface = "org.freedesktop.systemd1.Unit", default_service = "org.freedesktop.systemd1")]
trait Unit {
    #[zbus(property(emits_changed_signal = "false"))]
    fn load_state(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_state(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn sub_state(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_enter_timestamp(&self) -> zbus::Result<u64>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn need_daemon_reload(&self) -> zbus::Result<bool>;
}

#[zbus::proxy(interface = "org.freedesktop.systemd1.Service", default_service = "org.freedesktop.systemd1")]
trait Service {
    #[zbus(property(emits_changed_signal = "false"))]
    fn exec_main_start_timestamp(&self) -> zbus::Result<u64>;
    #[zbus(property(emits_changed_signal = "false"), name = "NRestarts")]
    fn restarts(&self) -> zbus::Result<u32>;
}

/// The system's service manager.
#[derive(Clone, Debug)]
pub struct Systemd {
    connection: Connection,
    jobs: Jobs,
}

/// Operations on a unit.
#[derive(Clone, Copy)]
enum Verb {
    Start,
    Stop,
    Restart,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// Microseconds since the epoch; 0 means never.
fn moment(micros: u64) -> Option<SystemTime> {
    (micros != 0).then(|| SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))).flatten()
}

impl Systemd {
    /// Connects to the system bus.
    ///
    /// # Errors
    /// [`UnitError::Unavailable`] if there is no bus: the host does not run systemd.
    pub async fn connect() -> Result<Self, UnitError> {
        #[expect(clippy::disallowed_methods, reason = "for programs that end: a reload of systemd may take minutes")]
        let connection = Connection::system().await.map_err(|error| unavailable(&error))?;
        // Once for the connection: otherwise systemd does not report finished jobs.
        let manager = ManagerProxy::new(&connection).await.map_err(|error| unavailable(&error))?;
        manager.subscribe().await.map_err(|error| unavailable(&error))?;
        let jobs = Jobs::listen(&manager).await.map_err(|error| unavailable(&error))?;
        Ok(Self { connection, jobs })
    }

    async fn manager(&self) -> Result<ManagerProxy<'_>, UnitError> {
        ManagerProxy::new(&self.connection).await.map_err(|error| unavailable(&error))
    }

    async fn enqueue(manager: &ManagerProxy<'_>, verb: Verb, unit: &str) -> zbus::Result<OwnedObjectPath> {
        match verb {
            Verb::Start => manager.start_unit(unit, "replace").await,
            Verb::Stop => manager.stop_unit(unit, "replace").await,
            Verb::Restart => manager.restart_unit(unit, "replace").await,
        }
    }

    /// When the main process of a service was started, and how often systemd restarted it; `None` for other units.
    async fn main_start(&self, unit: &str, path: &OwnedObjectPath) -> zbus::Result<(Option<SystemTime>, u32)> {
        if !unit.ends_with(".service") {
            return Ok((None, 0));
        }
        let proxy = ServiceProxy::builder(&self.connection)
            .path(path.clone())
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?;
        Ok((moment(proxy.exec_main_start_timestamp().await?), proxy.restarts().await?))
    }

    async fn run(&self, verb: Verb, unit: &str) -> Result<(), UnitError> {
        let manager = self.manager().await?;
        let ended = self.jobs.end_of(Self::enqueue(&manager, verb, unit)).await;
        match ended.map_err(|error| refused(unit, &error))?.as_str() {
            "done" => Ok(()),
            result => Err(UnitError::JobFailed { unit: unit.into(), verb: verb.name(), result: result.into() }),
        }
    }
}

#[async_trait]
impl Units for Systemd {
    async fn state(&self, unit: &str) -> Result<UnitState, UnitError> {
        let manager = self.manager().await?;
        let path = manager.load_unit(unit).await.map_err(|error| refused(unit, &error))?;
        let main_start = self.main_start(unit, &path).await;
        let proxy = UnitProxy::builder(&self.connection)
            .path(path)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await
            .map_err(|error| unavailable(&error))?;
        let read = async {
            let (begun_at, restarts) = main_start?;
            Ok::<_, zbus::Error>(UnitState {
                load: proxy.load_state().await?,
                active: proxy.active_state().await?,
                sub: proxy.sub_state().await?,
                // A unit without a file has no file state.
                file: manager.get_unit_file_state(unit).await.unwrap_or_default(),
                active_since: moment(proxy.active_enter_timestamp().await?),
                begun_at,
                restarts,
                needs_reload: proxy.need_daemon_reload().await?,
            })
        };
        read.await.map_err(|error| refused(unit, &error))
    }

    async fn start(&self, unit: &str) -> Result<(), UnitError> {
        self.run(Verb::Start, unit).await
    }

    async fn start_no_wait(&self, unit: &str) -> Result<(), UnitError> {
        let job = Self::enqueue(&self.manager().await?, Verb::Start, unit).await;
        job.map(drop).map_err(|error| refused(unit, &error))
    }

    async fn stop(&self, unit: &str) -> Result<(), UnitError> {
        if self.state(unit).await?.load == "not-found" {
            return Ok(());
        }
        self.run(Verb::Stop, unit).await
    }

    async fn restart(&self, unit: &str) -> Result<(), UnitError> {
        self.run(Verb::Restart, unit).await
    }

    async fn restart_no_wait(&self, unit: &str) -> Result<(), UnitError> {
        let job = Self::enqueue(&self.manager().await?, Verb::Restart, unit).await;
        job.map(drop).map_err(|error| refused(unit, &error))
    }

    async fn enable(&self, unit: &str) -> Result<(), UnitError> {
        let manager = self.manager().await?;
        manager.enable_unit_files(&[unit], false, false).await.map_err(|error| refused(unit, &error))?;
        self.reload().await
    }

    async fn disable(&self, unit: &str) -> Result<(), UnitError> {
        let manager = self.manager().await?;
        manager.disable_unit_files(&[unit], false).await.map_err(|error| refused(unit, &error))?;
        self.reload().await
    }

    async fn reload(&self) -> Result<(), UnitError> {
        self.manager().await?.reload().await.map_err(|error| unavailable(&error))
    }
}
