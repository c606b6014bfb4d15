//! Feature gates: which exist, which values upstream allows, and which are implemented here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::findings::Findings;
use super::gate_table::{GROUPS, Group, Stage};

/// Gates whose value is implemented: other rules of the configuration depend on it, or both values are equivalent here.
const HONOURED: &[&str] = &[
    "ChangeContainerStatusOnKubeletRestart",
    "ContextualLogging",
    "CustomCPUCFSQuotaPeriod",
    "DisableNodeKubeProxyVersion",
    "EventedPLEG",
    "GracefulNodeShutdown",
    "GracefulNodeShutdownBasedOnPodPriority",
    "KubeletCrashLoopBackOffMax",
    "KubeletRegistrationGetOnExistsOnly",
    "LoggingBetaOptions",
    "PLEGOnDemandRelist",
    "PodAndContainerStatsFromCRI",
    "RotateKubeletServerCertificate",
    "WindowsCPUAndMemoryAffinity",
    "WindowsGracefulNodeShutdown",
];

/// Features of upstream's kubelet that are not implemented.
const ABSENT: &[&str] = &[
    "AllowDNSOnlyNodeCSR",
    "CPUManagerPolicyAlphaOptions",
    "CPUManagerPolicyBetaOptions",
    "CPUManagerPolicyOptions",
    "CRIListStreaming",
    "CSIVolumeHealth",
    "ClusterTrustBundleProjection",
    "ContainerStopSignals",
    "DRAConsumableCapacity",
    "DRAExtendedResource",
    "DRAWorkloadResourceClaims",
    "DisableCPUQuotaWithExclusiveCPUs",
    "DynamicResourceAllocation",
    "ExtendWebSocketsToKubelet",
    "GitRepoVolumeDriver",
    "ImageVolumeWithDigest",
    "InPlacePodVerticalScalingExclusiveCPUs",
    "InPlacePodVerticalScalingExclusiveMemory",
    "KubeletInUserNamespace",
    "KubeletPodResourcesDynamicResources",
    "KubeletPodResourcesGet",
    "KubeletPodResourcesListUseActivePods",
    "LocalStorageCapacityIsolationFSQuotaMonitoring",
    "LoggingAlphaOptions",
    "MemoryQoS",
    "NativeHistograms",
    "PodCertificateRequest",
    "PodLevelResourceManagers",
    "PodLogsQuerySplitStreams",
    "PodsAPI",
    "QOSReserved",
    "ReduceDefaultCrashLoopBackOffDecay",
    "ResourceHealthStatus",
    "ResourceHealthStatusMessage",
    "RuntimeClassInImageCriApi",
    "SELinuxChangePolicy",
    "SELinuxMount",
    "SELinuxMountReadWriteOncePod",
    "TaintTolerationComparisonOperators",
    "TopologyManagerPolicyAlphaOptions",
    "TopologyManagerPolicyBetaOptions",
    "TopologyManagerPolicyOptions",
    "UserNamespacesHostNetworkSupport",
];

/// Features that are always enabled.
const ALWAYS: &[&str] = &[
    "ComponentFlagz",
    "ComponentStatusz",
    "ContainerCheckpoint",
    "ContainerRestartRules",
    "EnvFiles",
    "HostnameOverride",
    "ImageMaximumGCAge",
    "ImageVolume",
    "InPlacePodLevelResourcesVerticalScaling",
    "InPlacePodVerticalScaling",
    "InPlacePodVerticalScalingInitContainers",
    "KubeletEnsureSecretPulledImages",
    "KubeletFineGrainedAuthz",
    "KubeletPSI",
    "KubeletSeparateDiskGC",
    "KubeletServiceAccountTokenForCredentialProviders",
    "MutableCSINodeAllocatableCount",
    "NodeDeclaredFeatures",
    "NodeLogQuery",
    "NodeSwap",
    "PodLevelResources",
    "PodLifecycleSleepAction",
    "PodLifecycleSleepActionAllowZero",
    "PodReadyToStartContainersCondition",
    "PreventStaticPodAPIReferences",
    "RecoverVolumeExpansionFailure",
    "RecursiveReadOnlyMounts",
    "ReloadKubeletClientCAFile",
    "ReloadKubeletServerCertificateFile",
    "RestartAllContainersOnContainerExits",
    "SupplementalGroupsPolicy",
    "UserNamespacesSupport",
];

