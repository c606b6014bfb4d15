//! Upstream's rules for values, checked on the merged configuration with defaults, all at once.
//!
//! Sources: `pkg/kubelet/apis/config/validation/validation.go` and `validation_linux.go`; `component-base/logs/api/v1`,
//! `tracing/api/v1`, `metrics/api/v1` and `cli/flag`; `pkg/kubelet/sysctl/allowlist.go`; `parseResourceList` of
//! `cmd/kubelet/app/server.go`. What depends on the machine is checked in [`core::host`](crate::core::host).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::document::get;
use super::duration::parse_duration;
use super::findings::Findings;
use super::gates::Gates;
use super::words;
use crate::core::model::{Amount, Release};

/// Values of one configuration, with and without defaults.
struct Values<'a> {
    full: &'a Value,
    /// As they were set.
    given: &'a Value,
    gates: Gates,
    findings: &'a mut Findings,
}

impl Values<'_> {
    fn text(&self, path: &str) -> &str {
        get(self.full, path).and_then(Value::as_str).unwrap_or_default()
    }
    fn texts(&self, path: &str) -> Vec<String> {
        let items = get(self.full, path).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }
    fn int(&self, path: &str) -> Option<i64> {
        get(self.full, path).and_then(Value::as_i64)
    }
    fn bool(&self, path: &str) -> bool {
        get(self.full, path).and_then(Value::as_bool).unwrap_or_default()
    }
    fn duration(&self, path: &str) -> Duration {
        parse_duration(self.text(path)).unwrap_or_default()
    }
    fn is_given(&self, path: &str) -> bool {
        get(self.given, path).is_some()
    }
    fn gate(&self, name: &str) -> bool {
        self.gates.enabled(name)
    }
    fn fault(&mut self, path: &str, text: impl AsRef<str>) {
        self.findings.fault(path, text);
    }
    fn require(&mut self, holds: bool, path: &str, text: impl AsRef<str>) {
        if !holds {
            self.fault(path, text);
        }
    }
}

pub(super) fn validate(full: &Value, given: &Value, release: &'static Release, findings: &mut Findings) {
    let gates = get(full, "featureGates").and_then(Value::as_object).into_iter().flatten();
    let set: BTreeMap<String, bool> = gates.filter_map(|(name, on)| Some((name.clone(), on.as_bool()?))).collect();
    let gates = Gates { release, set };
    gates.check(findings);
    let values = &mut Values { full, given, gates, findings };
    check_numbers(values);
    check_words(values);
    check_times(values);
    check_resources(values);
    check_lists(values);
    check_log(values);
    check_paths(values);
}

/// Numbers with their lowest and highest values.
const RANGES: &[(&str, i64, i64)] = &[
    ("nodeLeaseDurationSeconds", 1, i32::MAX as i64),
    ("eventBurst", 0, i32::MAX as i64),
    ("eventRecordQPS", 0, i32::MAX as i64),
    ("healthzPort", 0, 65535),
    ("imageGCHighThresholdPercent", 0, 100),
    ("imageGCLowThresholdPercent", 0, 100),
    ("iptablesDropBit", 0, 31),
    ("iptablesMasqueradeBit", 0, 31),
    ("kubeAPIBurst", 0, i32::MAX as i64),
    ("kubeAPIQPS", 0, i32::MAX as i64),
    ("nodeStatusMaxImages", -1, i32::MAX as i64),
    ("maxOpenFiles", 0, i64::MAX),
    ("maxPods", 0, i32::MAX as i64),
    ("oomScoreAdj", -1000, 1000),
    ("podsPerCore", 0, i32::MAX as i64),
    ("port", 1, 65535),
    ("readOnlyPort", 0, 65535),
    ("registryBurst", 0, i32::MAX as i64),
    ("registryPullQPS", 0, i32::MAX as i64),
    ("maxParallelImagePulls", 1, i32::MAX as i64),
    ("containerLogMaxWorkers", 1, i32::MAX as i64),
    ("containerLogMaxFiles", 2, i32::MAX as i64),
    ("logging.verbosity", 0, i32::MAX as i64),
    ("tracing.samplingRatePerMillion", 0, 1_000_000),
    ("evictionMaxPodGracePeriod", i32::MIN as i64, i32::MAX as i64),
    ("userNamespaces.idsPerPod", 65536, u32::MAX as i64),
];

