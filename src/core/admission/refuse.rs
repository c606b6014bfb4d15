//! Rejections that preemption cannot resolve.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::affinity::tolerates_no_schedule;
use super::facts::NodeFacts;
use crate::core::model::words::unknown_words;
use crate::core::model::{QosClass, Rejection, containers_of, qos_class};

/// Longest message, in bytes: it becomes part of the pod's status, and the API server rejects objects that are too
/// large.
const MAX_MESSAGE: usize = 4096;

fn refusal(reason: &str, message: impl Into<String>) -> Option<Rejection> {
    let message = message.into();
    let kept = message.get(..message.floor_char_boundary(MAX_MESSAGE)).unwrap_or_default();
    Some(Rejection { reason: reason.into(), message: kept.to_owned() })
}

/// A node under pressure accepts only critical pods; under memory pressure also pods that request memory.
pub(super) fn by_pressure(pod: &Pod, critical: bool, node: &NodeFacts) -> Option<Rejection> {
    let conditions = node.pressure.conditions();
    if conditions.is_empty() || critical {
        return None;
    }
    if conditions == ["MemoryPressure"]
        && (qos_class(pod) != QosClass::BestEffort || tolerates_no_schedule(pod, "node.kubernetes.io/memory-pressure"))
    {
        return None;
    }
    refusal("Evicted", format!("The node had condition: [{}]. ", conditions.join(" ")))
}

/// Most containers of a pod, of all kinds. Each change of a pod compares its containers with each other: with this many
/// it takes milliseconds, with the five thousand that fit into an API object it would take seconds.
pub const MAX_CONTAINERS: usize = 1000;

/// The pod without its ephemeral containers beyond the limit; `None` if none is beyond. They are added to running pods,
/// which must not be terminated for that.
pub fn without_surplus(pod: &Pod) -> Option<Pod> {
    let spec = pod.spec.as_ref()?;
    let fixed = spec.containers.len().saturating_add(spec.init_containers.as_ref().map_or(0, Vec::len));
    let room = MAX_CONTAINERS.saturating_sub(fixed);
    spec.ephemeral_containers.as_ref().filter(|ephemeral| ephemeral.len() > room)?;
    let mut pod = pod.clone();
    pod.spec.iter_mut().flat_map(|spec| &mut spec.ephemeral_containers).for_each(|ephemeral| ephemeral.truncate(room));
    Some(pod)
}

/// Most volumes of a pod, and most mounts of all its containers: setting up a volume iterates over all mounts.
const MAX_VOLUMES: usize = 1000;
const MAX_MOUNTS: usize = 10_000;

/// Rejects a pod whose size alone would stall the kubelet.
pub(super) fn by_size(pod: &Pod) -> Option<Rejection> {
    let spec = pod.spec.as_ref()?;
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let mounts = containers().map(|c| c.volume_mounts.as_ref().map_or(0, Vec::len)).fold(0, usize::saturating_add);
    let sizes = [
        ("TooManyContainers", "containers", containers().count(), MAX_CONTAINERS),
        ("TooManyVolumes", "volumes", spec.volumes.as_ref().map_or(0, Vec::len), MAX_VOLUMES),
        ("TooManyVolumeMounts", "volume mounts", mounts, MAX_MOUNTS),
    ];
    let (reason, what, count, most) = sizes.into_iter().find(|(_, _, count, most)| count > most)?;
    refusal(reason, format!("Pod has {count} {what}, and this node takes at most {most} of one pod"))
}

pub(super) fn by_sysctls(pod: &Pod, node: &NodeFacts) -> Option<Rejection> {
    let spec = pod.spec.as_ref()?;
    for sysctl in spec.security_context.iter().flat_map(|c| c.sysctls.iter().flatten()) {
        let name = with_dots(&sysctl.name);
        let allowed = node.safe_sysctls.contains(&name.as_str())
            || node.unsafe_sysctls.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(&with_dots(prefix)),
                None => name == with_dots(pattern),
            });
        if !allowed {
            return refusal("SysctlForbidden", format!("forbidden sysctl: \"{name}\" not allowlisted"));
        }
        let ipc = name.starts_with("kernel.") || name.starts_with("fs.mqueue.");
        let namespace = match (ipc, spec.host_ipc, spec.host_network) {
            (true, Some(true), _) => "ipc",
            (false, _, Some(true)) => "net",
            _ => continue,
        };
        let message = format!("forbidden sysctl: \"{name}\" not allowed with host {namespace} enabled");
        return refusal("SysctlForbidden", message);
    }
    None
}

/// `net/ipv4/conf/eth0.1/x` is an alternative spelling of `net.ipv4.conf.eth0/1.x`.
fn with_dots(name: &str) -> String {
    if name.chars().find(|c| matches!(c, '.' | '/')) != Some('/') {
        return name.to_owned();
    }
    name.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
}

