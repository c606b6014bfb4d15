//! The metrics of the kubelet, with upstream's names (`pkg/kubelet/metrics/metrics.go`).

use super::exposition::Page;
use super::instrument::{Counter, Family, Gauge, Histogram};

/// Bucket bounds of most durations, in seconds.
const USUAL: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bucket bounds of runtime operations, in seconds.
const OPERATION: &[f64] = &[
    0.005,
    0.0125,
    0.03125,
    0.078125,
    0.1953125,
    0.48828125,
    1.220703125,
    3.0517578125,
    7.62939453125,
    19.073486328125,
    47.6837158203125,
    119.20928955078125,
    298.0232238769531,
    745.0580596923828,
];
/// Bucket bounds of pod starts, in seconds.
const START: &[f64] = &[
    0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0,
    600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0,
];
/// Bucket bounds of image pulls, in seconds.
const PULL: &[f64] = &[
    1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0,
    3600.0,
];
/// Bucket bounds of status updates, in seconds.
const STATUS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0];

macro_rules! metrics {
    ($($(#[$doc:meta])* $field:ident: $kind:ident<$n:literal> = $name:literal $help:literal [$($label:literal),*] $($bounds:ident)?;)*) => {
        /// All metrics of `/metrics`, and those of the probes.
        ///
        /// One shared value. Use `metrics.started_pods.with([]).inc()` or
        /// `metrics.runtime_operations.with(["run_podsandbox"]).inc()`.
        #[derive(Debug)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: Family<$kind, $n>,)*
            /// Results of probes, for `/metrics/probes`.
            pub probes: Family<Counter, 6>,
            /// Durations of probes, for `/metrics/probes`.
            pub probe_duration: Family<Histogram, 4>,
        }

        impl Default for Metrics {
            fn default() -> Self {
                Self {
                    $($field: metrics!(@new $kind $name $help [$($label),*] $($bounds)?),)*
                    probes: Family::new(
                        "prober_probe_total",
                        "Cumulative number of a liveness, readiness or startup probe for a container by result.",
                        ["probe_type", "result", "container", "pod", "namespace", "pod_uid"],
                    ),
                    probe_duration: Family::histogram(
                        "prober_probe_duration_seconds",
                        "Duration in seconds for a probe response.",
                        ["probe_type", "container", "pod", "namespace"],
                        USUAL,
                    ),
                }
            }
        }

        impl Metrics {
            /// Prints the page `/metrics`.
            pub fn print(&self, page: &mut Page) {
                $(self.$field.print(page);)*
            }
        }
    };
    (@new $kind:ident $name:literal $help:literal [$($label:literal),*]) => { Family::new($name, $help, [$($label),*]) };
    (@new $kind:ident $name:literal $help:literal [$($label:literal),*] $bounds:ident) => {
        Family::histogram($name, $help, [$($label),*], $bounds)
    };
}

metrics! {
    node_name: Gauge<1> = "kubelet_node_name" "The node's name. The count is always 1." ["node"];
    running_pods: Gauge<0> = "kubelet_running_pods" "Number of pods that have a running pod sandbox" [];
    running_containers: Gauge<1> = "kubelet_running_containers" "Number of containers currently running" ["container_state"];
    desired_pods: Gauge<1> = "kubelet_desired_pods" "The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver." ["static"];
    active_pods: Gauge<1> = "kubelet_active_pods" "The number of pods the kubelet considers active and which are being considered when admitting new pods. static is true if the pod is not from the apiserver." ["static"];
    mirror_pods: Gauge<0> = "kubelet_mirror_pods" "The number of mirror pods the kubelet will try to create (one per admitted static pod)" [];
    working_pods: Gauge<3> = "kubelet_working_pods" "Number of pods the kubelet is actually running, broken down by lifecycle phase, whether the pod is desired, orphaned, or runtime only (also orphaned), and whether the pod is static." ["lifecycle", "config", "static"];
    restarted_pods: Counter<1> = "kubelet_restarted_pods_total" "Number of pods that have been restarted because they were deleted and recreated with the same UID while the kubelet was watching them" ["static"];
    pod_start: Histogram<0> = "kubelet_pod_start_duration_seconds" "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run" [] START;
    pod_start_sli: Histogram<0> = "kubelet_pod_start_sli_duration_seconds" "Duration in seconds to start a pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch" [] START;
    pod_start_total: Histogram<0> = "kubelet_pod_start_total_duration_seconds" "Duration in seconds to start a pod since creation, including time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch" [] START;
    pod_worker: Histogram<1> = "kubelet_pod_worker_duration_seconds" "Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync" ["operation_type"] USUAL;
    pod_worker_start: Histogram<0> = "kubelet_pod_worker_start_duration_seconds" "Duration in seconds from kubelet seeing a pod to starting a worker." [] USUAL;
    pod_status_sync: Histogram<0> = "kubelet_pod_status_sync_duration_seconds" "Duration in seconds to sync a pod status update. Measures time from detection of a change to pod status until the API is successfully updated for that pod." [] STATUS;
    pleg_relist: Histogram<0> = "kubelet_pleg_relist_duration_seconds" "Duration in seconds for relisting pods in PLEG." [] USUAL;
    pleg_relist_interval: Histogram<0> = "kubelet_pleg_relist_interval_seconds" "Interval in seconds between relisting in PLEG." [] USUAL;
    shutdown_start: Gauge<0> = "kubelet_graceful_shutdown_start_time_seconds" "Last graceful shutdown start time since unix epoch in seconds" [];
    shutdown_end: Gauge<0> = "kubelet_graceful_shutdown_end_time_seconds" "Last graceful shutdown end time since unix epoch in seconds" [];
    pleg_last_seen: Gauge<0> = "kubelet_pleg_last_seen_seconds" "Timestamp in seconds when PLEG was last seen active." [];
    runtime_operations: Counter<1> = "kubelet_runtime_operations_total" "Cumulative number of runtime operations by operation type." ["operation_type"];
    runtime_operation_errors: Counter<1> = "kubelet_runtime_operations_errors_total" "Cumulative number of runtime operation errors by operation type." ["operation_type"];
    runtime_operation_duration: Histogram<1> = "kubelet_runtime_operations_duration_seconds" "Duration in seconds of runtime operations. Broken down by operation type." ["operation_type"] OPERATION;
    run_sandbox: Histogram<1> = "kubelet_run_podsandbox_duration_seconds" "Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler." ["runtime_handler"] USUAL;
    run_sandbox_errors: Counter<1> = "kubelet_run_podsandbox_errors_total" "Cumulative number of the run_podsandbox operation errors by RuntimeClass.Handler." ["runtime_handler"];
    started_pods: Counter<0> = "kubelet_started_pods_total" "Cumulative number of pods started" [];
    started_pod_errors: Counter<0> = "kubelet_started_pods_errors_total" "Cumulative number of errors when starting pods" [];
    started_user_namespaced_pods: Counter<0> = "kubelet_started_user_namespaced_pods_total" "Cumulative number of pods with user namespaces started. This metric will only be collected on Linux." [];
    started_user_namespaced_pod_errors: Counter<0> = "kubelet_started_user_namespaced_pods_errors_total" "Cumulative number of errors when starting pods with user namespaces. This metric will only be collected on Linux." [];
    started_containers: Counter<1> = "kubelet_started_containers_total" "Cumulative number of containers started" ["container_type"];
    started_container_errors: Counter<2> = "kubelet_started_containers_errors_total" "Cumulative number of errors when starting containers" ["container_type", "code"];
    terminated_containers: Counter<3> = "kubelet_terminated_containers_total" "Cumulative number of container terminations." ["container_type", "exit_code", "reason"];
    evictions: Counter<1> = "kubelet_evictions" "Cumulative number of pod evictions by eviction signal" ["eviction_signal"];
    preemptions: Counter<1> = "kubelet_preemptions" "Cumulative number of pod preemptions by preemption resource" ["preemption_signal"];
    admission_rejections: Counter<1> = "kubelet_admission_rejections_total" "Cumulative number pod admission rejections by the Kubelet." ["reason"];
    image_pull: Histogram<1> = "kubelet_image_pull_duration_seconds" "Duration in seconds to pull an image." ["image_size_in_bytes"] PULL;
    images_collected: Counter<1> = "kubelet_image_garbage_collected_total" "Total number of images garbage collected by the kubelet, whether through disk usage or image age." ["reason"];
    orphan_volumes: Gauge<0> = "kubelet_orphan_pod_cleaned_volumes" "The total number of orphaned Pods whose volumes were cleaned in the last periodic sweep." [];
    orphan_volume_errors: Gauge<0> = "kubelet_orphan_pod_cleaned_volumes_errors" "The number of orphaned Pods whose volumes failed to be cleaned in the last periodic sweep." [];
    cgroup_manager: Histogram<1> = "kubelet_cgroup_manager_duration_seconds" "Duration in seconds for cgroup manager operations. Broken down by method." ["operation_type"] USUAL;
    storage_operation: Histogram<4> = "storage_operation_duration_seconds" "Storage operation duration" ["volume_plugin", "operation_name", "status", "migrated"] PULL;
    volumes: Gauge<2> = "volume_manager_total_volumes" "Number of volumes in Volume Manager" ["plugin_name", "state"];
    http_requests: Counter<4> = "kubelet_http_requests_total" "Number of the http requests received since the server started" ["method", "path", "server_type", "long_running"];
    http_duration: Histogram<4> = "kubelet_http_requests_duration_seconds" "Duration in seconds to serve http requests" ["method", "path", "server_type", "long_running"] USUAL;
    http_inflight: Gauge<4> = "kubelet_http_inflight_requests" "Number of the inflight http requests" ["method", "path", "server_type", "long_running"];
    cri_losing_support: Gauge<1> = "kubelet_cri_losing_support" "the Kubernetes version that the currently running CRI implementation will lose support on if not upgraded." ["version"];
    certificate_rotation_errors: Counter<0> = "kubelet_certificate_manager_client_expiration_renew_errors" "Counter of certificate renewal errors." [];
    client_certificate_ttl: Gauge<0> = "kubelet_certificate_manager_client_ttl_seconds" "Gauge of the TTL (time-to-live) of the Kubelet's client certificate. The value is in seconds until certificate expiry (negative if already expired)." [];
    server_certificate_ttl: Gauge<0> = "kubelet_certificate_manager_server_ttl_seconds" "Gauge of the shortest TTL (time-to-live) of the Kubelet's serving certificate. The value is in seconds until certificate expiry (negative if already expired)." [];
    rest_client_requests: Counter<3> = "rest_client_requests_total" "Number of HTTP requests, partitioned by status code, method, and host." ["code", "method", "host"];
    panics: Counter<1> = "roost_panics_total" "Cumulative number of panics by task; a pod's worker or the task is started again after each." ["task"];
    build_info: Gauge<2> = "kubernetes_build_info" "A metric with a constant '1' value labeled by the version whose contract is kept and by the project's own." ["git_version", "roost_version"];
}