fn check_numbers(values: &mut Values<'_>) {
    for (path, least, most) in RANGES {
        let Some(number) = values.int(path).filter(|number| number < least || number > most) else { continue };
        let text = match (*least, *most) {
            (least, most) if most >= i64::from(i32::MAX) && number < least => {
                format!("must be at least {least}, got {number}")
            }
            (least, most) => format!("must be from {least} to {most}, got {number}"),
        };
        values.fault(path, text);
    }
    let ids = values.int("userNamespaces.idsPerPod");
    values.require(ids.is_none_or(|ids| ids % 65536 == 0), "userNamespaces.idsPerPod", "must be a multiple of 65536");
    let (high, low) = (values.int("imageGCHighThresholdPercent"), values.int("imageGCLowThresholdPercent"));
    let text = format!("must be below imageGCHighThresholdPercent, {}", high.unwrap_or_default());
    values.require(low < high, "imageGCLowThresholdPercent", text);
    let parallel = values.int("maxParallelImagePulls").unwrap_or_default();
    let serial = values.bool("serializeImagePulls") && parallel > 1;
    values.require(!serial, "maxParallelImagePulls", "must be 1 while serializeImagePulls is true");
    let factor = get(values.full, "memoryThrottlingFactor").and_then(Value::as_f64);
    let in_range = factor.is_none_or(|factor| factor > 0.0 && factor <= 1.0);
    values.require(in_range, "memoryThrottlingFactor", "must be more than 0 and at most 1");
}

fn check_words(values: &mut Values<'_>) {
    for (path, known) in words::WORDS {
        let word = values.text(path);
        if !word.is_empty() && !known.contains(&word) {
            let text = format!("want one of {}, got {word:?}", known.join(", "));
            values.fault(path, text);
        }
    }
    let hidden = values.text("showHiddenMetricsForVersion");
    let previous = values.gates.release.previous();
    let is_previous = hidden.is_empty() || hidden == previous;
    let text = format!("must be the previous minor version, {previous}");
    values.require(is_previous, "showHiddenMetricsForVersion", text);
    let gate = values.gate("RotateKubeletServerCertificate") || !values.bool("serverTLSBootstrap");
    values.require(gate, "serverTLSBootstrap", "needs the feature gate RotateKubeletServerCertificate");
    let handler = values.bool("enableSystemLogHandler") || !values.bool("enableSystemLogQuery");
    values.require(handler, "enableSystemLogQuery", "needs enableSystemLogHandler");
    if ["VersionTLS10", "VersionTLS11"].contains(&values.text("tlsMinVersion")) {
        values.findings.warn("tlsMinVersion", "TLS 1.2 is the oldest supported version");
    }
    for suite in values.texts("tlsCipherSuites") {
        if !words::CIPHER_SUITES.contains(&suite.as_str()) {
            values.fault("tlsCipherSuites", format!("{suite:?} is not a TLS cipher suite"));
        } else if !words::is_offered(&suite) {
            values.findings.warn(
                "tlsCipherSuites",
                format!("{suite} is not supported, because it is insecure or not implemented"),
            );
        }
    }
    check_curves(values);
}

/// Curves by their TLS numbers; the supported ones are ring's.
fn check_curves(values: &mut Values<'_>) {
    const PATH: &str = "tlsCurvePreferences";
    let Some(list) = get(values.full, PATH).filter(|list| !list.is_null()) else { return };
    let Some(items) = list.as_array() else { return values.fault(PATH, "want a list of curve numbers") };
    let (mut seen, mut offered) = (BTreeSet::new(), 0usize);
    for item in items {
        let Some(id) = item.as_i64() else {
            return values.fault(PATH, format!("want a curve number, got {item}"));
        };
        if !seen.insert(id) {
            values.fault(PATH, format!("{id} is listed twice"));
        } else if words::OFFERED_CURVES.contains(&id) {
            offered = offered.saturating_add(1);
        } else if words::GO_CURVES.contains(&id) {
            values.findings.warn(PATH, format!("curve {id} is not supported and is ignored"));
        } else {
            values.fault(
                PATH,
                format!("{id} is not a curve; known are {:?} and {:?}", words::OFFERED_CURVES, words::GO_CURVES),
            );
        }
    }
    values.require(items.is_empty() || offered > 0, PATH, "names no supported curve; supported: 23, 24 and 29");
}

