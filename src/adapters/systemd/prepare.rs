//! `PrepareForShutdown` is accepted only from root: from logind or a program that acts for it.
//!
//! The default policy of the system bus lets every user send that signal. The bus reports the sender's uid only while
//! the sender is connected, and most tools disconnect immediately. So a bus policy allows only root to send it; if the
//! policy cannot be written (read-only `/etc`), the bus is asked for the sender's uid, and a sender that has
//! disconnected is not accepted.

use std::path::{Path, PathBuf};

use futures::StreamExt;
use zbus::fdo::DBusProxy;
use zbus::message::Type;
use zbus::names::BusName;
use zbus::{Connection, MatchRule, MessageStream};

use crate::adapters::fs::atomic::write_if_changed;
use crate::core::model::with_causes;
use crate::offload::Lanes;
use crate::ports::kubelet::ShutdownError;

const POLICY: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<!-- Written by the kubelet: it ends all pods when it hears this signal, which only root may send. -->
<busconfig>
  <policy context="default">
    <deny send_type="signal" send_interface="org.freedesktop.login1.Manager" send_member="PrepareForShutdown"/>
  </policy>
  <policy user="root">
    <allow send_type="signal" send_interface="org.freedesktop.login1.Manager" send_member="PrepareForShutdown"/>
  </policy>
</busconfig>
"#;

/// The shutdown signals on a bus.
pub(super) struct Signals {
    bus: DBusProxy<'static>,
    stream: MessageStream,
    /// True if the bus policy allows only root to send them.
    guarded: bool,
    /// A received signal whose sender is not known yet.
    asked: Option<(BusName<'static>, bool)>,
}

impl Signals {
    /// Subscribes to the signal from any sender, by interface, member and path as upstream.
    pub async fn listen(connection: &Connection, policy: &Path) -> Result<Self, ShutdownError> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface("org.freedesktop.login1.Manager")
            .member("PrepareForShutdown")
            .path("/org/freedesktop/login1")
            .build()
            .map_err(|error| failed(&error))?;
        let bus = DBusProxy::new(connection).await.map_err(|error| failed(&error))?;
        let guarded = match guard(&bus, policy.to_owned()).await {
            Ok(()) => true,
            Err(reason) => {
                tracing::info!(
                    reason,
                    "bus policy not installed; shutdown signals are ignored if their sender has disconnected"
                );
                false
            }
        };
        let stream = MessageStream::for_match_rule(rule, connection, None).await.map_err(|error| failed(&error))?;
        Ok(Self { bus, stream, guarded, asked: None })
    }

    /// The next signal by root: whether a shutdown begins. Safe to drop.
    pub async fn next(&mut self) -> Result<bool, ShutdownError> {
        loop {
            if self.asked.is_none() {
                let message = self.stream.next().await.ok_or_else(|| failed(&"the connection to the bus ended"))?;
                let message = message.map_err(|error| failed(&error))?;
                let (header, body) = (message.header(), message.body());
                let (Some(sender), Ok(begins)) = (header.sender(), body.deserialize::<bool>()) else { continue };
                self.asked = Some((BusName::from(sender.to_owned()), begins));
            }
            let Some((sender, begins)) = self.asked.clone() else { continue };
            let user = if self.guarded { Ok(0) } else { self.bus.get_connection_unix_user(sender.clone()).await };
            self.asked = None;
            match user {
                Ok(0) => return Ok(begins),
                Ok(user) => tracing::warn!(%sender, user, begins, "shutdown signal ignored: its sender is not root"),
                Err(error) => {
                    tracing::warn!(%sender, begins, error = with_causes(&error), "shutdown signal ignored: its sender has disconnected");
                }
            }
        }
    }
}

