//! The metrics of the kubelet, with upstream's names (`pkg/kubelet/metrics/metrics.go`).

use super::buckets::{CLIENT, CONTAINERS, LIFETIME, OPERATION, PULL, RESIZE, SIZE, START, STATUS, STORAGE, USUAL};
use super::exposition::Page;
use super::instrument::{Counter, Expiry, Family, Gauge, Histogram};

macro_rules! metrics {
    ($($(#[$doc:meta])* $field:ident: $kind:ident<$n:literal> = $name:literal $help:literal [$($label:literal),*] $($bounds:ident)?;)*) => {
        /// All metrics of `/metrics`, and those of the probes.
        ///
        /// One shared value. Use `metrics.started_pods.with([]).inc()` or
        /// `metrics.runtime_operations.with(["run_podsandbox"]).inc()`.
        #[derive(Debug)]
        #[allow(missing_docs, reason = "each field has the name of its family")]
        pub struct Metrics {
            $(#[doc = $name] pub $field: Family<$kind, $n>,)*
            /// Probe outcomes, printed at `/metrics/probes`.
            pub probes: Family<Counter, 6>,
            /// Durations of probes, for `/metrics/probes`.
            pub probe_duration: Family<Histogram, 4>,
            /// Results of health checks, printed at `/metrics/slis`.
            pub healthchecks: Family<Counter, 3>,
        }

        impl Default for Metrics {
            fn default() -> Self {
                Self {
                    $($field: metrics!(@new $kind $name $help [$($label),*] $($bounds)?),)*
                    probes: Family::new(
                        "prober_probe_total",
                        "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.",
                        ["probe_type", "result", "container", "pod", "namespace", "pod_uid"],
                    ),
                    probe_duration: Family::histogram(
                        "prober_probe_duration_seconds",
                        "[ALPHA] Duration in seconds for a probe response.",
                        ["probe_type", "container", "pod", "namespace"],
                        USUAL,
                    ),
                    healthchecks: Family::new(
                        "kubernetes_healthchecks_total",
                        "[STABLE] This metric records the results of all healthcheck.",
                        ["name", "type", "status"],
                    ),
                }
            }
        }

        impl Metrics {
            /// The families of `/metrics`: the field of each, and its name on the page.
            pub const FAMILIES: &[(&str, &str)] = &[$((stringify!($field), $name)),*];

            /// Prints what `/metrics` shows.
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
    node_name: Gauge<1> = "kubelet_node_name" "[ALPHA] The node's name. The count is always 1." ["node"];
    running_pods: Gauge<0> = "kubelet_running_pods" "[ALPHA] Number of pods that have a running pod sandbox" [];
    running_containers: Gauge<1> = "kubelet_running_containers" "[ALPHA] Number of containers currently running" ["container_state"];
    desired_pods: Gauge<1> = "kubelet_desired_pods" "[ALPHA] The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver." ["static"];
    active_pods: Gauge<1> = "kubelet_active_pods" "[ALPHA] The number of pods the kubelet considers active and which are being considered when admitting new pods. static is true if the pod is not from the apiserver." ["static"];
    mirror_pods: Gauge<0> = "kubelet_mirror_pods" "[ALPHA] The number of mirror pods the kubelet will try to create (one per admitted static pod)" [];
    working_pods: Gauge<3> = "kubelet_working_pods" "[ALPHA] Number of pods the kubelet is actually running, broken down by lifecycle phase, whether the pod is desired, orphaned, or runtime only (also orphaned), and whether the pod is static. An orphaned pod has been removed from local configuration or force deleted in the API and consumes resources that are not otherwise visible." ["lifecycle", "config", "static"];
    restarted_pods: Counter<1> = "kubelet_restarted_pods_total" "[ALPHA] Number of pods that have been restarted because they were deleted and recreated with the same UID while the kubelet was watching them (common for static pods, extremely uncommon for API pods)" ["static"];
    pod_start: Histogram<0> = "kubelet_pod_start_duration_seconds" "[ALPHA] Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run" [] START;
    pod_start_sli: Histogram<0> = "kubelet_pod_start_sli_duration_seconds" "[ALPHA] Duration in seconds to start a pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch" [] START;
    pod_start_total: Histogram<0> = "kubelet_pod_start_total_duration_seconds" "[ALPHA] Duration in seconds to start a pod since creation, including time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch" [] START;
    pod_worker: Histogram<1> = "kubelet_pod_worker_duration_seconds" "[ALPHA] Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync" ["operation_type"] USUAL;
    pod_worker_start: Histogram<0> = "kubelet_pod_worker_start_duration_seconds" "[ALPHA] Duration in seconds from kubelet seeing a pod to starting a worker." [] USUAL;
    pod_status_sync: Histogram<0> = "kubelet_pod_status_sync_duration_seconds" "[ALPHA] Duration in seconds to sync a pod status update. Measures time from detection of a change to pod status until the API is successfully updated for that pod, even if multiple intevening changes to pod status occur." [] STATUS;
    pleg_relist: Histogram<0> = "kubelet_pleg_relist_duration_seconds" "[ALPHA] Duration in seconds for relisting pods in PLEG." [] USUAL;
    pleg_relist_interval: Histogram<0> = "kubelet_pleg_relist_interval_seconds" "[ALPHA] Interval in seconds between relisting in PLEG." [] USUAL;
    shutdown_start: Gauge<0> = "kubelet_graceful_shutdown_start_time_seconds" "[ALPHA] Last graceful shutdown start time since unix epoch in seconds" [];
    shutdown_end: Gauge<0> = "kubelet_graceful_shutdown_end_time_seconds" "[ALPHA] Last graceful shutdown end time since unix epoch in seconds" [];
    pleg_last_seen: Gauge<0> = "kubelet_pleg_last_seen_seconds" "[ALPHA] Timestamp in seconds when PLEG was last seen active." [];
    runtime_operations: Counter<1> = "kubelet_runtime_operations_total" "[ALPHA] Cumulative number of runtime operations by operation type." ["operation_type"];
    runtime_operation_errors: Counter<1> = "kubelet_runtime_operations_errors_total" "[ALPHA] Cumulative number of runtime operation errors by operation type." ["operation_type"];
    runtime_operation_duration: Histogram<1> = "kubelet_runtime_operations_duration_seconds" "[ALPHA] Duration in seconds of runtime operations. Broken down by operation type." ["operation_type"] OPERATION;
    run_sandbox: Histogram<1> = "kubelet_run_podsandbox_duration_seconds" "[ALPHA] Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler." ["runtime_handler"] USUAL;
    run_sandbox_errors: Counter<1> = "kubelet_run_podsandbox_errors_total" "[ALPHA] Cumulative number of the run_podsandbox operation errors by RuntimeClass.Handler." ["runtime_handler"];
    started_pods: Counter<0> = "kubelet_started_pods_total" "[ALPHA] Cumulative number of pods started" [];
    started_pod_errors: Counter<0> = "kubelet_started_pods_errors_total" "[ALPHA] Cumulative number of errors when starting pods" [];
    started_user_namespaced_pods: Counter<0> = "kubelet_started_user_namespaced_pods_total" "[ALPHA] Cumulative number of pods with user namespaces started. This metric will only be collected on Linux." [];
    started_user_namespaced_pod_errors: Counter<0> = "kubelet_started_user_namespaced_pods_errors_total" "[ALPHA] Cumulative number of errors when starting pods with user namespaces. This metric will only be collected on Linux." [];
    started_containers: Counter<1> = "kubelet_started_containers_total" "[ALPHA] Cumulative number of containers started" ["container_type"];
    started_container_errors: Counter<2> = "kubelet_started_containers_errors_total" "[ALPHA] Cumulative number of errors when starting containers" ["container_type", "code"];
    terminated_containers: Counter<3> = "kubelet_terminated_containers_total" "[ALPHA] Cumulative number of container terminations." ["container_type", "exit_code", "reason"];
    evictions: Counter<1> = "kubelet_evictions" "[ALPHA] Cumulative number of pod evictions by eviction signal" ["eviction_signal"];
    preemptions: Counter<1> = "kubelet_preemptions" "[ALPHA] Cumulative number of pod preemptions by preemption resource" ["preemption_signal"];
    admission_rejections: Counter<1> = "kubelet_admission_rejections_total" "[ALPHA] Cumulative number pod admission rejections by the Kubelet." ["reason"];
    image_pull: Histogram<1> = "kubelet_image_pull_duration_seconds" "[ALPHA] Duration in seconds to pull an image." ["image_size_in_bytes"] PULL;
    images_collected: Counter<1> = "kubelet_image_garbage_collected_total" "[ALPHA] Total number of images garbage collected by the kubelet, whether through disk usage or image age." ["reason"];
    orphan_volumes: Gauge<0> = "kubelet_orphan_pod_cleaned_volumes" "[ALPHA] The total number of orphaned Pods whose volumes were cleaned in the last periodic sweep." [];
    orphan_volume_errors: Gauge<0> = "kubelet_orphan_pod_cleaned_volumes_errors" "[ALPHA] The number of orphaned Pods whose volumes failed to be cleaned in the last periodic sweep." [];
    cgroup_manager: Histogram<1> = "kubelet_cgroup_manager_duration_seconds" "[ALPHA] Duration in seconds for cgroup manager operations. Broken down by method." ["operation_type"] USUAL;
    storage_operation: Histogram<4> = "storage_operation_duration_seconds" "[ALPHA] Storage operation duration" ["volume_plugin", "operation_name", "status", "migrated"] STORAGE;
    volumes: Gauge<2> = "volume_manager_total_volumes" "[ALPHA] Number of volumes in Volume Manager" ["plugin_name", "state"];
    http_requests: Counter<4> = "kubelet_http_requests_total" "[ALPHA] Number of the http requests received since the server started" ["method", "path", "server_type", "long_running"];
    http_duration: Histogram<4> = "kubelet_http_requests_duration_seconds" "[ALPHA] Duration in seconds to serve http requests" ["method", "path", "server_type", "long_running"] USUAL;
    http_inflight: Gauge<4> = "kubelet_http_inflight_requests" "[ALPHA] Number of the inflight http requests" ["method", "path", "server_type", "long_running"];
    cri_losing_support: Gauge<1> = "kubelet_cri_losing_support" "[ALPHA] the Kubernetes version that the currently running CRI implementation will lose support on if not upgraded." ["version"];
    certificate_rotation_errors: Counter<0> = "kubelet_certificate_manager_client_expiration_renew_errors" "[ALPHA] Counter of certificate renewal errors." [];
    client_certificate_ttl: Expiry<0> = "kubelet_certificate_manager_client_ttl_seconds" "[ALPHA] Gauge of the TTL (time-to-live) of the Kubelet's client certificate. The value is in seconds until certificate expiry (negative if already expired). If client certificate is invalid or unused, the value will be +INF." [];
    server_certificate_ttl: Expiry<0> = "kubelet_certificate_manager_server_ttl_seconds" "[ALPHA] Gauge of the shortest TTL (time-to-live) of the Kubelet's serving certificate. The value is in seconds until certificate expiry (negative if already expired). If serving certificate is invalid or unused, the value will be +INF." [];
    rest_client_requests: Counter<3> = "rest_client_requests_total" "[ALPHA] Number of HTTP requests, partitioned by status code, method, and host." ["code", "method", "host"];
    containers_per_pod: Histogram<0> = "kubelet_containers_per_pod_count" "[ALPHA] The number of containers per pod." [] CONTAINERS;
    first_network_start: Gauge<0> = "kubelet_first_network_pod_start_sli_duration_seconds" "[INTERNAL] Duration in seconds to start the first network pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch" [];
    pleg_pod_relist: Histogram<0> = "kubelet_pleg_pod_relist_duration_seconds" "[ALPHA] Duration in seconds for relisting a single pod in PLEG." [] USUAL;
    pleg_discarded: Counter<0> = "kubelet_pleg_discard_events" "[ALPHA] The number of discard events in PLEG." [];
    event_streams: Counter<0> = "kubelet_evented_pleg_connection_success_count" "[ALPHA] The number of times a streaming client was obtained to receive CRI Events." [];
    event_stream_errors: Counter<0> = "kubelet_evented_pleg_connection_error_count" "[ALPHA] The number of errors encountered during the establishment of streaming connection with the CRI runtime." [];
    event_latency: Histogram<0> = "kubelet_evented_pleg_connection_latency_seconds" "[ALPHA] The latency of streaming connection with the CRI runtime, measured in seconds." [] USUAL;
    eviction_stats_age: Histogram<1> = "kubelet_eviction_stats_age_seconds" "[ALPHA] Time between when stats are collected, and when pod is evicted based on those stats by eviction signal" ["eviction_signal"] USUAL;
    orphaned_runtime_pods: Counter<0> = "kubelet_orphaned_runtime_pods_total" "[ALPHA] Number of pods that have been detected in the container runtime without being already known to the pod worker. This typically indicates the kubelet was restarted while a pod was force deleted in the API or in the local configuration, which is unusual." [];
    ephemeral_containers: Gauge<0> = "kubelet_managed_ephemeral_containers" "[ALPHA] Current number of ephemeral containers in pods managed by this kubelet." [];
    hook_http_fallbacks: Counter<0> = "kubelet_lifecycle_handler_http_fallbacks_total" "[ALPHA] The number of times lifecycle handlers successfully fell back to http from https." [];
    hook_sleeps_cut: Counter<0> = "kubelet_sleep_action_terminated_early_total" "[ALPHA] The number of times lifecycle sleep handler got terminated before it finishes" [];
    startup_pre_kubelet: Gauge<0> = "kubelet_node_startup_pre_kubelet_duration_seconds" "[ALPHA] Duration in seconds of node startup before kubelet starts." [];
    startup_pre_registration: Gauge<0> = "kubelet_node_startup_pre_registration_duration_seconds" "[ALPHA] Duration in seconds of node startup before registration." [];
    startup_registration: Gauge<0> = "kubelet_node_startup_registration_duration_seconds" "[ALPHA] Duration in seconds of node startup during registration." [];
    startup_post_registration: Gauge<0> = "kubelet_node_startup_post_registration_duration_seconds" "[ALPHA] Duration in seconds of node startup after registration." [];
    startup: Gauge<0> = "kubelet_node_startup_duration_seconds" "[ALPHA] Duration in seconds of node startup in total." [];
    image_requests: Counter<3> = "kubelet_image_manager_ensure_image_requests_total" "[ALPHA] Number of ensure-image requests processed by the kubelet." ["pull_policy", "present_locally", "pull_required"];
    image_volumes_requested: Counter<0> = "kubelet_image_volume_requested_total" "[BETA] Number of requested image volumes." [];
    image_volumes_mounted: Counter<0> = "kubelet_image_volume_mounted_succeed_total" "[BETA] Number of successful image volume mounts." [];
    image_volume_errors: Counter<0> = "kubelet_image_volume_mounted_errors_total" "[BETA] Number of failed image volume mounts." [];
    requested_resizes: Counter<3> = "kubelet_container_requested_resizes_total" "[ALPHA] Number of requested resizes, counted at the container level. Different resources on the same container are counted separately. The 'requirement' label refers to 'memory' or 'limits'; the 'operation' label can be one of 'add', 'remove', 'increase' or 'decrease'." ["resource", "requirement", "operation"];
    resize_duration: Histogram<1> = "kubelet_pod_resize_duration_milliseconds" "[ALPHA] Duration in milliseconds to actuate a pod resize" ["success"] RESIZE;
    pending_resizes: Gauge<1> = "kubelet_pod_pending_resizes" "[ALPHA] Number of pending resizes for pods." ["reason"];
    infeasible_resizes: Counter<1> = "kubelet_pod_infeasible_resizes_total" "[ALPHA] Number of infeasible resizes for pods." ["reason_detail"];
    in_progress_resizes: Gauge<0> = "kubelet_pod_in_progress_resizes" "[ALPHA] Number of in-progress resizes for pods." [];
    deferred_resizes: Counter<1> = "kubelet_pod_deferred_accepted_resizes_total" "[ALPHA] Cumulative number of resizes that were accepted after being deferred." ["retry_trigger"];
    cgroup_version: Gauge<0> = "kubelet_cgroup_version" "[ALPHA] cgroup version on the hosts." [];
    csi_operations: Histogram<4> = "csi_operations_seconds" "[ALPHA] Container Storage Interface operation duration with gRPC error code status total" ["driver_name", "method_name", "grpc_status_code", "migrated"] STORAGE;
    metrics_provider: Gauge<1> = "kubelet_metrics_provider" "[ALPHA] Metrics provider used by kubelet to collect container stats. Values can be 'cadvisor' and 'cri'" ["provider"];
    websocket_requests: Counter<1> = "kubelet_websocket_streaming_requests_total" "[ALPHA] Total number of WebSocket streaming requests (exec/attach/portforward) received by the kubelet." ["subresource"];
    server_certificate_errors: Counter<0> = "kubelet_server_expiration_renew_errors" "[ALPHA] Counter of certificate renewal errors." [];
    server_certificate_age: Histogram<0> = "kubelet_certificate_manager_server_rotation_seconds" "[ALPHA] Histogram of the number of seconds the previous certificate lived before being rotated." [] LIFETIME;
    rest_client_duration: Histogram<2> = "rest_client_request_duration_seconds" "[ALPHA] Request latency in seconds. Broken down by verb, and host." ["verb", "host"] CLIENT;
    rest_client_request_size: Histogram<2> = "rest_client_request_size_bytes" "[ALPHA] Request size in bytes. Broken down by verb and host." ["verb", "host"] SIZE;
    rest_client_response_size: Histogram<2> = "rest_client_response_size_bytes" "[ALPHA] Response size in bytes. Broken down by verb and host." ["verb", "host"] SIZE;
    rest_client_throttled: Histogram<2> = "rest_client_rate_limiter_duration_seconds" "[ALPHA] Client side rate limiter latency in seconds. Broken down by verb, and host." ["verb", "host"] CLIENT;
    exec_plugin_ttl: Expiry<0> = "rest_client_exec_plugin_ttl_seconds" "[ALPHA] Gauge of the shortest TTL (time-to-live) of the client certificate(s) managed by the auth exec plugin. The value is in seconds until certificate expiry (negative if already expired). If auth exec plugins are unused or manage no TLS certificates, the value will be +INF." [];
    features: Gauge<2> = "kubernetes_feature_enabled" "[BETA] This metric records the data about the stage and enablement of a k8s feature." ["name", "stage"];
    panics: Counter<1> = "roost_panics_total" "Cumulative number of panics by task; a pod's worker or the task is started again after each." ["task"];
    build_info: Gauge<2> = "kubernetes_build_info" "[BETA] A metric with a constant '1' value labeled by the version whose contract is kept and by the project's own." ["git_version", "roost_version"];
}
