//! From requests and limits to the runtime's settings of a container (upstream `kuberuntime_container_linux.go`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::{DeviceGrant, NodeContext};
use crate::core::model::cgroup::{huge_page_size, quota_of_milli_cpu, shares_of_milli_cpu};
use crate::core::model::totals::{
    QosClass, container_limit, container_request, has_pod_level_resources, pod_level_limit, pod_level_request,
    pod_limits, pod_requests, qos_class,
};
use crate::core::model::{Amount, is_critical};
use crate::cri;

/// The runtime's resources of a container.
pub fn container_resources(
    node: &NodeContext,
    pod: &Pod,
    container: &Container,
    grant: &DeviceGrant,
) -> cri::LinuxContainerResources {
    let limit = |name: &str| {
        let own = container_limit(container, name).filter(|a| !a.is_zero());
        own.or_else(|| pod_level_limit(pod, name)).unwrap_or_default()
    };
    let request = container_request(container, "cpu");
    let mut resources = linux_resources(node, request, limit("cpu"), limit("memory"), grant.exclusive_cpus);
    resources.oom_score_adj = oom_score_adj(pod, container, node.memory_capacity);
    resources.hugepage_limits = huge_pages(node, pod, container);
    resources.cpuset_cpus.clone_from(&grant.cpuset_cpus);
    resources.cpuset_mems.clone_from(&grant.cpuset_mems);
    set_swap(node, pod, container, &mut resources);
    resources
}

/// Total resources of a pod for its sandbox, without overhead.
pub fn sandbox_resources(node: &NodeContext, pod: &Pod) -> cri::LinuxContainerResources {
    let (requests, limits) = (pod_requests(pod, false), pod_limits(pod, false));
    let limit = |name: &str| limits.get(name).copied().unwrap_or_default();
    linux_resources(node, requests.get("cpu").copied(), limit("cpu"), limit("memory"), false)
}

/// The pod's overhead for its sandbox.
pub fn overhead_resources(node: &NodeContext, pod: &Pod) -> cri::LinuxContainerResources {
    let Some(overhead) = pod.spec.as_ref().and_then(|s| s.overhead.as_ref()) else {
        return cri::LinuxContainerResources::default();
    };
    let of = |name: &str| overhead.get(name).map(Amount::of).unwrap_or_default();
    linux_resources(node, Some(of("cpu")), of("cpu"), of("memory"), false)
}

fn linux_resources(
    node: &NodeContext,
    cpu_request: Option<Amount>,
    cpu_limit: Amount,
    memory_limit: Amount,
    exclusive_cpus: bool,
) -> cri::LinuxContainerResources {
    let mut resources = cri::LinuxContainerResources {
        cpu_shares: shares_of_milli_cpu(cpu_request.unwrap_or(cpu_limit).milli()).cast_signed(),
        memory_limit_in_bytes: memory_limit.units(),
        ..cri::LinuxContainerResources::default()
    };
    if node.cpu_cfs_quota {
        let period = node.cpu_cfs_quota_period;
        resources.cpu_period = period;
        resources.cpu_quota = if exclusive_cpus { -1 } else { quota_of_milli_cpu(cpu_limit.milli(), period) };
    }
    if node.cgroup_v2 && !node.single_process_oom_kill {
        // The OOM killer kills all processes of the container together.
        resources.unified.insert("memory.oom.group".to_owned(), "1".to_owned());
    }
    resources
}

/// Zero for every page size of the machine that neither container nor pod limits.
fn huge_pages(node: &NodeContext, pod: &Pod, container: &Container) -> Vec<cri::HugepageLimit> {
    let mut wanted: BTreeMap<u64, u64> = BTreeMap::new();
    let pod_limits = pod.spec.as_ref().and_then(|s| s.resources.as_ref()).and_then(|r| r.limits.as_ref());
    let own_limits = container.resources.as_ref().and_then(|r| r.limits.as_ref());
    for (name, quantity) in pod_limits.into_iter().chain(own_limits).flatten() {
        if let Some(size) = huge_page_size(name) {
            wanted.insert(size, Amount::of(quantity).units().unsigned_abs());
        }
    }
    let limit = |name: &String| {
        let size = hugetlb_size(name).and_then(|size| wanted.get(&size)).copied();
        cri::HugepageLimit { page_size: name.clone(), limit: size.unwrap_or(0) }
    };
    node.huge_page_sizes.iter().map(limit).collect()
}

