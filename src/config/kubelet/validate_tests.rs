//! Upstream's own cases (`pkg/kubelet/apis/config/validation/validation_test.go`), and those of the flags' parsers.

use super::Flags;
use super::tests::load_text;

/// A part of a configuration, and the text of its fault; empty if it is valid.
const CASES: &[(&str, &str)] = &[
    ("nodeLeaseDurationSeconds: -1", "nodeLeaseDurationSeconds: must be at least 1"),
    ("cgroupsPerQOS: false", "cgroupsPerQOS: must be true while enforceNodeAllocatable has pods"),
    ("{cgroupsPerQOS: false, enforceNodeAllocatable: []}", ""),
    ("systemCgroups: /system", "systemCgroups: needs cgroupRoot"),
    ("{systemCgroups: /system, cgroupRoot: /}", ""),
    ("eventBurst: -1", "eventBurst: must be at least 0"),
    ("eventRecordQPS: -1", "eventRecordQPS: must be at least 0"),
    ("eventRecordQPS: 0", ""),
    ("healthzPort: 65536", "healthzPort: must be from 0 to 65535"),
    (
        "{featureGates: {CustomCPUCFSQuotaPeriod: false}, cpuCFSQuotaPeriod: 200ms}",
        "needs the feature gate CustomCPUCFSQuotaPeriod",
    ),
    ("{featureGates: {CustomCPUCFSQuotaPeriod: false}, cpuCFSQuotaPeriod: 100ms}", ""),
    ("cpuCFSQuotaPeriod: 2s", "cpuCFSQuotaPeriod: must be between 0.001s and 1s"),
    ("cpuCFSQuotaPeriod: 999us", "cpuCFSQuotaPeriod: must be between 0.001s and 1s"),
    ("cpuCFSQuotaPeriod: 25ms", ""),
    ("imageGCHighThresholdPercent: 101", "imageGCHighThresholdPercent: must be from 0 to 100"),
    ("imageGCLowThresholdPercent: -1", "imageGCLowThresholdPercent: must be from 0 to 100"),
    ("{imageGCHighThresholdPercent: 0, imageGCLowThresholdPercent: 0}", "must be below imageGCHighThresholdPercent"),
    ("{imageGCHighThresholdPercent: 0, imageGCLowThresholdPercent: 1}", "must be below imageGCHighThresholdPercent"),
    ("iptablesDropBit: 32", "iptablesDropBit: must be from 0 to 31"),
    ("iptablesMasqueradeBit: 32", "iptablesMasqueradeBit: must be from 0 to 31"),
    ("kubeAPIBurst: -1", "kubeAPIBurst: must be at least 0"),
    ("kubeAPIQPS: -1", "kubeAPIQPS: must be at least 0"),
    ("nodeStatusMaxImages: -2", "nodeStatusMaxImages: must be at least -1"),
    ("nodeStatusMaxImages: -1", ""),
    ("maxOpenFiles: -1", "maxOpenFiles: must be at least 0"),
    ("maxPods: -1", "maxPods: must be at least 0"),
    ("oomScoreAdj: 1001", "oomScoreAdj: must be from -1000 to 1000"),
    ("podsPerCore: -1", "podsPerCore: must be at least 0"),
    ("port: 65536", "port: must be from 1 to 65535"),
    ("readOnlyPort: 65536", "readOnlyPort: must be from 0 to 65535"),
    ("registryBurst: -1", "registryBurst: must be at least 0"),
    ("registryPullQPS: -1", "registryPullQPS: must be at least 0"),
    ("{serializeImagePulls: false, maxParallelImagePulls: 0}", "maxParallelImagePulls: must be at least 1"),
    ("{serializeImagePulls: true, maxParallelImagePulls: 3}", "must be 1 while serializeImagePulls is true"),
    ("{serializeImagePulls: true, maxParallelImagePulls: 1}", ""),
    (
        "{featureGates: {RotateKubeletServerCertificate: false}, serverTLSBootstrap: true}",
        "serverTLSBootstrap: needs the feature gate RotateKubeletServerCertificate",
    ),
    ("topologyManagerPolicy: invalid-policy", "topologyManagerPolicy: want one of none, best-effort"),
    ("topologyManagerPolicy: single-numa-node", "topologyManagerPolicy: \"single-numa-node\" is not supported"),
    ("cpuManagerPolicy: static", "cpuManagerPolicy: \"static\" is not supported"),
    ("cpuManagerPolicy: none", ""),
    ("cpuManagerPolicyOptions: {full-pcpus-only: \"true\"}", "cpuManagerPolicyOptions"),
    ("memoryManagerPolicy: Static", "memoryManagerPolicy: \"Static\" is not supported"),
    ("reservedMemory: [{numaNode: 0, limits: {memory: 1Gi}}]", "reservedMemory"),
    ("topologyManagerScope: invalid-scope", "topologyManagerScope: want one of container, pod"),
    (
        "{shutdownGracePeriodCriticalPods: 2s, shutdownGracePeriod: 1s}",
        "shutdownGracePeriodCriticalPods: must not be more than shutdownGracePeriod",
    ),
    ("shutdownGracePeriod: 1ms", "shutdownGracePeriod: must be zero, or at least 1s"),
    (
        "{shutdownGracePeriod: 30s, shutdownGracePeriodCriticalPods: 1ms}",
        "shutdownGracePeriodCriticalPods: must be zero, or",
    ),
    (
        "{featureGates: {GracefulNodeShutdown: false, GracefulNodeShutdownBasedOnPodPriority: false, \
         WindowsGracefulNodeShutdown: false}, shutdownGracePeriod: 1s}",
        "shutdownGracePeriod: needs the feature gate GracefulNodeShutdown",
    ),
    ("memorySwap: {swapBehavior: invalid-behavior}", "memorySwap.swapBehavior: want one of NoSwap, LimitedSwap"),
    ("crashLoopBackOff: {maxContainerRestartPeriod: 0s}", "maxContainerRestartPeriod: must be between 1s and 300s"),
    ("crashLoopBackOff: {maxContainerRestartPeriod: 301s}", "maxContainerRestartPeriod: must be between 1s and 300s"),
    ("crashLoopBackOff: {maxContainerRestartPeriod: 300.9s}", "maxContainerRestartPeriod: must be between 1s and 300s"),
    ("crashLoopBackOff: {maxContainerRestartPeriod: 999ms}", "maxContainerRestartPeriod: must be between 1s and 300s"),
    ("{featureGates: {KubeletCrashLoopBackOffMax: true}}", ""),
    (
        "{featureGates: {KubeletCrashLoopBackOffMax: false}, crashLoopBackOff: {maxContainerRestartPeriod: 3s}}",
        "maxContainerRestartPeriod: needs the feature gate KubeletCrashLoopBackOffMax",
    ),
    ("enforceNodeAllocatable: [system-reserved]", "enforceNodeAllocatable: system-reserved needs systemReservedCgroup"),
    ("enforceNodeAllocatable: [system-reserved-compressible]", "system-reserved needs systemReservedCgroup"),
    (
        "{systemReservedCgroup: /a, enforceNodeAllocatable: [system-reserved, system-reserved-compressible]}",
        "system-reserved and system-reserved-compressible exclude each other",
    ),
    ("enforceNodeAllocatable: [kube-reserved]", "enforceNodeAllocatable: kube-reserved needs kubeReservedCgroup"),
    (
        "{kubeReservedCgroup: /a, enforceNodeAllocatable: [kube-reserved-compressible, kube-reserved]}",
        "kube-reserved and kube-reserved-compressible exclude each other",
    ),
    ("{kubeReservedCgroup: /a, enforceNodeAllocatable: [none, kube-reserved]}", "none excludes all others"),
    ("enforceNodeAllocatable: [none, none]", "\"none\" is listed twice"),
    ("enforceNodeAllocatable: [invalid]", "got \"invalid\""),
    ("enforceNodeAllocatable: [none]", ""),
    ("hairpinMode: invalid-hair-pin-mode", "hairpinMode: want one of none, hairpin-veth, promiscuous-bridge"),
    ("{reservedSystemCPUs: 0-3, systemReservedCgroup: /system.slice}", "reservedSystemCPUs: cannot be combined"),
    ("{reservedSystemCPUs: 0-3, kubeReservedCgroup: /system.slice}", "reservedSystemCPUs: cannot be combined"),
    ("reservedSystemCPUs: invalid-reserved-system-cpus", "reservedSystemCPUs: want a list"),
    ("memoryThrottlingFactor: 1.1", "memoryThrottlingFactor: must be more than 0 and at most 1"),
    ("memoryReservationPolicy: TieredReservation", "memoryReservationPolicy: \"TieredReservation\" is not supported"),
    ("memoryReservationPolicy: invalid", "memoryReservationPolicy: want one of None, TieredReservation"),
    ("registerWithTaints: [{key: a, timeAdded: 2026-01-01T00:00:00Z}]", "registerWithTaints: timeAdded cannot be set"),
    ("registerWithTaints: [{key: a b, effect: NoSchedule}]", "registerWithTaints: \"a b\" is not a taint key"),
    ("registerWithTaints: [{key: a, effect: NoSchedul}]", "registerWithTaints: \"NoSchedul\" is not a taint effect"),
    ("tracing: {samplingRatePerMillion: -1}", "tracing.samplingRatePerMillion: must be from 0 to 1000000"),
    ("tracing: {endpoint: \"dn%2s://localhost:4317\"}", "tracing.endpoint"),
    ("tracing: {endpoint: \"localhost:4317\"}", ""),
    (
        "{shutdownGracePeriod: 30s, shutdownGracePeriodByPodPriority: [{priority: 0, shutdownGracePeriodSeconds: 0}]}",
        "shutdownGracePeriodByPodPriority: cannot be combined with shutdownGracePeriod",
    ),
    (
        "{featureGates: {GracefulNodeShutdownBasedOnPodPriority: false}, shutdownGracePeriodByPodPriority: [{priority: 0, \
         shutdownGracePeriodSeconds: 0}]}",
        "shutdownGracePeriodByPodPriority: needs the feature gate GracefulNodeShutdownBasedOnPodPriority",
    ),
    (
        "shutdownGracePeriodByPodPriority: [{priority: high, shutdownGracePeriodSeconds: 10}]",
        "shutdownGracePeriodByPodPriority: want whole numbers of priority and seconds",
    ),
    ("shutdownGracePeriodByPodPriority: [{priority: 1, shutdownGracePeriodSeconds: 10}]", ""),
    ("{featureGates: {KubeletCrashLoopBackOffMax: false}}", ""),
    ("{featureGates: {NodeLogQuery: false}, enableSystemLogQuery: true}", "featureGates.NodeLogQuery: cannot be false"),
    (
        "{enableSystemLogHandler: false, enableSystemLogQuery: true}",
        "enableSystemLogQuery: needs enableSystemLogHandler",
    ),
    ("{enableSystemLogHandler: true, enableSystemLogQuery: true}", ""),
    ("imageMaximumGCAge: -1ns", "imageMaximumGCAge: invalid duration"),
    ("imageMinimumGCAge: -1ns", "imageMinimumGCAge: invalid duration"),
    ("imageMinimumGCAge: 1ns", ""),
    ("{imageMaximumGCAge: 1ns, imageMinimumGCAge: 2ns}", "imageMaximumGCAge: must be more than imageMinimumGCAge"),
    ("containerLogMaxWorkers: 0", "containerLogMaxWorkers: must be at least 1"),
    ("containerLogMonitorInterval: 2s", "containerLogMonitorInterval: must be at least 3s"),
    ("containerLogMonitorInterval: -1s", "containerLogMonitorInterval: invalid duration"),
    ("containerLogMaxFiles: 1", "containerLogMaxFiles: must be at least 2"),
    ("containerLogMaxSize: 10Mib", "containerLogMaxSize: \"10Mib\" is not a quantity"),
    ("podLogsDir: ./test", "podLogsDir: \"./test\" must be an absolute path"),
    ("podLogsDir: /path/../", "podLogsDir: \"/path/../\" must not contain"),
    ("podLogsDir: /🧪", "must be ASCII"),
    ("containerRuntimeEndpoint: tcp://localhost:1", "containerRuntimeEndpoint: want unix:///path"),
    ("imageServiceEndpoint: npipe:////./pipe/a", "imageServiceEndpoint: want unix:///path"),
    ("logging: {format: invalid}", "logging.format: want one of text, json"),
    ("logging: {flushFrequency: now}", "logging.flushFrequency: invalid duration"),
    ("logging: {verbosity: -1}", "logging.verbosity: must be at least 0"),
    ("logging: {options: {json: {splitStream: true}}}", "logging.options.json.splitStream: true is not supported"),
    ("logging: {options: {text: {infoBufferSize: much}}}", "logging.options.text.infoBufferSize"),
    (
        "logging: {format: json, vmodule: [{filePattern: a, verbosity: 1}]}",
        "logging.vmodule: is only for the text format",
    ),
    ("logging: {vmodule: [{filePattern: a=b, verbosity: 1}]}", "logging.vmodule: \"a=b\" is not a filePattern"),
    ("imagePullCredentialsVerificationPolicy: invalid", "want one of NeverVerify, NeverVerifyPreloadedImages"),
    (
        "{imagePullCredentialsVerificationPolicy: NeverVerify, preloadedImagesVerificationAllowlist: [test.test/repo]}",
        "preloadedImagesVerificationAllowlist: needs imagePullCredentialsVerificationPolicy",
    ),
    (
        "{imagePullCredentialsVerificationPolicy: NeverVerifyAllowlistedImages, preloadedImagesVerificationAllowlist: \
         [test.test/*, test.test/repo, localhost:5000/a]}",
        "",
    ),
    (
        "{imagePullCredentialsVerificationPolicy: NeverVerifyAllowlistedImages, preloadedImagesVerificationAllowlist: [a/*/b]}",
        "preloadedImagesVerificationAllowlist: \"a/*/b\"",
    ),
    (
        "{imagePullCredentialsVerificationPolicy: NeverVerifyAllowlistedImages, preloadedImagesVerificationAllowlist: [a/b:1]}",
        "preloadedImagesVerificationAllowlist: \"a/b:1\"",
    ),
    ("{featureGates: {invalid: true}}", "featureGates.invalid: unknown feature gate"),
    ("runOnce: true", "runOnce: true is not supported"),
    ("enableControllerAttachDetach: false", "enableControllerAttachDetach: false is not supported"),
    ("qosReserved: {memory: 50%}", "qosReserved"),
    ("showHiddenMetricsForVersion: \"1.33\"", "showHiddenMetricsForVersion: must be the previous minor version, 1.36"),
    ("systemReserved: {memory: 1GB}", "systemReserved: memory: want a quantity"),
    ("kubeReserved: {nvidia.com/gpu: \"1\"}", "kubeReserved: nvidia.com/gpu: cannot be reserved"),
    ("kubeReserved: {cpu: 100m, memory: 1Gi, ephemeral-storage: 1Gi, pid: \"1000\"}", ""),
    ("cgroupDriver: Systemd", "cgroupDriver: want one of cgroupfs, systemd"),
    ("configMapAndSecretChangeDetectionStrategy: watch", "want one of Get, Cache, Watch"),
    ("tlsCurvePreferences: [1]", "tlsCurvePreferences: 1 is not a curve"),
    ("tlsCurvePreferences: [29, 29]", "tlsCurvePreferences: 29 is listed twice"),
    ("tlsCurvePreferences: [25]", "tlsCurvePreferences: names no supported curve"),
    ("tlsCurvePreferences: [X25519]", "tlsCurvePreferences: want a curve number"),
    ("tlsCurvePreferences: [29, 4588]", ""),
    ("evictionHard: {memory.availabe: 1Gi}", "evictionHard: unknown eviction signal memory.availabe"),
    ("evictionHard: {memory.available: 1GB}", "evictionHard: memory.available: 1GB is neither"),
    ("{evictionMinimumReclaim: {memory.available: much}}", "evictionMinimumReclaim: memory.available: much"),
    (
        "evictionSoft: {memory.available: 1Gi}",
        "evictionSoft: memory.available needs an entry in evictionSoftGracePeriod",
    ),
    ("allowedUnsafeSysctls: [\"net.core.*\", kernel.msgmax, \"kernel.shm*\", net/ipv4/tcp_mem]", ""),
    ("allowedUnsafeSysctls: [vm.swappiness]", "allowedUnsafeSysctls: \"vm.swappiness\" is not known to be namespaced"),
    ("allowedUnsafeSysctls: [\"net.*.a\"]", "allowedUnsafeSysctls: \"net.*.a\" is not the name of a sysctl"),
    ("userNamespaces: {idsPerPod: 0}", "userNamespaces.idsPerPod: must be at least 65536"),
    ("userNamespaces: {idsPerPod: 131072}", ""),
    ("evictionMaxPodGracePeriod: 99999999999", "evictionMaxPodGracePeriod"),
    ("volumeStatsAggPeriod: -1s", ""),
];