/// Durations with their lowest and highest values.
const SPANS: &[(&str, Duration, Duration)] = &[
    ("cpuCFSQuotaPeriod", Duration::from_millis(1), Duration::from_secs(1)),
    ("containerLogMonitorInterval", Duration::from_secs(3), Duration::MAX),
    ("crashLoopBackOff.maxContainerRestartPeriod", Duration::from_secs(1), Duration::from_secs(300)),
];

fn check_times(values: &mut Values<'_>) {
    for (path, least, most) in SPANS {
        let span = values.duration(path);
        if get(values.full, path).is_some() && (span < *least || span > *most) && !values.findings.is_faulty(path) {
            let text = match *most {
                Duration::MAX => format!("must be at least {least:?}"),
                _ => format!("must be between {}s and {}s", least.as_secs_f64(), most.as_secs_f64()),
            };
            values.fault(path, text);
        }
    }
    let custom = values.duration("cpuCFSQuotaPeriod") != Duration::from_millis(100);
    let gate = values.gate("CustomCPUCFSQuotaPeriod") || !custom;
    values.require(gate, "cpuCFSQuotaPeriod", "other than 100ms needs the feature gate CustomCPUCFSQuotaPeriod");
    let period = "crashLoopBackOff.maxContainerRestartPeriod";
    let gate = values.gate("KubeletCrashLoopBackOffMax") || !values.is_given(period);
    values.require(gate, period, "needs the feature gate KubeletCrashLoopBackOffMax");
    let (oldest, youngest) = (values.duration("imageMaximumGCAge"), values.duration("imageMinimumGCAge"));
    values.require(oldest.is_zero() || oldest > youngest, "imageMaximumGCAge", "must be more than imageMinimumGCAge");
    check_shutdown(values);
}

fn check_shutdown(values: &mut Values<'_>) {
    let (all, critical) = ("shutdownGracePeriod", "shutdownGracePeriodCriticalPods");
    let spans = [(all, values.duration(all)), (critical, values.duration(critical))];
    let [(_, total), (_, last)] = spans;
    values.require(last <= total, critical, "must not be more than shutdownGracePeriod");
    for (path, span) in spans {
        values.require(span.is_zero() || span >= Duration::from_secs(1), path, "must be zero, or at least 1s");
        let gate = values.gate("GracefulNodeShutdown") || span.is_zero();
        values.require(gate, path, "needs the feature gate GracefulNodeShutdown");
    }
    let by_priority = "shutdownGracePeriodByPodPriority";
    let classes = get(values.full, by_priority).and_then(Value::as_array).cloned().unwrap_or_default();
    for class in &classes {
        let number = |key: &str| class.get(key).map_or(Some(0), Value::as_i64);
        let priority = number("priority").is_some_and(|priority| i32::try_from(priority).is_ok());
        let seconds = number("shutdownGracePeriodSeconds").is_some_and(|seconds| seconds >= 0);
        values.require(
            priority && seconds,
            by_priority,
            format!("want whole numbers of priority and seconds, got {class}"),
        );
    }
    if !classes.is_empty() {
        let alone = total.is_zero() && last.is_zero();
        values.require(alone, by_priority, "cannot be combined with shutdownGracePeriod");
        let gate = values.gate("GracefulNodeShutdownBasedOnPodPriority");
        values.require(gate, by_priority, "needs the feature gate GracefulNodeShutdownBasedOnPodPriority");
    }
}

/// The resources that can be reserved.
const RESERVABLE: &[&str] = &["cpu", "memory", "ephemeral-storage", "pid"];