/// Bytes of the hugetlb controller's name for a page size: `2MB`, `1GB`, `64KB`.
fn hugetlb_size(name: &str) -> Option<u64> {
    let (number, shift) = match name.len().checked_sub(2).and_then(|at| name.split_at_checked(at))? {
        (number, "KB") => (number, 10),
        (number, "MB") => (number, 20),
        (number, "GB") => (number, 30),
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_shl(shift)
}

/// True if the container may use the node's swap (KEP-2400: `LimitedSwap`).
pub fn may_swap(node: &NodeContext, pod: &Pod, container: &Container) -> bool {
    let request = container_request(container, "memory").unwrap_or_default();
    let limit = container_limit(container, "memory").unwrap_or_default();
    node.limited_swap
        && node.swap_controller
        && node.cgroup_v2
        && !is_critical(pod)
        && qos_class(pod) == QosClass::Burstable
        && !(request.is_zero() && limit.is_zero())
        && request != limit
}

fn set_swap(node: &NodeContext, pod: &Pod, container: &Container, resources: &mut cri::LinuxContainerResources) {
    if !node.swap_controller {
        return;
    }
    if !node.cgroup_v2 {
        // The limit of memory and swap together: equal to the memory limit means no swap.
        resources.memory_swap_limit_in_bytes = resources.memory_limit_in_bytes;
        return;
    }
    let request = container_request(container, "memory").unwrap_or_default();
    let request = u128::try_from(request.units()).unwrap_or(0);
    let share = match may_swap(node, pod, container)
        && node.memory_capacity > 0
        && request <= u128::from(node.memory_capacity)
    {
        true => request.saturating_mul(node.swap_capacity.into()).checked_div(node.memory_capacity.into()).unwrap_or(0),
        false => 0,
    };
    resources.unified.insert("memory.swap.max".to_owned(), share.to_string());
}

/// `oom_score_adj`: how likely the kernel kills the container when the node runs out of memory (upstream
/// `pkg/kubelet/qos`).
fn oom_score_adj(pod: &Pod, container: &Container, capacity: u64) -> i64 {
    const GUARANTEED: i64 = -997;
    const BEST_EFFORT: i64 = 1000;
    const NODE_CRITICAL: i32 = 2_000_001_000;
    let spec = pod.spec.as_ref();
    let node_critical = spec.is_some_and(|s| {
        s.priority_class_name.as_deref() == Some("system-node-critical") || s.priority == Some(NODE_CRITICAL)
    });
    match qos_class(pod) {
        _ if node_critical => return GUARANTEED,
        QosClass::Guaranteed => return GUARANTEED,
        QosClass::BestEffort => return BEST_EFFORT,
        QosClass::Burstable => {}
    }
    let capacity = i64::try_from(capacity).unwrap_or(i64::MAX).max(1);
    let request_of = |c: &Container| container_request(c, "memory").unwrap_or_default().units();
    let shared = shared_request(pod);
    let score = |request: i64| {
        let thousandths = i128::from(request).saturating_mul(1000).checked_div(capacity.into()).unwrap_or(0);
        1000_i64.saturating_sub(i64::try_from(thousandths.clamp(-1000, 10_000)).unwrap_or(0))
    };
    let mut adj = score(request_of(container).saturating_add(shared));
    let init = spec.and_then(|s| s.init_containers.as_deref()).unwrap_or_default();
    let sidecar =
        container.restart_policy.as_deref() == Some("Always") && init.iter().any(|c| c.name == container.name);
    if sidecar {
        let least = spec.and_then(|s| s.containers.iter().map(request_of).min()).unwrap_or(0);
        adj = adj.min(score(least.saturating_add(shared)));
    }
    adj.clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
}

/// Each container's share of the part of a pod-level memory request that no container requests itself.
fn shared_request(pod: &Pod) -> i64 {
    let Some(total) = pod_level_request(pod, "memory").filter(|_| has_pod_level_resources(pod)) else { return 0 };
    let Some(spec) = &pod.spec else { return 0 };
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let all: Vec<_> = spec.containers.iter().chain(sidecars).collect();
    let asked = all.iter().filter_map(|c| container_request(c, "memory")).fold(Amount::ZERO, Amount::saturating_add);
    let count = i64::try_from(all.len().max(1)).unwrap_or(1);
    total.saturating_sub(asked).units().checked_div(count).unwrap_or(0).max(0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({ "spec": json })).expect("a pod")
    }

    fn node() -> NodeContext {
        NodeContext {
            memory_capacity: 4 << 30,
            huge_page_sizes: vec!["2MB".into(), "1GB".into()],
            ..NodeContext::defaults(Path::new("/k"))
        }
    }

    fn first(pod: &Pod, node: &NodeContext) -> cri::LinuxContainerResources {
        container_resources(node, pod, &pod.spec.as_ref().expect("spec").containers[0], &DeviceGrant::default())
    }

    #[test]
    fn limits_become_quota_memory_and_huge_pages() {
        let p = pod(serde_json::json!({"containers": [{"name": "a", "resources": {
            "limits": {"cpu": "500m", "memory": "64Mi", "hugepages-2Mi": "4Mi"}, "requests": {"cpu": "250m"}}}]}));
        let r = first(&p, &node());
        assert_eq!(
            (r.cpu_shares, r.cpu_quota, r.cpu_period, r.memory_limit_in_bytes),
            (256, 50_000, 100_000, 64 << 20)
        );
        let pages: Vec<_> = r.hugepage_limits.iter().map(|h| (h.page_size.as_str(), h.limit)).collect();
        assert_eq!(pages, [("2MB", 4 << 20), ("1GB", 0)]);
        assert_eq!(r.unified.get("memory.oom.group").map(String::as_str), Some("1"));
    }

    #[test]
    fn shares_come_from_the_limit_when_nothing_is_requested() {
        let p = pod(serde_json::json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}));
        assert_eq!(first(&p, &node()).cpu_shares, 1024);
        let p = pod(serde_json::json!({"containers": [{"name": "a"}]}));
        let r = first(&p, &node());
        assert_eq!((r.cpu_shares, r.cpu_quota, r.oom_score_adj), (2, 0, 1000));
    }

    #[test]
    fn oom_scores_rank_the_classes() {
        let with = |resources: serde_json::Value| {
            first(&pod(serde_json::json!({"containers": [{"name": "a", "resources": resources}]})), &node())
                .oom_score_adj
        };
        assert_eq!(with(serde_json::json!({"requests": {"memory": "1Gi"}})), 750);
        assert_eq!(with(serde_json::json!({"requests": {"memory": "1"}})), 999);
        assert_eq!(with(serde_json::json!({"requests": {"memory": "8Gi"}})), 3);
        let both = serde_json::json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(with(serde_json::json!({"requests": both, "limits": both})), -997);
    }

    #[test]
    fn burstable_containers_get_their_share_of_swap() {
        let node = NodeContext { swap_controller: true, limited_swap: true, swap_capacity: 1 << 30, ..node() };
        let swap = |resources: serde_json::Value| {
            let p = pod(serde_json::json!({"containers": [{"name": "a", "resources": resources}]}));
            first(&p, &node).unified["memory.swap.max"].clone()
        };
        assert_eq!(swap(serde_json::json!({"requests": {"memory": "1Gi"}})), (256u64 << 20).to_string());
        assert_eq!(swap(serde_json::json!({})), "0");
    }
}