#[test]
fn upstreams_rules_hold_and_each_fault_names_its_place() {
    for (piece, fault) in CASES {
        let (open, close) = if piece.starts_with('{') { ("", "") } else { ("{", "}") };
        let body = format!("{open}{piece}{close}");
        let text = format!(
            "{{apiVersion: kubelet.config.k8s.io/v1beta1, kind: KubeletConfiguration,\n  {}",
            body.trim_start_matches('{')
        );
        match load_text(&text, Flags::default()) {
            Ok(_) => assert!(fault.is_empty(), "{piece} is accepted"),
            Err(error) => {
                assert!(!fault.is_empty() && error.contains(fault), "{piece}: {error}");
                let line = error.lines().find(|line| line.contains(fault)).expect("a line");
                assert!(line.contains("config.yaml:2:") || line.contains("config.yaml: "), "{piece}: {line}");
            }
        }
    }
}

#[test]
fn a_fault_of_a_flag_names_the_flag() {
    let mut flags = Flags::default();
    flags.fields.insert("oom-score-adj".into(), "5000".into());
    flags.node_labels = "a=b c".into();
    let error =
        load_text("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\noomScoreAdj: 1\n", flags)
            .expect_err("two faults");
    assert_eq!(
        error,
        "--oom-score-adj: oomScoreAdj: must be from -1000 to 1000, got 5000\n--node-labels: \"a=b c\" is not a label"
    );
}

