//! The feature gates of upstream's kubelet v1.36.3, by stage and default.
//!
//! Source: `pkg/features/kube_features.go` including the gates of apiserver, apiextensions, client-go, component-base
//! and controller-manager that are registered there; the newest entry of each up to version 1.36.

use Stage::{Alpha, Beta, Deprecated, Ga};

/// Maturity of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Alpha: disabled by default.
    Alpha,
    /// Beta: usually enabled by default.
    Beta,
    /// Generally available, usually locked.
    Ga,
    /// Deprecated: will be removed upstream.
    Deprecated,
}

/// Gates with the same stage and default.
pub(super) struct Group {
    pub stage: Stage,
    /// Their value unless set.
    pub default: bool,
    /// True if other values than the default are rejected.
    pub locked: bool,
    /// Their names, separated by white space.
    pub names: &'static str,
}

/// All groups of gates.
pub(super) const GROUPS: &[Group] = &[
    Group {
        stage: Alpha,
        default: false,
        locked: false,
        names: "APIServingWithRoutine AllowUnsafeMalformedObjectDeletion CBORServingAndStorage \
                CPUManagerPolicyAlphaOptions CRIListStreaming CSIVolumeHealth ClientsAllowCBOR ClientsPreferCBOR \
                CloudControllerManagerWatchBasedRoutesReconciliation CloudControllerManagerWebhook ContainerStopSignals \
                ControllerManagerReleaseLeaderElectionLockOnExit CrossNamespaceVolumeDataSource DRAListTypeAttributes \
                DRANodeAllocatableResources DRAResourcePoolStatus DRAWorkloadResourceClaims EventedPLEG GangScheduling \
                GenericWorkload HPAScaleToZero ImageVolumeWithDigest InPlacePodVerticalScalingExclusiveCPUs \
                InPlacePodVerticalScalingExclusiveMemory KubeletInUserNamespace LoggingAlphaOptions \
                ManifestBasedAdmissionControlConfig MemoryQoS MutablePVNodeAffinity NativeHistograms \
                PersistentVolumeClaimUnusedSinceTime PodAndContainerStatsFromCRI PodLevelResourceManagers \
                PodLogsQuerySplitStreams PodsAPI QOSReserved ReduceDefaultCrashLoopBackOffDecay \
                RuntimeClassInImageCriApi ShardedListAndWatch StorageCapacityScoring StorageVersionAPI \
                TaintTolerationComparisonOperators TopologyAwareWorkloadScheduling TopologyManagerPolicyAlphaOptions \
                UserNamespacesHostNetworkSupport VolumeLimitScaling WindowsCPUAndMemoryAffinity WorkloadAwarePreemption \
                WorkloadWithJob",
    },
    Group {
        stage: Beta,
        default: false,
        locked: false,
        names: "ClusterTrustBundle ClusterTrustBundleProjection ConcurrentWatchObjectDecode CoordinatedLeaderElection \
                DRADeviceTaintRules LocalStorageCapacityIsolationFSQuotaMonitoring MaxUnavailableStatefulSet \
                PodCertificateRequest SELinuxMount SchedulerAsyncAPICalls StorageVersionMigrator",
    },
    Group {
        stage: Beta,
        default: true,
        locked: false,
        names: "APIResponseCompression APIServerIdentity AllowParsingUserUIDFromCertAuth AtomicFIFO \
                AuthorizePodWebsocketUpgradeCreatePermission CPUManagerPolicyBetaOptions CRDObservedGenerationTracking \
                ClearingNominatedNodeNameAfterBinding ClientsAllowCARotation ClientsAllowTLSCacheGC ComponentFlagz \
                ComponentStatusz ConstrainedImpersonation ContainerCheckpoint ContainerRestartRules ContextualLogging \
                DRAConsumableCapacity DRADeviceBindingConditions DRADeviceTaints DRAExtendedResource \
                DRAPartitionableDevices DRAResourceClaimDeviceStatus DRAResourceClaimGranularStatusAuthorization \
                DRASchedulerFilterTimeout DeclarativeValidationBeta DeploymentReplicaSetTerminatingReplicas \
                DetectCacheInconsistency EnvFiles ExtendWebSocketsToKubelet GracefulNodeShutdown \
                GracefulNodeShutdownBasedOnPodPriority HPAConfigurableTolerance HostnameOverride \
                InOrderInformersBatchProcess InPlacePodLevelResourcesVerticalScaling \
                InPlacePodVerticalScalingInitContainers KubeletCrashLoopBackOffMax KubeletEnsureSecretPulledImages \
                KubeletSeparateDiskGC KubeletServiceAccountTokenForCredentialProviders ListFromCacheSnapshot \
                LoggingBetaOptions MatchLabelKeysInPodTopologySpread MatchLabelKeysInPodTopologySpreadSelectorMerge \
                MutablePodResourcesForSuspendedJobs MutableSchedulingDirectivesForSuspendedJobs NodeDeclaredFeatures \
                NominatedNodeNameForExpectation OpenAPIEnums OpportunisticBatching PLEGOnDemandRelist PodDeletionCost \
                PodLevelResources PodReadyToStartContainersCondition PodTopologyLabelsAdmission PortForwardWebsockets \
                PreventStaticPodAPIReferences RelaxedServiceNameValidation ReloadKubeletClientCAFile \
                ReloadKubeletServerCertificateFile RemoteRequestHeaderUID ResourceHealthStatus \
                ResourceHealthStatusMessage RestartAllContainersOnContainerExits RotateKubeletServerCertificate \
                SchedulerAsyncPreemption SchedulerPopFromBackoffQ ServiceAccountNodeAudienceRestriction \
                SizeBasedListCostEstimate StaleControllerConsistencyDaemonSet StaleControllerConsistencyJob \
                StaleControllerConsistencyReplicaSet StaleControllerConsistencyStatefulSet \
                StatefulSetSemanticRevisionComparison StorageVersionHash StrictIPCIDRValidation \
                StructuredAuthenticationConfigurationEgressSelector StructuredAuthenticationConfigurationJWKSMetrics \
                TokenRequestServiceAccountUIDValidation TopologyManagerPolicyBetaOptions \
                TranslateStreamCloseWebsocketRequests UnauthenticatedHTTP2DOSMitigation \
                UnknownVersionInteroperabilityProxy UnlockWhileProcessingFIFO WatchCacheInitializationPostStartHook \
                WatchList WatchListClient WindowsGracefulNodeShutdown",
    },
    Group { stage: Ga, default: false, locked: true, names: "SeparateCacheWatchRPC" },
    Group {
        stage: Ga,
        default: true,
        locked: false,
        names: "AllowServiceExternalIPs CustomCPUCFSQuotaPeriod DRAPrioritizedList InformerResourceVersion \
                MutatingAdmissionPolicy",
    },
    Group {
        stage: Ga,
        default: true,
        locked: true,
        names: "APIServerTracing AnonymousAuthConfigurableEndpoints AnyVolumeDataSource AuthorizeNodeWithSelectors \
                AuthorizeWithSelectors BtreeWatchCache CPUManagerPolicyOptions CRDValidationRatcheting \
                CSIServiceAccountTokenSecrets ConsistentListFromCache CustomResourceFieldSelectors DRAAdminAccess \
                DeclarativeValidation DisableAllocatorDualWrite DynamicResourceAllocation ExecProbeTimeout \
                ExternalServiceAccountTokenSigner ImageMaximumGCAge ImageVolume InOrderInformers \
                InPlacePodVerticalScaling JobBackoffLimitPerIndex JobManagedBy JobPodReplacementPolicy JobSuccessPolicy \
                KubeletCgroupDriverFromCRI KubeletFineGrainedAuthz KubeletPSI KubeletPodResourcesDynamicResources \
                KubeletPodResourcesGet KubeletTracing LogarithmicScaleDown MatchLabelKeysInPodAffinity \
                MultiCIDRServiceAllocator MutableCSINodeAllocatableCount NFTablesProxyMode \
                NodeInclusionPolicyInPodTopologySpread NodeLogQuery NodeSwap OrderedNamespaceDeletion \
                PodLifecycleSleepAction PodLifecycleSleepActionAllowZero PodObservedGenerationTracking \
                PodSchedulingReadiness PreferSameTrafficDistribution ProcMountType RecoverVolumeExpansionFailure \
                RecursiveReadOnlyMounts RelaxedDNSSearchValidation RelaxedEnvironmentVariableValidation \
                ResilientWatchCacheInitialization RetryGenerateName SELinuxChangePolicy SELinuxMountReadWriteOncePod \
                SchedulerQueueingHints SeparateTaintEvictionController ServiceAccountTokenJTI \
                ServiceAccountTokenNodeBinding ServiceAccountTokenNodeBindingValidation ServiceAccountTokenPodNodeInfo \
                SidecarContainers StreamingCollectionEncodingToJSON StreamingCollectionEncodingToProtobuf \
                StructuredAuthenticationConfiguration SupplementalGroupsPolicy TopologyManagerPolicyOptions \
                UserNamespacesSupport VolumeAttributesClass WinDSR WinOverlay",
    },
    Group {
        stage: Deprecated,
        default: false,
        locked: false,
        names: "AllowDNSOnlyNodeCSR AllowInsecureKubeletCertificateSigningRequests ChangeContainerStatusOnKubeletRestart \
                DeclarativeValidationTakeover KMSv1 KubeletRegistrationGetOnExistsOnly WindowsHostNetwork",
    },
    Group {
        stage: Deprecated,
        default: false,
        locked: true,
        names: "AllowOverwriteTerminationGracePeriodSeconds GitRepoVolumeDriver",
    },
    Group {
        stage: Deprecated,
        default: true,
        locked: false,
        names: "DisableCPUQuotaWithExclusiveCPUs KubeletPodResourcesListUseActivePods ServiceCIDRStatusFieldWiping \
                StorageNamespaceIndex",
    },
    Group {
        stage: Deprecated,
        default: true,
        locked: true,
        names: "AggregatedDiscoveryRemoveBetaType DisableNodeKubeProxyVersion",
    },
];
