//! The metrics of `/metrics` that count pods (upstream sets them in `HandlePodCleanups`).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Volume;

use crate::core::model::{is_terminal, used_volumes};
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
    let ephemeral = |pod: &Arc<PodView>| pod.pod.spec.as_ref()?.ephemeral_containers.as_ref().map(Vec::len);
    let ephemeral = pods.iter().filter_map(ephemeral).fold(0, usize::saturating_add);
    metrics.ephemeral_containers.with([]).set(ephemeral as f64);
    set_resizes(metrics, pods);
    set_volumes(metrics, pods);
    for (label, is_static) in KINDS {
        // Both are on the page before anything was restarted, as upstream's are.
        metrics.restarted_pods.with([label]);
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

/// Resizes that wait or are under way, by the conditions of the pods.
fn set_resizes(metrics: &Metrics, pods: &[Arc<PodView>]) {
    let conditions = || pods.iter().flat_map(|pod| pod.status.conditions.iter().flatten());
    let of_type = |type_: &'static str| conditions().filter(move |c| c.type_ == type_ && c.status == "True");
    for reason in ["Deferred", "Infeasible"] {
        let waiting = of_type("PodResizePending").filter(|c| c.reason.as_deref() == Some(reason)).count();
        metrics.pending_resizes.with([&reason.to_lowercase()]).set(waiting as f64);
    }
    metrics.in_progress_resizes.with([]).set(of_type("PodResizeInProgress").count() as f64);
}

/// Volumes that pods are to have, and those that they have: a pod with containers, or whose volumes are not taken down
/// yet. The plugin behind a claim is not known here.
fn set_volumes(metrics: &Metrics, pods: &[Arc<PodView>]) {
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for pod in pods {
        let wanted = matches!(pod.lifecycle, Lifecycle::Sync);
        let held = !pod.containers.is_empty() && pod.lifecycle != Lifecycle::Finished
            || pod.lifecycle == Lifecycle::Terminated;
        let used = used_volumes(&pod.pod);
        let volumes = pod.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        for volume in volumes.filter(|volume| used.contains(&volume.name)) {
            let plugin = plugin_of(volume);
            for (state, is) in [("desired_state_of_world", wanted), ("actual_state_of_world", held)] {
                let count = counts.entry((plugin, state)).or_default();
                *count = count.saturating_add(u32::from(is));
            }
        }
    }
    metrics.volumes.retain(|[plugin, state]| counts.contains_key(&(&**plugin, &**state)));
    for ((plugin, state), count) in counts {
        metrics.volumes.with([plugin, state]).set(f64::from(count));
    }
}

fn plugin_of(volume: &Volume) -> &'static str {
    match volume {
        Volume { empty_dir: Some(_), .. } => "kubernetes.io/empty-dir",
        Volume { config_map: Some(_), .. } => "kubernetes.io/configmap",
        Volume { secret: Some(_), .. } => "kubernetes.io/secret",
        Volume { downward_api: Some(_), .. } => "kubernetes.io/downward-api",
        Volume { projected: Some(_), .. } => "kubernetes.io/projected",
        Volume { host_path: Some(_), .. } => "kubernetes.io/host-path",
        Volume { image: Some(_), .. } => "kubernetes.io/image",
        Volume { nfs: Some(_), .. } => "kubernetes.io/nfs",
        Volume { csi: Some(_), .. } => "kubernetes.io/csi",
        _ => "N/A",
    }
}

/// It counts for admission: what has ended does not, what is being ended does.
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
    fn volumes_and_resizes_are_counted_by_what_pods_want_and_have() {
        let waits = serde_json::json!({"conditions": [
            {"type": "PodResizePending", "status": "True", "reason": "Deferred"}]});
        let spec = serde_json::json!({"ephemeralContainers": [{"name": "e"}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/w"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "persistentVolumeClaim": {"claimName": "w"}}]});
        let view = |lifecycle| {
            let pod = serde_json::from_value(serde_json::json!({"spec": spec})).unwrap();
            let status = serde_json::from_value(waits.clone()).unwrap();
            Arc::new(PodView { pod: Arc::new(pod), status: Arc::new(status), lifecycle, ..PodView::default() })
        };
        let metrics = Metrics::default();
        set(&metrics, &[view(Lifecycle::Sync), view(Lifecycle::Terminated)], &[]);
        let volumes = |plugin, state| metrics.volumes.with([plugin, state]).get();
        assert_eq!(volumes("kubernetes.io/empty-dir", "desired_state_of_world"), 1.0);
        assert_eq!(volumes("N/A", "actual_state_of_world"), 1.0);
        assert_eq!(metrics.ephemeral_containers.with([]).get(), 2.0);
        assert_eq!(metrics.pending_resizes.with(["deferred"]).get(), 2.0);
        set(&metrics, &[], &[]);
        assert_eq!(volumes("N/A", "actual_state_of_world"), 0.0);
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