#[test]
fn faults_of_all_files_and_rules_are_told_at_once() {
    let text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nport: no\nmaxPods: -1\n\
                systemReserved:\n  memory: 1GB\n";
    let error = load_text(text, Flags::default()).expect_err("three faults");
    let lines: Vec<&str> = error.lines().map(|line| line.rsplit('/').next().unwrap_or(line)).collect();
    assert_eq!(
        lines,
        [
            "config.yaml:3:1: port: want a whole number, got true or false",
            "config.yaml:4:1: maxPods: must be at least 0, got -1",
            "config.yaml:5:1: systemReserved: memory: want a quantity that is not negative, got \"1GB\"",
        ]
    );
}

/// The effective configuration can be loaded again, whatever was given, because users may save `/configz` as a file.
#[test]
fn what_a_valid_configuration_amounts_to_is_valid() {
    let flags = Flags { node_labels: "gpu,a=b".into(), ..Flags::default() };
    for (piece, _) in CASES.iter().filter(|(_, fault)| fault.is_empty()) {
        let body = piece.trim_start_matches('{').trim_end_matches('}');
        let close = "}".repeat(body.matches('{').count() + 1 - body.matches('}').count());
        let text = format!("{{apiVersion: kubelet.config.k8s.io/v1beta1, kind: KubeletConfiguration, {body}{close}");
        let spec = load_text(&text, flags.clone()).unwrap_or_else(|error| panic!("{piece}: {error}"));
        assert_eq!(spec.node.labels["gpu"], "");
        let again = load_text(&spec.effective.to_string(), flags.clone());
        let again = again.unwrap_or_else(|error| panic!("{piece}: {error}\n{}", spec.effective));
        assert_eq!(again.effective, spec.effective, "{piece}");
    }
}
