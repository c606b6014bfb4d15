//! Feature gates: which values upstream's kubelet allows in the claimed version, and which are implemented here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::findings::Findings;
use crate::core::model::Release;
use crate::core::model::release::{GateState, Stage};

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
    "AtomicWriteVolumeUserFields",
    "CPUManagerPolicyAlphaOptions",
    "CPUManagerPolicyBetaOptions",
    "CPUManagerPolicyOptions",
    "CRIListStreaming",
    "CSIVolumeHealth",
    "ClusterTrustBundleProjection",
    "ContainerStopSignals",
    "DRAConsumableCapacity",
    "DRAExtendedResource",
    "DRAOptionalNodeOperations",
    "DRAWorkloadResourceClaims",
    "DefaultPodSysctls",
    "DisableCPUQuotaWithExclusiveCPUs",
    "DynamicResourceAllocation",
    "EmptyDirVolumeMode",
    "ExtendWebSocketsToKubelet",
    "GRPCContainerProbeTLS",
    "GitRepoVolumeDriver",
    "H2CContainerProbe",
    "HugepageAwareEviction",
    "ImageVolumeWithDigest",
    "InPlacePodVerticalScalingExclusiveCPUs",
    "InPlacePodVerticalScalingExclusiveMemory",
    "InPlacePodVerticalScalingMemoryBackedVolumes",
    "KubeletAllocatedPodsEndpoint",
    "KubeletInUserNamespace",
    "KubeletPodResourcesDynamicResources",
    "KubeletPodResourcesGet",
    "KubeletPodResourcesListUseActivePods",
    "LocalStorageCapacityIsolationFSQuotaMonitoring",
    "LoggingAlphaOptions",
    "MemoryQoS",
    "NativeHistograms",
    "NodeLifecycleConditions",
    "PodCertificateRequest",
    "PodLevelResourceManagers",
    "PodLevelResourcesFixKubeletQOSClass",
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
    "VolumeBindMountOptions",
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
    "SidecarContainers",
    "SupplementalGroupsPolicy",
    "SystemdWatchdog",
    "UserNamespacesSupport",
];

/// Each gate of a version with its stage as `kubernetes_feature_enabled` names it, and whether it is on. A feature that
/// this kubelet does not have is off, one that it always has is on. `effective` is the configuration in force.
pub fn features(release: &'static Release, effective: &Value) -> Vec<(&'static str, &'static str, bool)> {
    let set = effective.get("featureGates").and_then(Value::as_object).into_iter().flatten();
    let set: BTreeMap<String, bool> = set.filter_map(|(name, on)| Some((name.clone(), on.as_bool()?))).collect();
    let gates = Gates { release, set };
    let stage = |state: GateState| match state.stage {
        Stage::Alpha => "ALPHA",
        Stage::Beta => "BETA",
        Stage::Ga => "",
        Stage::Deprecated => "DEPRECATED",
    };
    let is_on = |name: &str| !is(ABSENT, name) && (is(ALWAYS, name) || gates.enabled(name));
    release.gates().map(|(name, state)| (name, stage(state), is_on(name))).collect()
}

/// Names that set all gates of a stage that are not set themselves.
const ALL: &[(&str, Stage)] = &[("AllAlpha", Stage::Alpha), ("AllBeta", Stage::Beta)];

/// Gates as they are set, and the version whose table they are read by.
pub(super) struct Gates {
    pub release: &'static Release,
    /// Value of each gate that is set, by name.
    pub set: BTreeMap<String, bool>,
}

impl Gates {
    /// True if a gate of the kubelet is enabled by the settings. A feature that the version no longer has a gate for is
    /// permanent.
    pub fn enabled(&self, name: &str) -> bool {
        let Some(state) = self.release.gate(name) else { return self.release.has_outlived(name) };
        let all =
            || ALL.iter().find(|(_, stage)| *stage == state.stage).and_then(|(all, _)| self.set.get(*all)).copied();
        let value = self.set.get(name).copied().or_else(all);
        if state.locked { state.default } else { value.unwrap_or(state.default) }
    }

