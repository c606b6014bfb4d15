//! Names and limits of pod cgroups (docs/contract.md, kubelet 3.4; upstream `pkg/kubelet/cm`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use super::totals::{QosClass, limit_declared, pod_limits, pod_requests, qos_class};
use super::{Amount, PodUid};

/// Lowest number of CPU shares that the kernel accepts.
pub const MIN_SHARES: u64 = 2;
/// Highest number of CPU shares that the kernel accepts.
pub const MAX_SHARES: u64 = 262_144;
const MIN_QUOTA: i64 = 1_000;

/// A cgroup by its components below the root, e.g. `["kubepods", "burstable", "pod<uid>"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupName(Vec<String>);

impl CgroupName {
    /// The parent cgroup of all pods; `root` is the setting `cgroupRoot`, `/` or empty for the top.
    pub fn kubepods(root: &str) -> Self {
        let parts = root.split('/').filter(|p| !p.is_empty()).map(|p| p.trim_end_matches(".slice").to_owned());
        Self(parts.chain(["kubepods".to_owned()]).collect())
    }

    /// An existing cgroup by its path: of plain directories, or of slices (the last of which contains all names).
    pub fn named(path: &str, slices: bool) -> Self {
        let mut parts = path.split('/').filter(|p| !p.is_empty());
        let parts: Vec<String> = match slices {
            true => {
                let last = parts.next_back().unwrap_or_default();
                last.trim_end_matches(".slice").split('-').map(str::to_owned).collect()
            }
            false => parts.map(str::to_owned).collect(),
        };
        Self(parts)
    }

    /// The cgroup of a quality-of-service class; Guaranteed pods are directly below kubepods.
    pub fn class(root: &str, class: QosClass) -> Self {
        match class {
            QosClass::Guaranteed => Self::kubepods(root),
            QosClass::Burstable => Self::kubepods(root).child("burstable"),
            QosClass::BestEffort => Self::kubepods(root).child("besteffort"),
        }
    }

    /// The cgroup of a pod.
    pub fn pod(root: &str, class: QosClass, uid: &PodUid) -> Self {
        Self::class(root, class).child(&format!("pod{uid}"))
    }

    fn child(mut self, part: &str) -> Self {
        self.0.push(part.to_owned());
        self
    }

    /// The path with the cgroupfs driver: `/kubepods/burstable/pod<uid>`.
    pub fn cgroupfs_path(&self) -> String {
        format!("/{}", self.0.join("/"))
    }

    /// The path with the systemd driver: `/kubepods.slice/kubepods-burstable.slice/…`.
    pub fn systemd_path(&self) -> String {
        (1..=self.0.len()).filter_map(|n| Some(format!("/{}", slice_name(self.0.get(..n)?)))).collect()
    }

    /// The slice's unit name: `kubepods-burstable-pod<uid with _>.slice`.
    pub fn slice(&self) -> String {
        slice_name(&self.0)
    }
}

/// A dash separates levels for systemd, so dashes inside a component become underscores.
fn slice_name(parts: &[String]) -> String {
    let escaped: Vec<String> = parts.iter().map(|p| p.replace('-', "_")).collect();
    format!("{}.slice", escaped.join("-"))
}

/// The pod uid in a cgroup directory name of either driver; `None` for other names.
pub fn pod_uid_of_dir(name: &str) -> Option<PodUid> {
    let uid = match name.strip_suffix(".slice") {
        Some(slice) => {
            let (parents, own) = slice.rsplit_once('-')?;
            parents.split('-').find(|part| *part == "kubepods")?;
            own.strip_prefix("pod")?.replace('_', "-")
        }
        None => name.strip_prefix("pod")?.to_owned(),
    };
    (!uid.is_empty()).then(|| PodUid::from(uid))
}

/// Limits of a cgroup; a limit of `None` is left unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    /// CPU shares on cgroup v1's scale, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU time per period; -1 for no limit.
    pub cpu_quota: Option<i64>,
    /// Length of the period in microseconds.
    pub cpu_period: Option<u64>,
    /// Memory limit in bytes.
    pub memory: Option<i64>,
    /// Limit of processes; -1 for no limit.
    pub pids: Option<i64>,
    /// Limits of huge pages in bytes, by page size in bytes.
    pub huge_pages: BTreeMap<u64, u64>,
}

impl CgroupLimits {
    /// The limits with the CPU quota rounded up to whole percents of a processor, the resolution of systemd. A runtime
    /// that uses systemd writes rounded values for containers, and the pod's quota must not be smaller.
    pub fn in_whole_percents(&self) -> Self {
        let step = i64::try_from(self.cpu_period.unwrap_or(100_000) / 100).unwrap_or(i64::MAX).max(1);
        let up = |quota: i64| match quota.checked_rem(step) {
            Some(beyond) if quota > 0 && beyond > 0 => quota.saturating_add(step.saturating_sub(beyond)),
            _ => quota,
        };
        Self { cpu_quota: self.cpu_quota.map(up), ..self.clone() }
    }
}

/// Settings that affect pod cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupSettings {
    /// KubeletConfiguration's `cpuCFSQuota`: enforce CPU limits.
    pub cpu_cfs_quota: bool,
    /// KubeletConfiguration's `cpuCFSQuotaPeriod`, in microseconds.
    pub cpu_period: u64,
    /// KubeletConfiguration's `podPidsLimit`; -1 for no limit.
    pub pod_pids_limit: i64,
}

impl Default for CgroupSettings {
    fn default() -> Self {
        Self { cpu_cfs_quota: true, cpu_period: 100_000, pod_pids_limit: -1 }
    }
}

