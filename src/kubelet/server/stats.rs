//! `/stats/summary` and the metrics pages.

use hyper::StatusCode;

use super::reply::{Reply, json, typed};
use super::{Server, cadvisor, pod_counts, resource};
use crate::core::model::usage::Summary;
use crate::core::server::Query;
use crate::ports::kubelet::UsageDepth;
use crate::telemetry::exposition::{CONTENT_TYPE, Page};
use crate::telemetry::process;

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

pub async fn metrics(server: &Server) -> Reply {
    let metrics = &server.ports.metrics;
    pod_counts::set(metrics, &server.ports.pods.list(), &server.ports.pods.unlisted());
    metrics.node_name.with([&server.settings.node_name]).set(1.0);
    metrics.build_info.with([&server.settings.version, env!("CARGO_PKG_VERSION")]).set(1.0);
    metrics.metrics_provider.with(["cadvisor"]).set(1.0);
    let mut out = Page::default();
    metrics.print(&mut out);
    process::print(&mut out);
    page(out)
}

pub async fn resource(server: &Server) -> Reply {
    let mut out = Page::default();
    resource::print(&read(server, UsageDepth::CpuAndMemory).await, &mut out);
    page(out)
}

pub async fn cadvisor(server: &Server) -> Reply {
    let usage = &server.ports.usage;
    let (details, machine) = tokio::join!(usage.details(), usage.machine());
    let mut out = Page::default();
    cadvisor::print(details.as_ref(), machine.as_ref(), &mut out);
    page(out)
}

pub fn probes(server: &Server) -> Reply {
    let mut out = Page::default();
    server.ports.metrics.probes.print(&mut out);
    server.ports.metrics.probe_duration.print(&mut out);
    page(out)
}
