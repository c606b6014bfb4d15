//! In-place resize (KEP-1287): compares wanted, allocated and actual resources.
//!
//! Allocated resources are those of the pod that the worker runs; what the spec wants beyond that waits for admission.
//! Actual resources are read from the runtime's status, so nothing has to be stored.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::action::Action;
use crate::core::model::{Amount, ContainerId, Observed, RunState, containers_of};
use crate::core::render::{DeviceGrant, NodeContext, resources::container_resources, resources::may_swap};
use crate::cri;

/// State of a resize; reported as pod conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resize {
    /// Why the wanted resources are not allocated; `None` if they are.
    pub pending: Option<Pending>,
    /// True while the allocated resources are not in force.
    pub in_progress: bool,
    /// Why they could not be put in force; `None` if nothing failed.
    pub error: Option<String>,
    /// Containers that have to be restarted for it.
    pub restart: Vec<ContainerId>,
}

/// Resources that are wanted but not allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// They do not fit now; retried with every change of the node's pods. The message says why.
    Deferred(String),
    /// This pod can never get them while it runs on this node. The message says why.
    Infeasible(String),
}

impl Pending {
    /// `reason` of the condition `PodResizePending`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Deferred(_) => "Deferred",
            Self::Infeasible(_) => "Infeasible",
        }
    }

    /// `reason` of the event.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Deferred(_) => "ResizeDeferred",
            Self::Infeasible(_) => "ResizeInfeasible",
        }
    }

    /// Message of the condition and the event.
    pub fn message(&self) -> &str {
        match self {
            Self::Deferred(message) | Self::Infeasible(message) => message,
        }
    }
}

/// Why the wanted resources can never be applied in place: a container's share of swap depends on its memory request,
/// and is only set when it starts (upstream `pkg/kubelet/allocation/handlers.go`).
pub fn infeasible(node: &NodeContext, wanted: &Pod, allocated: &Pod) -> Option<Pending> {
    let request = |c: &Container| amounts(c.resources.as_ref())[3];
    let held: BTreeMap<&str, &Container> = containers(allocated).map(|c| (c.name.as_str(), c)).collect();
    let swaps = containers(wanted).any(|new| {
        held.get(new.name.as_str()).is_some_and(|old| {
            request(new) != request(old)
                && !restarts_for(old, "memory")
                && (may_swap(node, wanted, new) || may_swap(node, allocated, old))
        })
    });
    swaps.then(|| Pending::Infeasible("In-place resize of containers with swap is not supported.".to_owned()))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.spec.iter().flat_map(|s| s.init_containers.iter().flatten().chain(&s.containers))
}

fn containers_mut(pod: &mut Pod) -> impl Iterator<Item = &mut Container> {
    pod.spec.iter_mut().flat_map(|s| s.init_containers.iter_mut().flatten().chain(&mut s.containers))
}

const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// Amounts of CPU and memory, limits before requests; equal amounts in different spellings are equal.
fn amounts(resources: Option<&ResourceRequirements>) -> [Option<Amount>; 4] {
    let of = |list: Option<&BTreeMap<String, Quantity>>, name: &str| list?.get(name).map(Amount::of);
    let (limits, requests) = (resources.and_then(|r| r.limits.as_ref()), resources.and_then(|r| r.requests.as_ref()));
    let [cpu, memory] = RESOURCES;
    [of(limits, cpu), of(requests, cpu), of(limits, memory), of(requests, memory)]
}

/// True if the two differ in CPU or memory of a container or of the pod.
pub fn resources_differ(a: &Pod, b: &Pod) -> bool {
    let pod_level = |p: &Pod| amounts(p.spec.as_ref().and_then(|s| s.resources.as_ref()));
    let list = |p: &Pod| containers(p).map(|c| amounts(c.resources.as_ref())).collect::<Vec<_>>();
    pod_level(a) != pod_level(b) || list(a) != list(b)
}

/// How the requested CPU and memory of containers changed: resource, `requests` or `limits`, and `add`, `remove`,
/// `increase` or `decrease` (upstream `recordContainerResizeOperations`).
pub fn requested_changes(old: &Pod, new: &Pod) -> Vec<[&'static str; 3]> {
    const ORDER: [(&str, &str); 4] =
        [("cpu", "limits"), ("cpu", "requests"), ("memory", "limits"), ("memory", "requests")];
    let before: BTreeMap<&str, _> = containers(old).map(|c| (c.name.as_str(), amounts(c.resources.as_ref()))).collect();
    let mut found = Vec::new();
    for container in containers(new) {
        let Some(old) = before.get(container.name.as_str()) else { continue };
        let new = amounts(container.resources.as_ref());
        for (((resource, requirement), old), new) in ORDER.into_iter().zip(old).zip(new) {
            let operation = match (old, new) {
                (None, Some(_)) => "add",
                (Some(_), None) => "remove",
                (Some(old), Some(new)) if new > *old => "increase",
                (Some(old), Some(new)) if new < *old => "decrease",
                _ => continue,
            };
            found.push([resource, requirement, operation]);
        }
    }
    found
}