/// Each gate with its stage as `kubernetes_feature_enabled` names it, and whether it is on. A feature that this kubelet
/// does not have is off, one that it always has is on. `effective` is the configuration in force.
pub fn features(effective: &Value) -> Vec<(&'static str, &'static str, bool)> {
    let set = effective.get("featureGates").and_then(Value::as_object).into_iter().flatten();
    let set: BTreeMap<String, bool> = set.filter_map(|(name, on)| Some((name.clone(), on.as_bool()?))).collect();
    let of_group = |group: &'static Group| {
        let stage = match group.stage {
            Stage::Alpha => "ALPHA",
            Stage::Beta => "BETA",
            Stage::Ga => "",
            Stage::Deprecated => "DEPRECATED",
        };
        group.names.split_whitespace().map(move |name| (name, stage))
    };
    let is_on = |name: &str| !is(ABSENT, name) && (is(ALWAYS, name) || enabled(&set, name));
    GROUPS.iter().flat_map(of_group).map(|(name, stage)| (name, stage, is_on(name))).collect()
}

/// Names that set all gates of a stage that are not set themselves.
const ALL: &[(&str, Stage)] = &[("AllAlpha", Stage::Alpha), ("AllBeta", Stage::Beta)];

fn group_of(name: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.names.split_whitespace().any(|known| known == name))
}

/// True if a gate of the kubelet is enabled by the settings.
pub(super) fn enabled(set: &BTreeMap<String, bool>, name: &str) -> bool {
    let Some(group) = group_of(name) else { return false };
    let all = || ALL.iter().find(|(_, stage)| *stage == group.stage).and_then(|(all, _)| set.get(*all)).copied();
    let value = set.get(name).copied().or_else(all);
    if group.locked { group.default } else { value.unwrap_or(group.default) }
}

/// Checks the gates that are set: unknown and locked ones as upstream does (`featuregate.SetFromMap`), and those that
/// request behavior which is not implemented. If that is upstream's own default, it is only reported: files often name
/// gates that became the default long ago.
pub(super) fn check(set: &BTreeMap<String, bool>, findings: &mut Findings) {
    let mut foreign = Vec::new();
    for (name, value) in set {
        if let Some((_, stage)) = ALL.iter().find(|(all, _)| all == name) {
            check_all(name, *value, *stage, set, findings);
            continue;
        }
        let path = format!("featureGates.{name}");
        match group_of(name) {
            None => findings.fault(&path, "unknown feature gate"),
            Some(group) if group.locked && group.default != *value => {
                findings.fault(&path, format!("cannot be {value}: the feature is locked to {}", group.default))
            }
            Some(group) if is(ABSENT, name) => match (*value, group.default) {
                (true, false) => {
                    findings.fault(&path, "this kubelet does not have the feature, so it cannot be enabled")
                }
                (true, true) => findings.warn(&path, "this kubelet does not have the feature; it stays disabled"),
                (false, _) => {}
            },
            Some(_) if is(ALWAYS, name) && !value => {
                findings.fault(&path, "this kubelet always has the feature, so it cannot be disabled")
            }
            Some(_) if is(ALWAYS, name) || is(HONOURED, name) => {}
            Some(_) => foreign.push(name.as_str()),
        }
    }
    if !foreign.is_empty() {
        let text = format!("not used by a kubelet, or only by upstream's Go client; no effect: {}", foreign.join(", "));
        findings.warn("featureGates", text);
    }
    // `defaultKubernetesFeatureGateDependencies`, for gates that can be set here.
    for dependent in ["GracefulNodeShutdownBasedOnPodPriority", "WindowsGracefulNodeShutdown"] {
        if enabled(set, dependent) && !enabled(set, "GracefulNodeShutdown") {
            findings.fault(
                &format!("featureGates.{dependent}"),
                "is enabled, but depends on GracefulNodeShutdown, which is disabled",
            );
        }
    }
}