/// Limits of a pod's cgroup (`ResourceConfigForPod`).
pub fn pod_cgroup_limits(pod: &Pod, settings: CgroupSettings) -> CgroupLimits {
    let requests = pod_requests(pod, true);
    let limits = pod_limits(pod, true);
    let of = |list: &BTreeMap<String, Amount>, name: &str| list.get(name).copied().unwrap_or_default();
    let shares = shares_of_milli_cpu(of(&requests, "cpu").milli());
    let quota = match settings.cpu_cfs_quota {
        true => quota_of_milli_cpu(of(&limits, "cpu").milli(), settings.cpu_period.cast_signed()),
        false => -1,
    };
    let memory = of(&limits, "memory").units();
    let class = qos_class(pod);
    let limited = |resource| match class {
        QosClass::Guaranteed => true,
        QosClass::Burstable => limit_declared(pod, resource),
        QosClass::BestEffort => false,
    };
    CgroupLimits {
        cpu_shares: Some(if class == QosClass::BestEffort { MIN_SHARES } else { shares }),
        cpu_quota: limited("cpu").then_some(quota),
        cpu_period: limited("cpu").then_some(settings.cpu_period),
        memory: limited("memory").then_some(memory),
        pids: (settings.pod_pids_limit > 0).then_some(settings.pod_pids_limit),
        huge_pages: requests
            .iter()
            .filter_map(|(name, a)| Some((huge_page_size(name)?, a.units().unsigned_abs())))
            .collect(),
    }
}

/// Page size in bytes of a resource such as `hugepages-2Mi`; `None` for other resources.
pub fn huge_page_size(resource: &str) -> Option<u64> {
    let size = Amount::parse(resource.strip_prefix("hugepages-")?)?.units();
    u64::try_from(size).ok().filter(|size| *size > 0)
}

/// CPU shares for a request in millicores.
pub fn shares_of_milli_cpu(milli: i64) -> u64 {
    let shares = u64::try_from(milli).unwrap_or(0).saturating_mul(1024) / 1000;
    shares.clamp(MIN_SHARES, MAX_SHARES)
}

/// CPU quota in microseconds for a limit in millicores; 0 for no limit.
pub fn quota_of_milli_cpu(milli: i64, period: i64) -> i64 {
    if milli == 0 { 0 } else { (milli.saturating_mul(period) / 1000).max(MIN_QUOTA) }
}

/// The cgroup v2 weight for CPU shares, converted as upstream does for pod and class cgroups.
pub fn weight_of_shares(shares: u64) -> u64 {
    let above = shares.clamp(MIN_SHARES, MAX_SHARES).saturating_sub(MIN_SHARES);
    (above.saturating_mul(9999) / 262_142).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_by_systemd_are_whole_percents() {
        let quota = |quota, period| CgroupLimits { cpu_quota: Some(quota), cpu_period: period, ..Default::default() };
        let rounded = |limits: CgroupLimits| limits.in_whole_percents().cpu_quota;
        assert_eq!(rounded(quota(3_500, Some(100_000))), Some(4_000));
        assert_eq!(rounded(quota(4_000, None)), Some(4_000));
        assert_eq!(rounded(quota(120, Some(10_000))), Some(200));
        assert_eq!(rounded(quota(-1, None)), Some(-1));
        assert_eq!(rounded(CgroupLimits::default()), None);
    }

    #[test]
    fn names_of_both_drivers_follow_upstream() {
        let uid = PodUid::from("0a1b-2c3d");
        let name = CgroupName::pod("/", QosClass::Burstable, &uid);
        assert_eq!(name.cgroupfs_path(), "/kubepods/burstable/pod0a1b-2c3d");
        assert_eq!(name.slice(), "kubepods-burstable-pod0a1b_2c3d.slice");
        assert_eq!(
            name.systemd_path(),
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b_2c3d.slice"
        );
        assert_eq!(CgroupName::pod("/", QosClass::Guaranteed, &uid).slice(), "kubepods-pod0a1b_2c3d.slice");
        assert_eq!(CgroupName::kubepods("/a/b").cgroupfs_path(), "/a/b/kubepods");
    }

    #[test]
    fn uids_are_read_back_from_directories() {
        let uid = Some(PodUid::from("0a1b-2c3d"));
        for name in [
            "kubepods-burstable-pod0a1b_2c3d.slice",
            "kubepods-pod0a1b_2c3d.slice",
            "a-kubepods-pod0a1b_2c3d.slice",
            "pod0a1b-2c3d",
        ] {
            assert_eq!(pod_uid_of_dir(name), uid, "{name}");
        }
        for name in ["kubepods-burstable.slice", "kubepods.slice", "cri-containerd-1.scope", "pod", "system.slice"] {
            assert_eq!(pod_uid_of_dir(name), None, "{name}");
        }
    }

    #[test]
    fn cpu_values_stay_within_what_the_kernel_takes() {
        assert_eq!([0, 1, 500, 1000, i64::MAX].map(shares_of_milli_cpu), [2, 2, 512, 1024, MAX_SHARES]);
        assert_eq!([0, 1, 500].map(|m| quota_of_milli_cpu(m, 100_000)), [0, 1000, 50_000]);
        assert_eq!([2, 1024, MAX_SHARES].map(weight_of_shares), [1, 39, 10_000]);
    }

    #[test]
    fn burstable_pods_are_limited_only_where_all_containers_are() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {"containers": [
            {"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1Mi"}, "requests": {"cpu": "100m"}}},
            {"name": "b", "resources": {"limits": {"memory": "1Mi"}}}]}}))
        .expect("a pod");
        let limits = pod_cgroup_limits(&pod, CgroupSettings { pod_pids_limit: 100, ..CgroupSettings::default() });
        assert_eq!((limits.cpu_shares, limits.cpu_quota, limits.memory), (Some(102), None, Some(2 << 20)));
        assert_eq!(limits.pids, Some(100));
    }
}
