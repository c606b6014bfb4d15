//! `/healthz` and its checks, `/metrics/slis`.

use std::fmt::Write;

use hyper::StatusCode;

use super::Server;
use super::reply::{Reply, text, typed};
use crate::telemetry::exposition::{CONTENT_TYPE, Kind, Page};

/// The checks, in the order in which they are printed.
const CHECKS: [&str; 3] = ["ping", "log", "syncloop"];

fn failure(server: &Server, check: &str) -> Option<String> {
    if check == "syncloop" { (server.ports.sync_loop)() } else { None }
}

/// All checks, or the named one.
pub fn healthz(server: &Server, only: Option<&str>, verbose: bool) -> Reply {
    let failure = |check| {
        let failure = failure(server, check);
        let status = if failure.is_none() { "success" } else { "error" };
        server.ports.metrics.healthchecks.with([check, "healthz", status]).inc();
        failure
    };
    if let Some(check) = only {
        // A name that nobody knows is no label.
        let Some(check) = CHECKS.into_iter().find(|known| *known == check) else { return text(StatusCode::OK, "ok") };
        return match failure(check) {
            None => text(StatusCode::OK, "ok"),
            Some(reason) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {reason}\n")),
        };
    }
    let mut lines = String::new();
    let mut failed = false;
    for check in CHECKS {
        // Writing into a String cannot fail.
        let _ = match failure(check) {
            None => writeln!(lines, "[+]{check} ok"),
            Some(_) => {
                failed = true;
                writeln!(lines, "[-]{check} failed: reason withheld")
            }
        };
    }
    match (failed, verbose) {
        (true, _) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}healthz check failed\n")),
        (false, true) => text(StatusCode::OK, format!("{lines}healthz check passed\n")),
        (false, false) => text(StatusCode::OK, "ok"),
    }
}

/// The same checks as metrics, and how often each was asked for.
pub fn slis(server: &Server) -> Reply {
    let mut page = Page::default();
    let name = "kubernetes_healthcheck";
    page.family(name, Kind::Gauge, "[STABLE] This metric records the result of a single healthcheck.");
    for check in CHECKS {
        let value = if failure(server, check).is_none() { 1.0 } else { 0.0 };
        page.sample(name, &[("name", check), ("type", "healthz")], value, None);
    }
    server.ports.metrics.healthchecks.print(&mut page);
    typed(StatusCode::OK, CONTENT_TYPE, page.finish())
}