    /// Checks the gates that are set: unknown and locked ones as upstream does (`featuregate.SetFromMap`), and those that
    /// request behavior which is not implemented. A locked value that upstream accepts without effect is only reported.
    pub fn check(&self, findings: &mut Findings) {
        let mut foreign = Vec::new();
        for (name, value) in &self.set {
            if let Some((_, stage)) = ALL.iter().find(|(all, _)| all == name) {
                self.check_all(name, *value, *stage, findings);
                continue;
            }
            let path = format!("featureGates.{name}");
            match self.release.gate(name) {
                None => findings.fault(&path, format!("{} ({})", self.release.why_no_gate(name), self.release.name())),
                Some(state) if state.locked && state.default != *value => {
                    findings.fault(&path, format!("cannot be {value}: the feature is locked to {}", state.default))
                }
                Some(state) if is(ABSENT, name) => match (*value, state.locked) {
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
            let text =
                format!("not used by a kubelet, or only by upstream's Go client; no effect: {}", foreign.join(", "));
            findings.warn("featureGates", text);
        }
        // `defaultKubernetesFeatureGateDependencies`, for gates that can be set here.
        for dependent in ["GracefulNodeShutdownBasedOnPodPriority", "WindowsGracefulNodeShutdown"] {
            if self.enabled(dependent) && !self.enabled("GracefulNodeShutdown") {
                findings.fault(
                    &format!("featureGates.{dependent}"),
                    "is enabled, but depends on GracefulNodeShutdown, which is disabled",
                );
            }
        }
    }

    /// Checks a value for all gates of a stage.
    fn check_all(&self, all: &str, value: bool, stage: Stage, findings: &mut Findings) {
        let (list, what) = match value {
            true => (ABSENT, "enables features that this kubelet does not have"),
            false => (ALWAYS, "disables features that this kubelet always has"),
        };
        let gates =
            self.release.gates().filter(|(_, state)| state.stage == stage && !state.locked && state.default != value);
        let names = gates.map(|(name, _)| name);
        let odd: Vec<&str> = names.filter(|name| is(list, name) && !self.set.contains_key(*name)).collect();
        if !odd.is_empty() {
            let text = format!("{what}; remove it, or set these by name: {}", odd.join(", "));
            findings.fault(&format!("featureGates.{all}"), text);
        }
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

    fn findings(release: &'static Release, text: &str) -> Findings {
        let pairs = text.split(',').map(|pair| pair.split_once('=').expect("name=value"));
        let set = pairs.map(|(name, value)| (name.to_owned(), value == "true")).collect();
        let mut findings = Findings::default();
        Gates { release, set }.check(&mut findings);
        findings
    }

    #[test]
    fn what_is_shown_of_a_gate_is_what_this_kubelet_does() {
        let shown = features(Release::newest(), &serde_json::json!({"featureGates": {"GracefulNodeShutdown": false}}));
        let of = |name: &str| shown.iter().find(|(known, ..)| *known == name).map(|(_, stage, on)| (*stage, *on));
        assert_eq!(of("GracefulNodeShutdown"), Some(("BETA", false)));
        assert_eq!(of(ALWAYS[0]).map(|(_, on)| on), Some(true));
        assert_eq!(of(ABSENT[0]).map(|(_, on)| on), Some(false));
        assert_eq!(of("NoSuchGate"), None);
    }

    #[test]
    fn a_gate_has_one_fate_here_and_exists_in_a_supported_version() {
        let fates: Vec<&str> = [HONOURED, ABSENT, ALWAYS].concat();
        let exists = |name: &str| Release::all().iter().any(|release| release.gate(name).is_some());
        let unknown: Vec<&&str> = fates.iter().filter(|name| !exists(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let mut distinct = fates.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), fates.len(), "a gate has two fates");
    }

    #[test]
    fn a_gate_that_asks_for_what_this_kubelet_does_not_do_is_refused_or_told_of() {
        let older = Release::all()[1];
        for (set, fault, warning) in [
            ("NoSuchGate=true", "featureGates.NoSuchGate: unknown feature gate", ""),
            ("nodeSwap=true", "unknown feature gate", ""),
            ("NodeSwap=false", "locked to true", ""),
            ("GitRepoVolumeDriver=true", "locked to false", ""),
            ("MemoryQoS=true", "does not have the feature", ""),
            ("MemoryQoS=false", "", ""),
            ("DynamicResourceAllocation=true", "", "it stays disabled"),
            ("ResourceHealthStatus=true", "does not have the feature, so it cannot be enabled", ""),
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
            let found = findings(older, set);
            let (faults, warnings) = (found.faults.join("\n"), found.warnings.join("\n"));
            assert_eq!(faults.is_empty(), fault.is_empty(), "{set}: {faults}");
            assert!(faults.contains(fault), "{set}: {faults}");
            assert_eq!(warnings.is_empty(), warning.is_empty(), "{set}: {warnings}");
            assert!(warnings.contains(warning), "{set}: {warnings}");
        }
    }

    #[test]
    fn a_gate_is_judged_by_the_version_that_is_claimed() {
        let [v35, v36, v37] = Release::all();
        for (release, set, fault) in [
            (v35, "PreventStaticPodAPIReferences=true", ""),
            (v36, "PreventStaticPodAPIReferences=true", ""),
            (v37, "PreventStaticPodAPIReferences=true", "unknown feature gate: removed in v1.37 (v1.37)"),
            (v36, "DefaultPodSysctls=false", "unknown feature gate: it comes with v1.37 (v1.36)"),
            (v37, "DefaultPodSysctls=false", ""),
            (v37, "DefaultPodSysctls=true", "this kubelet does not have the feature"),
            (v36, "NodeDeclaredFeatures=false", "always has the feature"),
            (v37, "NodeDeclaredFeatures=false", "cannot be false: the feature is locked to true"),
            (v36, "MemoryQoS=false", ""),
            (v37, "MemoryQoS=true", "this kubelet does not have the feature"),
            (v37, "DisableCPUQuotaWithExclusiveCPUs=false", "locked to true"),
        ] {
            let faults = findings(release, set).faults.join("\n");
            assert_eq!(faults.is_empty(), fault.is_empty(), "{set} in {release:?}: {faults}");
            assert!(faults.contains(fault), "{set} in {release:?}: {faults}");
        }
    }

    #[test]
    fn a_feature_without_a_gate_any_more_is_on_and_one_without_a_gate_yet_is_off() {
        let gates = |release| Gates { release, set: BTreeMap::new() };
        assert!(gates(Release::newest()).enabled("SidecarContainers"));
        assert!(!gates(Release::oldest()).enabled("HugepageAwareEviction"));
        assert!(!gates(Release::newest()).enabled("NoSuchGate"));
    }
}