/// The wanted pod with the resources that are allocated to it.
pub fn with_resources_of(wanted: &Pod, allocated: &Pod) -> Pod {
    let mut pod = wanted.clone();
    if let (Some(spec), Some(from)) = (pod.spec.as_mut(), allocated.spec.as_ref()) {
        spec.resources.clone_from(&from.resources);
    }
    let held: BTreeMap<&str, _> = containers(allocated).map(|c| (c.name.as_str(), &c.resources)).collect();
    for container in containers_mut(&mut pod) {
        if let Some(resources) = held.get(container.name.as_str()) {
            container.resources.clone_from(resources);
        }
    }
    pod
}

/// The pod with the resources that its API status shows as allocated; used after a restart of the kubelet.
pub fn with_resources_of_status(pod: &Pod) -> Pod {
    let mut held = pod.clone();
    let Some(status) = pod.status.as_ref() else { return held };
    let lists = [&status.init_container_statuses, &status.container_statuses];
    for container in containers_mut(&mut held) {
        let mut all = lists.iter().flat_map(|list| list.iter().flatten());
        let Some(said) = all.find(|s| s.name == container.name) else { continue };
        let (Some(requests), Some(wanted)) = (&said.allocated_resources, container.resources.as_mut()) else {
            continue;
        };
        for name in RESOURCES {
            take(&mut wanted.requests, Some(requests), name);
            take(&mut wanted.limits, said.resources.as_ref().and_then(|r| r.limits.as_ref()), name);
        }
    }
    // The status includes the overhead, so with one the spec's own part cannot be derived.
    let spec = held.spec.as_mut().filter(|spec| spec.overhead.is_none());
    if let (Some(requests), Some(wanted)) = (&status.allocated_resources, spec.and_then(|spec| spec.resources.as_mut()))
    {
        for name in RESOURCES {
            take(&mut wanted.requests, Some(requests), name);
            take(&mut wanted.limits, status.resources.as_ref().and_then(|r| r.limits.as_ref()), name);
        }
    }
    // For equal amounts the spec's spelling is kept.
    if resources_differ(pod, &held) { held } else { pod.clone() }
}

fn take(to: &mut Option<BTreeMap<String, Quantity>>, from: Option<&BTreeMap<String, Quantity>>, name: &str) {
    if let (Some(to), Some(quantity)) = (to.as_mut(), from.and_then(|from| from.get(name)))
        && to.contains_key(name)
    {
        to.insert(name.to_owned(), quantity.clone());
    }
}

/// For each container the larger value of both: the size of the pod's cgroup while its containers are resized.
pub fn larger_of(a: &Pod, b: &Pod) -> Pod {
    let mut pod = b.clone();
    let before: BTreeMap<&str, &Container> = containers(a).map(|c| (c.name.as_str(), c)).collect();
    for container in containers_mut(&mut pod) {
        let old = before.get(container.name.as_str()).and_then(|c| c.resources.clone()).unwrap_or_default();
        let new = container.resources.get_or_insert_default();
        // No limit is the largest limit, no request the smallest request.
        new.limits = larger(old.limits, new.limits.take(), false);
        new.requests = larger(old.requests, new.requests.take(), true);
    }
    if let (Some(spec), Some(old)) = (pod.spec.as_mut(), a.spec.as_ref().and_then(|s| s.resources.clone())) {
        let new = spec.resources.get_or_insert_default();
        new.limits = larger(old.limits, new.limits.take(), false);
        new.requests = larger(old.requests, new.requests.take(), true);
    }
    pod
}

type List = Option<BTreeMap<String, Quantity>>;

