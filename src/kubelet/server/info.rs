//! `/configz`, `/flagz`, `/statusz`: configuration, flags and version of this kubelet.

use std::fmt::Write;

use hyper::StatusCode;
use jiff::{Timestamp, Unit};

use super::Server;
use super::reply::{Reply, json, text};

const WARNING: &str = "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility \
    guarantees and is for debugging purposes only.";

pub fn configz(server: &Server) -> Reply {
    json(&serde_json::json!({ "kubeletconfig": server.settings.configz }))
}

pub fn flagz(server: &Server) -> Reply {
    let mut page = format!("\nkubelet flagz\n{WARNING}\n\n");
    for (name, value) in &server.settings.flags {
        let _ = writeln!(page, "{name}={value}");
    }
    text(StatusCode::OK, page)
}

pub fn statusz(server: &Server) -> Reply {
    let up = Timestamp::now().since((Unit::Second, server.started)).unwrap_or_default();
    let version = &server.settings.version;
    let started = server.started.strftime("%a %b %d %H:%M:%S UTC %Y");
    let page = format!(
        "\nkubelet statusz\n{WARNING}\n\nStarted: {started}\nUp: {up:#}\nRoost version: {}\nBinary version: {version}\n\n\
         Paths: /checkpoint /configz /containerLogs /exec /flagz /healthz /metrics /pods /portForward /runningpods /stats \
         /statusz\n",
        env!("CARGO_PKG_VERSION")
    );
    text(StatusCode::OK, page)
}
