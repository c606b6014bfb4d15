//! Settings that are not implemented as in upstream's kubelet: each is rejected, or reported once with a warning.
//!
//! Rejected are settings whose silent loss would affect isolation, placement or volumes. A field in no row is
//! implemented: its value is in [`KubeletSpec`](crate::core::model::KubeletSpec), and the compiler checks that its
//! members are read.

use serde_json::Value;

use super::document::get;
use super::duration::parse_duration;
use super::fields;
use super::findings::Findings;
use crate::core::model::Release;

/// How a setting is treated.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Rejected, unless the value is one of these (as JSON).
    Refused(&'static [&'static str], &'static str),
    /// Reported with a warning, unless the value is one of these.
    Warned(&'static [&'static str], &'static str),
}

use Fate::{Refused, Warned};

const NO_CPU_MANAGER: &str = "there is no CPU manager yet: containers would not get exclusive CPUs";
const NO_MEMORY_MANAGER: &str = "there is no memory manager yet: pods would not be bound to NUMA nodes";
const NO_TOPOLOGY_MANAGER: &str = "there is no topology manager yet: pods would not be aligned to NUMA nodes";
const NO_TRACES: &str = "no traces are sent";
const NO_LOG_OPTIONS: &str = "needs the feature LoggingAlphaOptions, which this kubelet does not have";
const GO_ONLY: &str = "profiles the Go runtime, which this kubelet does not have";
const NOT_READ: &str = "has no effect; upstream's kubelet validates it but never reads it";

/// Fields of the file that are not implemented.
pub const FIELD_FATES: &[(&str, Fate)] = &[
    ("cpuManagerPolicy", Refused(&["\"none\""], NO_CPU_MANAGER)),
    ("cpuManagerPolicyOptions", Refused(&[], NO_CPU_MANAGER)),
    ("cpuManagerReconcilePeriod", Warned(&["\"10s\""], "has no effect without a CPU manager")),
    ("memoryManagerPolicy", Refused(&["\"None\""], NO_MEMORY_MANAGER)),
    ("reservedMemory", Refused(&[], NO_MEMORY_MANAGER)),
    ("topologyManagerPolicy", Refused(&["\"none\""], NO_TOPOLOGY_MANAGER)),
    ("topologyManagerPolicyOptions", Refused(&[], NO_TOPOLOGY_MANAGER)),
    ("topologyManagerScope", Warned(&["\"container\""], "has no effect without a topology manager")),
    ("qosReserved", Refused(&[], "memory is not reserved by QoS class")),
    (
        "enableControllerAttachDetach",
        Refused(&["true"], "this kubelet does not attach volumes itself, so nothing would"),
    ),
    ("runOnce", Refused(&["false"], "this mode was removed; upstream's kubelet rejects it too")),
    ("memoryReservationPolicy", Refused(&["\"None\""], "this kubelet does not have the feature MemoryQoS")),
    ("logging.options.text.splitStream", Refused(&["false"], NO_LOG_OPTIONS)),
    ("logging.options.text.infoBufferSize", Refused(&["\"0\"", "0"], NO_LOG_OPTIONS)),
    ("logging.options.json.splitStream", Refused(&["false"], NO_LOG_OPTIONS)),
    ("logging.options.json.infoBufferSize", Refused(&["\"0\"", "0"], NO_LOG_OPTIONS)),
    ("cgroupsPerQOS", Warned(&["true"], "pods are in the cgroups of their QoS class anyway")),
    ("kubeletCgroups", Warned(&[], "the kubelet stays in the cgroup it was started in")),
    ("systemCgroups", Warned(&[], "system processes stay in their cgroups")),
    ("memoryThrottlingFactor", Warned(&["0.9"], "has no effect without the feature MemoryQoS")),
    ("kernelMemcgNotification", Warned(&["false"], "memory is checked every 10 seconds")),
    ("contentType", Warned(&["\"application/json\""], "requests to the API server are JSON")),
    (
        "configMapAndSecretChangeDetectionStrategy",
        Warned(&["\"Watch\""], "config maps and secrets of pods are watched anyway"),
    ),
    ("showHiddenMetricsForVersion", Warned(&[], "this kubelet has no hidden metrics")),
    (
        "volumePluginDir",
        Warned(
            &["\"/usr/libexec/kubernetes/kubelet-plugins/volume/exec/\""],
            "FlexVolume plugins are not supported; pods that need one are rejected",
        ),
    ),
    ("enableProfilingHandler", Warned(&["false"], GO_ONLY)),
    ("enableContentionProfiling", Warned(&["false"], GO_ONLY)),
    ("tracing.endpoint", Warned(&[], NO_TRACES)),
    ("tracing.samplingRatePerMillion", Warned(&["0"], NO_TRACES)),
    ("hairpinMode", Warned(&["\"promiscuous-bridge\""], NOT_READ)),
    ("iptablesMasqueradeBit", Warned(&["14"], NOT_READ)),
    ("iptablesDropBit", Warned(&["15"], NOT_READ)),
    ("streamingConnectionIdleTimeout", Warned(&["\"4h\""], NOT_READ)),
    ("logging.flushFrequency", Warned(&["\"5s\"", "5000000000"], "each line is written immediately")),
    ("logging.vmodule", Warned(&[], "verbosity applies to the whole program")),
];