fn larger(a: List, b: List, keep_single: bool) -> List {
    let (mut a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
    let mut all = BTreeMap::new();
    for (name, quantity) in b {
        match a.remove(&name) {
            Some(other) if Amount::of(&other) > Amount::of(&quantity) => all.insert(name, other),
            Some(_) => all.insert(name, quantity),
            None if keep_single => all.insert(name, quantity),
            None => None,
        };
    }
    if keep_single {
        all.extend(a);
    }
    Some(all)
}

/// True if the container's `resizePolicy` requires a restart for this resource.
fn restarts_for(container: &Container, resource: &str) -> bool {
    let mut policies = container.resize_policy.iter().flatten();
    policies.any(|p| p.resource_name == resource && p.restart_policy == "RestartContainer")
}

/// Running containers whose `resizePolicy` requires a restart for this change.
pub fn restarts(from: &Pod, to: &Pod, observed: &Observed) -> Vec<ContainerId> {
    let before: BTreeMap<&str, _> =
        containers(from).map(|c| (c.name.as_str(), amounts(c.resources.as_ref()))).collect();
    let asks = |container: &&Container| {
        let Some(old) = before.get(container.name.as_str()) else { return false };
        let new = amounts(container.resources.as_ref());
        let changed = [old[..2] != new[..2], old[2..] != new[2..]];
        RESOURCES.iter().zip(changed).any(|(name, changed)| changed && restarts_for(container, name))
    };
    let running =
        |c: &Container| observed.container(&c.name).filter(|r| r.state == RunState::Running).map(|r| r.id.clone());
    containers(to).filter(asks).filter_map(running).collect()
}

/// The rest of a resize.
#[derive(Clone, Debug, PartialEq)]
pub enum Rest {
    /// Nothing for now: there is none, or containers have to be restarted first.
    Waits,
    /// The resize is complete.
    Done,
    /// These actions have to be executed.
    Actions(Vec<Action>),
}

/// What remains of the resize; `from` is the pod before it, until the pod's own size was applied.
pub fn plan_rest(resize: &Resize, node: &NodeContext, pod: &Pod, from: Option<&Pod>, observed: &Observed) -> Rest {
    let running = |id| observed.by_id(id).is_some_and(|r| r.state == RunState::Running);
    if !resize.in_progress || resize.restart.iter().any(running) {
        return Rest::Waits;
    }
    let grant = DeviceGrant::default();
    let specs = containers_of(pod);
    let wanted = specs.iter().map(|(_, c)| (c.name.clone(), container_resources(node, pod, c, &grant))).collect();
    let actions = plan_resize(pod, from, observed, &wanted);
    // The pod's own size is applied at least once; after that an empty rest means completion.
    let only_pod = !actions.iter().any(|a| matches!(a, Action::Update { .. }));
    if only_pod && from.is_none() { Rest::Done } else { Rest::Actions(actions) }
}

/// Text of the events `ResizeStarted` and `ResizeCompleted`: the new resources as upstream prints them.
pub fn resize_text(pod: &Pod) -> String {
    let list: Vec<_> = containers(pod)
        .map(|c| serde_json::json!({"name": c.name, "resources": c.resources.clone().unwrap_or_default()}))
        .collect();
    let generation = pod.metadata.generation.unwrap_or_default();
    serde_json::json!({"containers": list, "generation": generation}).to_string()
}

/// The actions that put the allocated resources in force. `wanted` are the runtime's values by container name, `from`
/// the pod before the resize if known. Empty if everything is in force.
pub fn plan_resize(
    pod: &Pod,
    from: Option<&Pod>,
    observed: &Observed,
    wanted: &BTreeMap<String, cri::LinuxContainerResources>,
) -> Vec<Action> {
    let mut updates = Vec::new();
    for container in containers(pod) {
        let Some(record) = observed.container(&container.name).filter(|r| r.state == RunState::Running) else {
            continue;
        };
        let Some(want) = wanted.get(&container.name) else { continue };
        let is_in_force = match &record.resources {
            Some(have) => in_force(want, have),
            // A runtime that does not report them (containerd 1.6) is told once.
            None => from.is_none(),
        };
        if is_in_force {
            continue;
        }
        let have = record.resources.clone().unwrap_or_default();
        let grows = want.memory_limit_in_bytes > have.memory_limit_in_bytes || want.cpu_quota > have.cpu_quota;
        let update = Action::Update {
            id: record.id.clone(),
            name: container.name.clone(),
            resources: Box::new(want.clone()),
            shrinks_memory: want.memory_limit_in_bytes > 0
                && (have.memory_limit_in_bytes == 0 || want.memory_limit_in_bytes < have.memory_limit_in_bytes),
        };
        updates.push((grows, update));
    }
    // Shrinking containers come first, so that the sum stays within the pod's limit.
    updates.sort_by_key(|(grows, _)| *grows);
    let larger = from.map_or_else(|| pod.clone(), |from| larger_of(from, pod));
    let mut actions = vec![Action::SizePod(Box::new(larger))];
    actions.extend(updates.into_iter().map(|(_, update)| update));
    actions.push(Action::SizePod(Box::new(pod.clone())));
    actions
}

/// True if the runtime has these values.
fn in_force(want: &cri::LinuxContainerResources, have: &cri::LinuxContainerResources) -> bool {
    let unlimited = |quota: i64| if quota <= 0 { 0 } else { quota };
    want.cpu_shares == have.cpu_shares
        && unlimited(want.cpu_quota) == unlimited(have.cpu_quota)
        && want.memory_limit_in_bytes == have.memory_limit_in_bytes
}