/// Installs a bus policy that allows only root to send the signal; the error says why it could not.
async fn guard(bus: &DBusProxy<'_>, policy: PathBuf) -> Result<(), String> {
    let path = policy.display().to_string();
    let lanes = Lanes::new("file");
    let written = lanes.io(&path, "write", move || write_if_changed(&policy, POLICY.as_bytes(), 0o644)).await;
    if written.map_err(|error| format!("{path}: {error}"))? {
        bus.reload_config().await.map_err(|error| format!("ReloadConfig: {error}"))?;
    }
    Ok(())
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> ShutdownError {
    ShutdownError { message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::*;

    /// A system bus for the test; its socket is abstract, so that every user can connect.
    struct Bus {
        daemon: Child,
        address: String,
        policies: tempfile::TempDir,
    }

    impl Drop for Bus {
        fn drop(&mut self) {
            let _ = self.daemon.kill();
            let _ = self.daemon.wait();
        }
    }

    impl Bus {
        async fn start(name: &str) -> (Self, Connection) {
            let policies = tempfile::tempdir().unwrap();
            let address = format!("unix:abstract=roost-test-{}-{name}", std::process::id());
            let config = format!(
                "<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth><policy context='default'>\
                 <allow user='*'/><allow send_type='signal'/><allow send_destination='org.freedesktop.DBus'/>\
                 <allow send_requested_reply='true'/><allow receive_type='signal'/>\
                 <allow receive_requested_reply='true'/></policy><includedir>{}</includedir></busconfig>",
                policies.path().display()
            );
            let file = policies.path().join("bus.xml");
            std::fs::write(&file, config).unwrap();
            let daemon = Command::new("dbus-daemon").arg("--nofork").arg("--config-file").arg(&file).spawn().unwrap();
            let bus = Self { daemon, address, policies };
            for _ in 0..600 {
                let builder = zbus::connection::Builder::address(bus.address.as_str());
                match builder.build().await {
                    Ok(connection) => return (bus, connection),
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
            panic!("the bus does not answer");
        }

        /// As a tool that disconnects immediately.
        fn send_as(&self, user: &str, begins: &str) {
            let sent = Command::new("setpriv")
                .args(["--reuid", user, "--clear-groups", "dbus-send"])
                .arg(format!("--bus={}", self.address))
                .args(["--type=signal", "/org/freedesktop/login1"])
                .args(["org.freedesktop.login1.Manager.PrepareForShutdown", begins])
                .status();
            assert!(sent.unwrap().success());
        }

        /// As logind, which stays connected.
        async fn send_and_stay(&self, begins: bool) -> Connection {
            let stays = zbus::connection::Builder::address(self.address.as_str()).build().await.unwrap();
            let (path, interface) = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager");
            stays.emit_signal(None::<BusName<'_>>, path, interface, "PrepareForShutdown", &begins).await.unwrap();
            stays
        }
    }

    /// The next signal; only a failing test waits until the timeout.
    async fn next(signals: &mut Signals) -> bool {
        tokio::time::timeout(Duration::from_secs(60), signals.next()).await.expect("a signal is taken").unwrap()
    }

    #[tokio::test]
    async fn the_bus_is_told_that_only_root_may_say_that_the_machine_goes_down() {
        let (bus, connection) = Bus::start("guarded").await;
        let policy = bus.policies.path().join("roost-kubelet.conf");
        let mut signals = Signals::listen(&connection, &policy).await.unwrap();
        for begins in [true, false, true] {
            bus.send_as("65534", &format!("boolean:{}", !begins));
            bus.send_as("0", "string:of another shape");
            bus.send_as("0", &format!("boolean:{begins}"));
            assert_eq!(next(&mut signals).await, begins, "of somebody else than logind, who has left already");
        }
    }

    #[tokio::test]
    async fn where_the_bus_cannot_be_told_the_sender_is_asked_about() {
        let (bus, connection) = Bus::start("asked").await;
        let mut signals = Signals::listen(&connection, Path::new("/dev/null/roost-kubelet.conf")).await.unwrap();
        for begins in [true, false] {
            bus.send_as("65534", &format!("boolean:{}", !begins));
            let _stays = bus.send_and_stay(begins).await;
            assert_eq!(next(&mut signals).await, begins);
        }
    }
}