fn check_resources(values: &mut Values<'_>) {
    for path in ["kubeReserved", "systemReserved"] {
        let amounts = get(values.full, path).and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, amount) in &amounts {
            let amount = amount.as_str().unwrap_or_default();
            if !RESERVABLE.contains(&name.as_str()) {
                values.fault(path, format!("{name}: cannot be reserved, only {} can", RESERVABLE.join(", ")));
            } else if Amount::parse(amount).is_none_or(|amount| amount < Amount::ZERO) {
                values.fault(path, format!("{name}: want a quantity that is not negative, got {amount:?}"));
            }
        }
    }
    let cgroups = !values.text("systemReservedCgroup").is_empty() || !values.text("kubeReservedCgroup").is_empty();
    let alone = values.text("reservedSystemCPUs").is_empty() || !cgroups;
    values.require(alone, "reservedSystemCPUs", "cannot be combined with systemReservedCgroup or kubeReservedCgroup");
    let rooted = values.text("systemCgroups").is_empty() || !values.text("cgroupRoot").is_empty();
    values.require(rooted, "systemCgroups", "needs cgroupRoot");
    let size = Amount::parse(values.text("containerLogMaxSize"));
    let text = format!("{:?} is not a quantity such as 10Mi", values.text("containerLogMaxSize"));
    values.require(size.is_some_and(|size| size.units() > 0), "containerLogMaxSize", text);
    check_enforced(values);
}

fn check_enforced(values: &mut Values<'_>) {
    const PATH: &str = "enforceNodeAllocatable";
    let list = values.texts(PATH);
    let has = |word: &str| list.iter().any(|item| item == word);
    for (both, cgroup) in [("system-reserved", "systemReservedCgroup"), ("kube-reserved", "kubeReservedCgroup")] {
        let compressible = format!("{both}-compressible");
        values.require(
            !has(both) || !has(&compressible),
            PATH,
            format!("{both} and {compressible} exclude each other"),
        );
        let named = !values.text(cgroup).is_empty() || !has(both) && !has(&compressible);
        values.require(named, PATH, format!("{both} needs {cgroup}"));
    }
    let known =
        ["pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible"];
    for (index, word) in list.iter().enumerate() {
        if list.iter().take(index).any(|earlier| earlier == word) {
            values.fault(PATH, format!("{word:?} is listed twice"));
        } else if word == "none" {
            values.require(list.len() == 1, PATH, "none excludes all others");
        } else if !known.contains(&word.as_str()) {
            values.fault(PATH, format!("want some of {}, or none, got {word:?}", known.join(", ")));
        } else if !values.bool("cgroupsPerQOS") {
            values.fault("cgroupsPerQOS", format!("must be true while enforceNodeAllocatable has {word}"));
        }
    }
}

fn check_lists(values: &mut Values<'_>) {
    const ALLOWLIST: &str = "preloadedImagesVerificationAllowlist";
    let images = values.texts(ALLOWLIST);
    let policy = values.text("imagePullCredentialsVerificationPolicy");
    let used = images.is_empty() || policy == "NeverVerifyAllowlistedImages";
    values.require(used, ALLOWLIST, "needs imagePullCredentialsVerificationPolicy NeverVerifyAllowlistedImages");
    for image in images.iter().filter(|image| !is_image_pattern(image)) {
        values.fault(
            ALLOWLIST,
            format!("{image:?} is neither an image without tag and digest nor a pattern with /* at its end"),
        );
    }
    for pattern in values.texts("allowedUnsafeSysctls") {
        if let Err(why) = check_sysctl(&pattern) {
            values.fault("allowedUnsafeSysctls", format!("{pattern:?} {why}"));
        }
    }
    let taints = get(values.full, "registerWithTaints").and_then(Value::as_array).cloned().unwrap_or_default();
    for taint in &taints {
        let text = |key: &str| taint.get(key).and_then(Value::as_str).unwrap_or_default();
        if !is_qualified_name(text("key")) {
            values.fault("registerWithTaints", format!("{:?} is not a taint key", text("key")));
        }
        if !is_label_value(text("value")) {
            values.fault("registerWithTaints", format!("{:?} is not a taint value", text("value")));
        }
        if !["", "NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&text("effect")) {
            values.fault("registerWithTaints", format!("{:?} is not a taint effect", text("effect")));
        }
        if taint.get("timeAdded").is_some_and(|time| !time.is_null()) {
            values.fault("registerWithTaints", "timeAdded cannot be set");
        }
    }
}

