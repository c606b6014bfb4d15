//! `/metrics/resource`: the few metrics that autoscaling and `kubectl top` need.

use jiff::Timestamp;

use crate::core::model::usage::{ContainerUsage, CpuUsage, MemoryUsage, PodUsage, Summary, SwapUsage};
use crate::telemetry::exposition::{Kind, Page};

const NANOS: f64 = 1e9;

/// Prints the summary's values, each with the time of its measurement.
pub fn print(summary: &Summary, page: &mut Page) {
    let cpu = |cpu: &Option<CpuUsage>| cpu.and_then(|c| Some((c.usage_core_nano_seconds? as f64 / NANOS, c.time)));
    let memory = |memory: &Option<MemoryUsage>| memory.and_then(|m| Some((m.working_set_bytes? as f64, m.time)));
    let swap = |swap: &Option<SwapUsage>| swap.and_then(|s| Some((s.swap_usage_bytes? as f64, s.time)));
    let swap_limit = |c: &ContainerUsage| {
        let swap = c.swap?;
        Some((swap.swap_available_bytes?.saturating_add(swap.swap_usage_bytes?) as f64, swap.time))
    };

    let containers: Vec<(&PodUsage, &ContainerUsage)> =
        summary.pods.iter().flat_map(|pod| pod.containers.iter().map(move |c| (pod, c))).collect();
    let mut of_containers =
        |name: &str, kind, help: &str, value: &dyn Fn(&ContainerUsage) -> Option<(f64, Timestamp)>| {
            let mut begun = false;
            for (pod, container) in &containers {
                let Some((value, at)) = value(container) else { continue };
                if !std::mem::replace(&mut begun, true) {
                    page.family(name, kind, help);
                }
                let labels = [
                    ("container", container.name.as_str()),
                    ("namespace", pod.pod_ref.namespace.as_str()),
                    ("pod", pod.pod_ref.name.as_str()),
                ];
                page.sample(name, &labels, value, Some(at.as_millisecond()));
            }
        };
    of_containers(
        "container_cpu_usage_seconds_total",
        Kind::Counter,
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
        &|c| cpu(&c.cpu),
    );
    of_containers(
        "container_memory_working_set_bytes",
        Kind::Gauge,
        "[STABLE] Current working set of the container in bytes",
        &|c| memory(&c.memory),
    );
    of_containers(
        "container_start_time_seconds",
        Kind::Gauge,
        "[STABLE] Start time of the container since unix epoch in seconds",
        // With a timestamp, the sample would be as old as the start, and scrapers would treat it as stale.
        &|c| Some((c.start_time.as_millisecond() as f64 / 1000.0, c.cpu?.time)),
    );
    of_containers(
        "container_swap_limit_bytes",
        Kind::Gauge,
        "[ALPHA] Current amount of the container swap limit in bytes. Reported only on non-windows systems",
        &swap_limit,
    );
    of_containers(
        "container_swap_usage_bytes",
        Kind::Gauge,
        "[ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems",
        &|c| swap(&c.swap),
    );

    let mut of_node = |name: &str, kind, help: &str, value: Option<(f64, Timestamp)>| {
        if let Some((value, at)) = value {
            page.family(name, kind, help);
            page.sample(name, &[], value, Some(at.as_millisecond()));
        }
    };
    let node = &summary.node;
    of_node(
        "node_cpu_usage_seconds_total",
        Kind::Counter,
        "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
        cpu(&node.cpu),
    );
    of_node(
        "node_memory_working_set_bytes",
        Kind::Gauge,
        "[STABLE] Current working set of the node in bytes",
        memory(&node.memory),
    );
    of_node(
        "node_swap_usage_bytes",
        Kind::Gauge,
        "[ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems",
        swap(&node.swap),
    );

    let mut of_pods = |name: &str, kind, help: &str, value: &dyn Fn(&PodUsage) -> Option<(f64, Timestamp)>| {
        let mut begun = false;
        for pod in &summary.pods {
            let Some((value, at)) = value(pod) else { continue };
            if !std::mem::replace(&mut begun, true) {
                page.family(name, kind, help);
            }
            let labels = [("namespace", pod.pod_ref.namespace.as_str()), ("pod", pod.pod_ref.name.as_str())];
            page.sample(name, &labels, value, Some(at.as_millisecond()));
        }
    };
    of_pods(
        "pod_cpu_usage_seconds_total",
        Kind::Counter,
        "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
        &|p| cpu(&p.cpu),
    );
    of_pods("pod_memory_working_set_bytes", Kind::Gauge, "[STABLE] Current working set of the pod in bytes", &|p| {
        memory(&p.memory)
    });
    of_pods(
        "pod_swap_usage_bytes",
        Kind::Gauge,
        "[ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems",
        &|p| swap(&p.swap),
    );

    let failed = if node.cpu.is_none() { 1.0 } else { 0.0 };
    let (name, help) =
        ("resource_scrape_error", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise");
    page.family(name, Kind::Gauge, help);
    page.sample(name, &[], failed, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::usage::{NodeUsage, PodReference};

    #[test]
    fn every_sample_has_its_time_and_a_node_without_figures_is_an_error() {
        let at = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let cpu = Some(CpuUsage {
            time: at,
            usage_nano_cores: None,
            usage_core_nano_seconds: Some(1_500_000_000),
            psi: None,
        });
        let container = ContainerUsage {
            name: "app".into(),
            start_time: at,
            cpu,
            memory: None,
            io: None,
            rootfs: None,
            logs: None,
            swap: None,
        };
        let pod_ref = PodReference { name: "web".into(), namespace: "ns".into(), uid: "u".into() };
        let pod = PodUsage {
            pod_ref,
            start_time: at,
            containers: vec![container],
            cpu: None,
            memory: None,
            io: None,
            network: None,
            volumes: Vec::new(),
            ephemeral_storage: None,
            processes: None,
            swap: None,
        };
        let node = NodeUsage {
            node_name: "n".into(),
            system_containers: Vec::new(),
            start_time: at,
            cpu: None,
            memory: None,
            io: None,
            network: None,
            fs: None,
            runtime: None,
            rlimit: None,
            swap: None,
        };
        let mut page = Page::default();
        print(&Summary { node, pods: vec![pod] }, &mut page);
        let text = page.finish();
        let sample =
            "container_cpu_usage_seconds_total{container=\"app\",namespace=\"ns\",pod=\"web\"} 1.5 1700000000123\n";
        assert!(text.contains(sample), "{text}");
        assert!(text.ends_with("\nresource_scrape_error 1\n"));
        assert!(!text.contains("\nscrape_error"), "v1.36 has no other name for it any more");
        assert!(!text.contains("pod_cpu_usage"), "a family without samples is left out");
    }
}
