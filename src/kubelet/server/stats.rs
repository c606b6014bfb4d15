//! `/stats/summary` and the metrics pages.

use hyper::StatusCode;

use super::Server;
use super::reply::{Reply, json, typed};
use crate::core::model::usage::Summary;
use crate::core::server::Query;
use crate::ports::UsageDepth;
use crate::telemetry::exposition::{CONTENT_TYPE, Page};

pub async fn summary(server: &Server, query: &Query) -> Reply {
    let depth = if query.flag("only_cpu_and_memory") { UsageDepth::CpuAndMemory } else { UsageDepth::Full };
    json(&read(server, depth).await)
}

async fn read(server: &Server, depth: UsageDepth) -> Summary {
    let usage = &server.ports.usage;
    let (node, pods) = tokio::join!(usage.node(depth), usage.pods(depth));
    Summary { node, pods }
}

fn page(page: Page) -> Reply {
    typed(StatusCode::OK, CONTENT_TYPE, page.finish())
}

/// The kubelet's own.
pub async fn metrics(server: &Server) -> Reply {
    let mut out = Page::default();
    server.ports.metrics.print(&mut out);
    page(out)
}

/// `/metrics/resource`, which metrics-server reads.
pub async fn resource(server: &Server) -> Reply {
    let _ = read(server, UsageDepth::CpuAndMemory).await;
    page(Page::default())
}

/// `/metrics/cadvisor`, which dashboards read.
pub async fn cadvisor(_server: &Server) -> Reply {
    page(Page::default())
}

/// Probe results.
pub fn probes(server: &Server) -> Reply {
    let mut out = Page::default();
    server.ports.metrics.probes.print(&mut out);
    server.ports.metrics.probe_duration.print(&mut out);
    page(out)
}
