//! Metrics of what a pass starts (upstream counts them in `kuberuntime_manager.SyncPod`).

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::core::model::ContainerKind;
use crate::core::plan::Waiting;
use crate::telemetry::Metrics;

/// Counts for one pass.
pub(super) struct StartCounts {
    metrics: Arc<Metrics>,
    /// True if the pass creates the pod's sandbox.
    pod_starts: bool,
    /// True if that pod has a user namespace, and no failure of its start was counted yet.
    user_namespace: bool,
}

impl StartCounts {
    /// At the beginning of a pass; `pod_starts` is true if it creates the pod's sandbox.
    pub fn begin(metrics: &Arc<Metrics>, pod: &Pod, pod_starts: bool) -> Self {
        let own_users = pod.spec.as_ref().and_then(|spec| spec.host_users) == Some(false);
        if pod_starts {
            metrics.started_pods.with([]).inc();
            if own_users {
                metrics.started_user_namespaced_pods.with([]).inc();
            }
        }
        Self { metrics: Arc::clone(metrics), pod_starts, user_namespace: pod_starts && own_users }
    }

    /// Something that the whole pod needs could not be created.
    pub fn pod_failed(&mut self) {
        if self.pod_starts {
            self.metrics.started_pod_errors.with([]).inc();
        }
        self.failed();
    }

    /// A container was started, or has to wait.
    pub fn container(&mut self, kind: ContainerKind, waits: Option<&Waiting>) {
        let kind = kind.metric_label();
        self.metrics.started_containers.with([kind]).inc();
        if let Some(waits) = waits {
            self.metrics.started_container_errors.with([kind, &waits.reason]).inc();
            self.failed();
        }
    }

    /// Upstream counts one failure for each start of a pod with a user namespace, wherever it occurs.
    fn failed(&mut self) {
        if std::mem::take(&mut self.user_namespace) {
            self.metrics.started_user_namespaced_pod_errors.with([]).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_with_a_user_namespace_is_counted_once_and_its_failure_once() {
        let metrics = Arc::new(Metrics::default());
        let mut pod = Pod::default();
        pod.spec.get_or_insert_default().host_users = Some(false);
        let waits = Waiting { reason: "RunContainerError".into(), message: String::new(), retry_at: None };
        let counted = || {
            let users = [&metrics.started_user_namespaced_pods, &metrics.started_user_namespaced_pod_errors];
            (users.map(|family| family.with([]).get()), metrics.started_pods.with([]).get())
        };
        let mut counts = StartCounts::begin(&metrics, &pod, true);
        assert_eq!(counted(), ([1, 0], 1));
        counts.container(ContainerKind::Regular, Some(&waits));
        counts.container(ContainerKind::Regular, Some(&waits));
        assert_eq!(counted(), ([1, 1], 1));
        assert_eq!(metrics.started_container_errors.with(["container", "RunContainerError"]).get(), 2);

        StartCounts::begin(&metrics, &pod, false).container(ContainerKind::Init, Some(&waits));
        StartCounts::begin(&metrics, &Pod::default(), true).pod_failed();
        assert_eq!(counted(), ([1, 1], 2), "another try of a container, and a pod with the host's users");
        assert_eq!(metrics.started_pod_errors.with([]).get(), 1);
    }
}
