//! The metrics of `/metrics` that count pods (upstream sets them in `HandlePodCleanups`).

use std::sync::Arc;

use crate::core::model::is_terminal;
use crate::ports::kubelet::{Lifecycle, PodView};
use crate::telemetry::Metrics;

/// Each stage with its label; a finished pod is `terminated` too.
const STAGES: [(&str, &[Lifecycle]); 3] = [
    ("sync", &[Lifecycle::Sync]),
    ("terminating", &[Lifecycle::Terminating]),
    ("terminated", &[Lifecycle::Terminated, Lifecycle::Finished]),
];
/// Label values for static and other pods.
const KINDS: [(&str, bool); 2] = [("true", true), ("", false)];

/// Sets the metrics. `unlisted` are the pods that no source has ever listed.
pub fn set(metrics: &Metrics, pods: &[Arc<PodView>], unlisted: &[Lifecycle]) {
    let count = |counts: &dyn Fn(&PodView) -> bool| pods.iter().filter(|pod| counts(pod)).count() as f64;
    metrics.running_pods.with([]).set(count(&|pod| pod.containers.iter().any(|c| c.running)));
    let containers = |running| pods.iter().flat_map(|p| &p.containers).filter(|c| c.running == running).count() as f64;
    metrics.running_containers.with(["running"]).set(containers(true));
    metrics.running_containers.with(["exited"]).set(containers(false));
    metrics.mirror_pods.with([]).set(count(&|pod| pod.mirror_uid.is_some()));
    for (label, is_static) in KINDS {
        let desired = |pod: &PodView| pod.is_static == is_static && !pod.dropped;
        metrics.desired_pods.with([label]).set(count(&desired));
        metrics.active_pods.with([label]).set(count(&|pod| desired(pod) && is_active(pod)));
    }
    for (word, stages) in STAGES {
        for (label, is_static) in KINDS {
            let of_kind = |pod: &PodView| pod.is_static == is_static && stages.contains(&pod.lifecycle);
            metrics.working_pods.with([word, "desired", label]).set(count(&|pod| of_kind(pod) && !pod.dropped));
            metrics.working_pods.with([word, "orphan", label]).set(count(&|pod| of_kind(pod) && pod.dropped));
        }
        let found = unlisted.iter().filter(|found| stages.contains(found)).count() as f64;
        metrics.working_pods.with([word, "runtime_only", "unknown"]).set(found);
    }
}

/// True for pods that admission counts: terminating ones are counted, terminated ones are not.
fn is_active(pod: &PodView) -> bool {
    match pod.lifecycle {
        Lifecycle::Sync => !is_terminal(pod.status.phase.as_deref()),
        Lifecycle::Terminating => true,
        Lifecycle::Terminated | Lifecycle::Finished => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::Page;

    fn pod(is_static: bool, lifecycle: Lifecycle, dropped: bool) -> Arc<PodView> {
        Arc::new(PodView { is_static, lifecycle, dropped, ..PodView::default() })
    }

    #[test]
    fn pods_are_counted_by_where_they_are_and_by_who_wants_them() {
        let metrics = Metrics::default();
        let pods = [
            pod(true, Lifecycle::Sync, false),
            pod(true, Lifecycle::Terminating, true),
            pod(false, Lifecycle::Terminating, false),
            pod(false, Lifecycle::Terminated, false),
            pod(false, Lifecycle::Sync, false),
        ];
        set(&metrics, &pods, &[Lifecycle::Terminating]);
        let mut page = Page::default();
        metrics.print(&mut page);
        let text = page.finish();
        let samples = |name: &str| -> Vec<&str> {
            let of_family = |line: &&str| line.starts_with(&format!("{name}{{"));
            text.lines().filter(of_family).filter_map(|line| line.strip_prefix(name)).collect()
        };
        assert_eq!(samples("kubelet_desired_pods"), [r#"{static=""} 3"#, r#"{static="true"} 1"#]);
        assert_eq!(samples("kubelet_active_pods"), [r#"{static=""} 2"#, r#"{static="true"} 1"#]);
        let working = samples("kubelet_working_pods");
        assert_eq!(working.len(), 15, "every combination is there, also at zero: {working:?}");
        let mut some: Vec<_> = working.into_iter().filter(|sample| !sample.ends_with(" 0")).collect();
        some.sort_unstable();
        assert_eq!(
            some,
            [
                r#"{lifecycle="sync",config="desired",static=""} 1"#,
                r#"{lifecycle="sync",config="desired",static="true"} 1"#,
                r#"{lifecycle="terminated",config="desired",static=""} 1"#,
                r#"{lifecycle="terminating",config="desired",static=""} 1"#,
                r#"{lifecycle="terminating",config="orphan",static="true"} 1"#,
                r#"{lifecycle="terminating",config="runtime_only",static="unknown"} 1"#,
            ]
        );
    }
}