fn is_image_pattern(pattern: &str) -> bool {
    let (name, wildcard) = pattern.strip_suffix("/*").map_or((pattern, false), |name| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    let tagged = !wildcard && (last.contains(':') || name.contains('@'));
    !name.is_empty() && !name.contains('*') && pattern.trim() == pattern && !tagged
}

/// The kernel's namespaced sysctls (`component-helpers/node/util/sysctl`), as a name or as a prefix that ends with `*`.
fn check_sysctl(pattern: &str) -> Result<(), &'static str> {
    const NAMES: &[&str] = &["kernel.sem"];
    const PREFIXES: &[&str] = &["kernel.shm", "kernel.msg", "fs.mqueue.", "net."];
    let (name, prefix) = pattern.strip_suffix('*').map_or((pattern, false), |name| (name, true));
    let body = if prefix { name.trim_end_matches(['.', '/']) } else { name };
    let segment = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with(['-', '_'])
            && (prefix || !part.ends_with(['-', '_']))
    };
    if pattern.len() > 253 || !body.split(['.', '/']).all(segment) {
        return Err("is not the name of a sysctl, nor a prefix followed by *");
    }
    let dotted = name.replace('/', ".");
    let known = NAMES.contains(&dotted.as_str()) || PREFIXES.iter().any(|known| dotted.starts_with(known));
    if known { Ok(()) } else { Err("is not known to be namespaced") }
}

fn is_name_part(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

pub(super) fn is_qualified_name(text: &str) -> bool {
    let label = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    match text.split_once('/') {
        Some((domain, name)) => {
            is_name_part(name) && domain.len() <= 253 && domain.split('.').all(label) && domain.chars().all(lower)
        }
        None => is_name_part(text),
    }
}

pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name_part(text)
}

fn check_log(values: &mut Values<'_>) {
    let json = values.text("logging.format") == "json";
    values.require(
        !json || values.gate("LoggingBetaOptions"),
        "logging.format",
        "json needs the feature gate LoggingBetaOptions",
    );
    let flush = get(values.full, "logging.flushFrequency").is_none_or(|flush| flush.as_i64() != Some(0));
    values.require(flush, "logging.flushFrequency", "must be more than zero");
    let modules = get(values.full, "logging.vmodule").and_then(Value::as_array).cloned().unwrap_or_default();
    values.require(modules.is_empty() || !json, "logging.vmodule", "is only for the text format");
    for module in &modules {
        let pattern = module.get("filePattern").and_then(Value::as_str).unwrap_or_default();
        let sound = !pattern.is_empty() && !pattern.contains(['=', ',']);
        values.require(sound, "logging.vmodule", format!("{pattern:?} is not a filePattern"));
    }
    for format in ["text", "json"] {
        let size = format!("logging.options.{format}.infoBufferSize");
        let unreadable =
            get(values.full, &size).and_then(Value::as_str).is_some_and(|size| Amount::parse(size).is_none());
        values.require(!unreadable, &size, "want a quantity such as 64Ki");
    }
    let endpoint = values.text("tracing.endpoint");
    let scheme = endpoint.split_once("//").map_or("dns", |(scheme, _)| scheme.trim_end_matches(':'));
    let text = format!("{endpoint:?}: want a host with a port, or a scheme dns, unix or unix-abstract");
    values.require(["dns", "unix", "unix-abstract"].contains(&scheme), "tracing.endpoint", text);
}

fn check_paths(values: &mut Values<'_>) {
    let logs = values.text("podLogsDir").to_owned();
    values.require(logs.starts_with('/'), "podLogsDir", format!("{logs:?} must be an absolute path"));
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    let clean = logs == "/" || logs.strip_prefix('/').is_none_or(|rest| !rest.split('/').any(odd));
    values.require(clean, "podLogsDir", format!("{logs:?} must not contain . or .. and must not end with /"));
    values.require(logs.is_ascii(), "podLogsDir", format!("{logs:?} must be ASCII"));
    for path in ["containerRuntimeEndpoint", "imageServiceEndpoint"] {
        let endpoint = values.text(path).to_owned();
        let socket = endpoint.starts_with("unix:/") || endpoint.starts_with('/');
        values.require(socket || endpoint.is_empty(), path, format!("want unix:///path, got {endpoint:?}"));
    }
}