/// Rejects enum values that this kubelet does not know. Running pods are left alone: the kubelet that started them knew
/// the values.
pub(super) fn by_words(pod: &Pod) -> Option<Rejection> {
    let words: Vec<String> = unknown_words(pod).iter().map(ToString::to_string).collect();
    let refused = !words.is_empty() && is_pending(pod);
    refused.then(|| refusal("UnsupportedPodSpec", words.join("; "))).flatten()
}

/// Rejects pods with resource claims, which this kubelet cannot prepare. Pods that already run have their devices.
pub(super) fn by_claims(pod: &Pod) -> Option<Rejection> {
    let claims =
        pod.spec.iter().flat_map(|spec| spec.resource_claims.iter().flatten()).map(|claim| claim.name.as_str());
    // Extended resources that the scheduler allocated by a special claim (KEP-5004).
    let extended = pod.status.iter().filter_map(|status| status.extended_resource_claim_status.as_ref());
    let names: Vec<&str> = claims.chain(extended.map(|claim| claim.resource_claim_name.as_str())).collect();
    let refused = !names.is_empty() && is_pending(pod);
    let message = format!("Pod needs the resource claims {}, and this kubelet prepares none", names.join(", "));
    refused.then(|| refusal("ResourceClaimsNotSupported", message)).flatten()
}

fn is_pending(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).is_none_or(|phase| phase == "Pending")
}

/// Rejects pods for another operating system, and group policies that the runtime does not support.
pub(super) fn by_system(pod: &Pod, node: &NodeFacts) -> Option<Rejection> {
    let label = pod.metadata.labels.as_ref().and_then(|l| l.get("kubernetes.io/os"));
    if label.is_some_and(|os| os != "linux") {
        let message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return refusal("PodOSSelectorNodeLabelDoesNotMatch", message);
    }
    let spec = pod.spec.as_ref()?;
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        return refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS");
    }
    let policy = spec.security_context.as_ref().and_then(|c| c.supplemental_groups_policy.as_deref());
    if policy == Some("Strict") && !node.strict_groups {
        let message = "SupplementalGroupsPolicy=Strict is not supported in this node";
        return refusal("SupplementalGroupsPolicyNotSupported", message);
    }
    None
}

pub(super) fn by_apparmor(pod: &Pod, node: &NodeFacts) -> Option<Rejection> {
    if !is_pending(pod) {
        return None;
    }
    let profiles: Vec<Profile> =
        containers_of(pod).iter().filter_map(|(_, c)| profile_of(pod, c)).filter(|p| p.kind != "Unconfined").collect();
    if profiles.is_empty() {
        return None;
    }
    if !node.apparmor {
        return refusal("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host");
    }
    let nameless = profiles.iter().any(|p| p.kind == "Localhost" && p.name.trim().is_empty());
    nameless.then(|| refusal("AppArmor", "Cannot enforce AppArmor: invalid empty AppArmor profile name")).flatten()
}

struct Profile {
    kind: String,
    name: String,
}

fn profile_of(pod: &Pod, container: &Container) -> Option<Profile> {
    let own = container.security_context.as_ref().and_then(|c| c.app_armor_profile.as_ref());
    let pods = pod.spec.as_ref().and_then(|s| s.security_context.as_ref()).and_then(|c| c.app_armor_profile.as_ref());
    let of_field = |p: &k8s_openapi::api::core::v1::AppArmorProfile| Profile {
        kind: p.type_.clone(),
        name: p.localhost_profile.clone().unwrap_or_default(),
    };
    let annotation = || {
        let key = format!("container.apparmor.security.beta.kubernetes.io/{}", container.name);
        let text = pod.metadata.annotations.as_ref()?.get(&key)?;
        let (kind, name) = match text.as_str() {
            "" => return None,
            "unconfined" => ("Unconfined", ""),
            "runtime/default" => ("RuntimeDefault", ""),
            other => ("Localhost", other.strip_prefix("localhost/")?),
        };
        Some(Profile { kind: kind.into(), name: name.into() })
    };
    own.map(of_field).or_else(annotation).or_else(|| pods.map(of_field))
}

/// The one declared feature that a pod may need from the start (upstream `component-helpers/nodedeclaredfeatures`).
pub(super) fn by_features(pod: &Pod, node: &NodeFacts) -> Option<Rejection> {
    const RESTART_ALL: &str = "RestartAllContainersOnContainerExits";
    let needed = containers_of(pod)
        .iter()
        .flat_map(|(_, c)| c.restart_policy_rules.iter().flatten())
        .any(|rule| rule.action == "RestartAllContainers");
    if !needed || node.features.contains(RESTART_ALL) {
        return None;
    }
    refusal("PodFeatureUnsupported", format!("Pod requires node features that are not available: {RESTART_ALL}"))
}

pub(super) fn by_shutdown(node: &NodeFacts) -> Option<Rejection> {
    node.shutting_down.then(|| refusal("NodeShutdown", "Pod was rejected as the node is shutting down.")).flatten()
}
