//! logind's delay inhibitor (org.freedesktop.login1(5)): delays the shutdown until pods have terminated.

use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use zbus::{Connection, OwnedFd};

use super::manager::{self, ManagerProxy};
use super::prepare::{Signals, failed};
use crate::adapters::fs::atomic::write_if_changed;
use crate::core::shutdown::SIGNAL_POLICY;
use crate::offload::Lanes;
use crate::ports::kubelet::{InhibitLock, ShutdownError, ShutdownWatch};

/// logind's drop-in; upstream's kubelet uses the file of this name in /etc, which may be read-only.
const DROP_IN: &str = "/run/systemd/logind.conf.d/99-kubelet.conf";
/// SIGHUP makes logind reload its settings.
const RELOAD: i32 = 1;

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Login {
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<OwnedFd>;

    #[zbus(property(emits_changed_signal = "false"), name = "InhibitDelayMaxUSec")]
    fn inhibit_delay_max(&self) -> zbus::Result<u64>;
}

/// The connection to logind.
pub struct Logind {
    connection: Connection,
    news: Signals,
}

impl Logind {
    /// Connects and listens for shutdowns.
    ///
    /// # Errors
    /// The system bus does not respond.
    pub async fn connect() -> Result<Self, ShutdownError> {
        let connection = manager::connect().await.map_err(|error| failed(&error))?;
        let news = Signals::listen(&connection, Path::new(SIGNAL_POLICY)).await?;
        Ok(Self { connection, news })
    }

    async fn login(&self) -> Result<LoginProxy<'_>, ShutdownError> {
        LoginProxy::new(&self.connection).await.map_err(|error| failed(&error))
    }

    async fn delay(&self) -> Result<Duration, ShutdownError> {
        let micros = self.login().await?.inhibit_delay_max().await.map_err(|error| failed(&error))?;
        Ok(Duration::from_micros(micros))
    }
}

#[async_trait]
impl ShutdownWatch for Logind {
    async fn allow_delay(&mut self, delay: Duration) -> Result<(), ShutdownError> {
        if self.delay().await? >= delay {
            return Ok(());
        }
        let written = Lanes::new("file").io(DROP_IN, "write", move || write_drop_in(Path::new(DROP_IN), delay)).await;
        written.map_err(|error| failed(&format!("{DROP_IN}: {error}")))?;
        let manager = ManagerProxy::new(&self.connection).await.map_err(|error| failed(&error))?;
        manager.kill_unit("systemd-logind.service", "all", RELOAD).await.map_err(|error| failed(&error))?;
        // logind reloads its settings asynchronously and does not report when it has.
        for wait in [100, 200, 400, 800, 1600] {
            sleep(Duration::from_millis(wait)).await;
            if self.delay().await? >= delay {
                return Ok(());
            }
        }
        Err(failed(&format!("InhibitDelayMaxSec is still less than {} s", delay.as_secs())))
    }

    async fn inhibit(&mut self) -> Result<InhibitLock, ShutdownError> {
        let why = "Kubelet needs time to handle node shutdown";
        let lock = self.login().await?.inhibit("shutdown", "kubelet", why, "delay").await;
        Ok(Box::new(lock.map_err(|error| failed(&error))?))
    }

    async fn next(&mut self) -> Result<bool, ShutdownError> {
        self.news.next().await
    }
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn write_drop_in(path: &Path, delay: Duration) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let text =
        format!("# Written by the kubelet: shutdownGracePeriod\n[Login]\nInhibitDelayMaxSec={}\n", delay.as_secs());
    write_if_changed(path, text.as_bytes(), 0o644).map(drop)
}