/// Checks a value for all gates of a stage.
fn check_all(all: &str, value: bool, stage: Stage, set: &BTreeMap<String, bool>, findings: &mut Findings) {
    let (list, what) = match value {
        true => (ABSENT, "enables features that this kubelet does not have"),
        false => (ALWAYS, "disables features that this kubelet always has"),
    };
    let groups = GROUPS.iter().filter(|group| group.stage == stage && !group.locked && group.default != value);
    let names = groups.flat_map(|group| group.names.split_whitespace());
    let odd: Vec<&str> = names.filter(|name| is(list, name) && !set.contains_key(*name)).collect();
    if !odd.is_empty() {
        let text = format!("{what}; remove it, or set these by name: {}", odd.join(", "));
        findings.fault(&format!("featureGates.{all}"), text);
    }
}

/// Gates that have to be documented.
#[cfg(test)]
pub(super) fn documented() -> impl Iterator<Item = &'static str> {
    ABSENT.iter().chain(ALWAYS).copied()
}

fn is(list: &[&str], name: &str) -> bool {
    list.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Findings {
        let pairs = text.split(',').map(|pair| pair.split_once('=').expect("name=value"));
        let set = pairs.map(|(name, value)| (name.to_owned(), value == "true")).collect();
        let mut findings = Findings::default();
        check(&set, &mut findings);
        findings
    }

    #[test]
    fn what_is_shown_of_a_gate_is_what_this_kubelet_does() {
        let shown = features(&serde_json::json!({"featureGates": {"GracefulNodeShutdown": false}}));
        let of = |name: &str| shown.iter().find(|(known, ..)| *known == name).map(|(_, stage, on)| (*stage, *on));
        assert_eq!(of("GracefulNodeShutdown"), Some(("BETA", false)));
        assert_eq!(of(ALWAYS[0]).map(|(_, on)| on), Some(true));
        assert_eq!(of(ABSENT[0]).map(|(_, on)| on), Some(false));
        assert_eq!(of("NoSuchGate"), None);
    }

    #[test]
    fn a_gate_is_in_the_table_once_and_has_one_fate_here() {
        let mut names: Vec<&str> = GROUPS.iter().flat_map(|group| group.names.split_whitespace()).collect();
        let fates: Vec<&str> = [HONOURED, ABSENT, ALWAYS].concat();
        let unknown: Vec<&&str> = fates.iter().filter(|name| !names.contains(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let (gates, mut distinct) = (names.len(), fates.clone());
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), gates, "a gate stands in the table twice");
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), fates.len(), "a gate has two fates");
    }

    #[test]
    fn a_gate_that_asks_for_what_this_kubelet_does_not_do_is_refused_or_told_of() {
        for (set, fault, warning) in [
            ("NoSuchGate=true", "featureGates.NoSuchGate: unknown feature gate", ""),
            ("nodeSwap=true", "unknown feature gate", ""),
            ("NodeSwap=false", "locked to true", ""),
            ("GitRepoVolumeDriver=true", "locked to false", ""),
            ("MemoryQoS=true", "does not have the feature", ""),
            ("MemoryQoS=false", "", ""),
            ("DynamicResourceAllocation=true", "", "it stays disabled"),
            ("ResourceHealthStatus=true", "", "it stays disabled"),
            ("ResourceHealthStatus=false", "", ""),
            ("ContainerCheckpoint=false", "always has the feature", ""),
            ("ContainerCheckpoint=true", "", ""),
            ("KubeletEnsureSecretPulledImages=false", "always has the feature", ""),
            ("GracefulNodeShutdown=false", "depends on GracefulNodeShutdown", ""),
            (
                "GracefulNodeShutdown=false,GracefulNodeShutdownBasedOnPodPriority=false,WindowsGracefulNodeShutdown=false",
                "",
                "",
            ),
            ("APIServerIdentity=false,JobManagedBy=true", "", "no effect: APIServerIdentity, JobManagedBy"),
            ("AllAlpha=true", "AllAlpha: enables features that this kubelet does not have", ""),
            ("AllAlpha=false", "", ""),
            ("AllBeta=false", "AllBeta: disables features that this kubelet always has", ""),
            ("AllBeta=true", "SELinuxMount", ""),
        ] {
            let found = findings(set);
            let (faults, warnings) = (found.faults.join("\n"), found.warnings.join("\n"));
            assert_eq!(faults.is_empty(), fault.is_empty(), "{set}: {faults}");
            assert!(faults.contains(fault), "{set}: {faults}");
            assert_eq!(warnings.is_empty(), warning.is_empty(), "{set}: {warnings}");
            assert!(warnings.contains(warning), "{set}: {warnings}");
        }
    }
}