const CADVISOR: &str = "this kubelet does not contain cAdvisor";
const DEAD_CONTAINERS: &str =
    "for each name the newest container and the previous one are kept until the pod is removed";

/// Flags without a field that are not implemented, by name; only the value `false` is accepted silently.
pub const FLAG_FATES: &[(&str, Fate)] = &[
    ("reserved-memory", Refused(&[], NO_MEMORY_MANAGER)),
    ("minimum-container-ttl-duration", Warned(&["0s", "0"], DEAD_CONTAINERS)),
    ("maximum-dead-containers-per-container", Warned(&["1"], DEAD_CONTAINERS)),
    ("maximum-dead-containers", Warned(&["-1"], DEAD_CONTAINERS)),
    ("experimental-mounter-path", Warned(&[], "volumes are mounted without a helper")),
    (
        "experimental-allocatable-ignore-eviction",
        Warned(&["false"], "hard eviction thresholds are subtracted from the allocatable resources anyway"),
    ),
    ("runtime-cgroups", Warned(&[], "the runtime stays in the cgroup it was started in")),
    ("vmodule", Warned(&[], "verbosity applies to the whole program")),
    ("pod-infra-container-image", Warned(&[], "the sandbox image is set in the configuration of the runtime")),
    ("housekeeping-interval", Warned(&["10s"], "usage is measured on request")),
    ("global-housekeeping-interval", Warned(&["1m0s", "1m", "60s"], "usage is measured on request")),
    ("container-hints", Warned(&[], CADVISOR)),
    ("log-cadvisor-usage", Warned(&["false"], CADVISOR)),
    ("boot-id-file", Warned(&[], CADVISOR)),
    ("machine-id-file", Warned(&[], CADVISOR)),
    ("event-storage-age-limit", Warned(&[], CADVISOR)),
    ("event-storage-event-limit", Warned(&[], CADVISOR)),
    ("enable-load-reader", Warned(&["false"], CADVISOR)),
    ("storage-driver-buffer-duration", Warned(&[], CADVISOR)),
    ("storage-driver-db", Warned(&[], CADVISOR)),
    ("storage-driver-host", Warned(&[], CADVISOR)),
    ("storage-driver-password", Warned(&[], CADVISOR)),
    ("storage-driver-secure", Warned(&["false"], CADVISOR)),
    ("storage-driver-table", Warned(&[], CADVISOR)),
    ("storage-driver-user", Warned(&[], CADVISOR)),
    ("application-metrics-count-limit", Warned(&[], CADVISOR)),
];

/// Checks the fields that are set, before defaults are added.
pub(super) fn judge_fields(given: &Value, findings: &mut Findings) {
    for (path, fate) in FIELD_FATES {
        let Some(value) = get(given, path).filter(|value| !says_nothing(path, value)) else { continue };
        let harmless = |known: &&str| serde_json::from_str(known).is_ok_and(|known: Value| is_same(&known, value));
        match fate {
            Refused(unless, text) if !unless.iter().any(harmless) => {
                findings.fault(path, format!("{value} is not supported: {text}"))
            }
            Warned(unless, text) if !unless.iter().any(harmless) => findings.warn(path, text),
            Refused(..) | Warned(..) => {}
        }
    }
}

/// Checks flags without a field, given as name and value.
pub(super) fn judge_flags(given: &[(String, String)], release: &Release, findings: &mut Findings) {
    for (name, value) in given {
        if let Some(minor) = release.removal_of("kubelet", name) {
            findings.faults.push(format!("--{name}: {minor} removed this flag; leave it out"));
            continue;
        }
        let Some((_, fate)) = FLAG_FATES.iter().find(|(known, _)| known == name) else { continue };
        match fate {
            Refused(..) if value.is_empty() => {}
            Refused(unless, text) if !unless.contains(&value.as_str()) => {
                findings.faults.push(format!("--{name}: {text}"))
            }
            Warned(unless, text) if !value.is_empty() && !unless.contains(&value.as_str()) => {
                findings.warnings.push(format!("--{name}: {text}"))
            }
            Refused(..) | Warned(..) => {}
        }
    }
}

/// True for a value that upstream treats as "not set".
fn says_nothing(path: &str, value: &Value) -> bool {
    let zero = fields::find(path).is_some_and(|field| field.zero_is_unset);
    match value {
        Value::String(text) => text.is_empty() || zero && parse_duration(text).is_ok_and(|d| d.is_zero()),
        Value::Number(number) => zero && number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Null => true,
        Value::Bool(_) => false,
    }
}

/// True if equal, or if both are durations of the same length.
fn is_same(known: &Value, value: &Value) -> bool {
    let duration = |value: &Value| value.as_str().and_then(|text| parse_duration(text).ok());
    known == value || duration(known).is_some_and(|known| duration(value) == Some(known))
}
