//! Which pods are preempted for a critical one (upstream `pkg/kubelet/preemption`): lower quality-of-service classes
//! first, as few pods as possible, and small ones before large ones.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::fit::{Shortage, counted};
use crate::core::model::totals::pod_requests;
use crate::core::model::{QosClass, is_critical, priority_of, qos_class};

/// Amounts that still have to be freed, by resource.
type Missing = Vec<(String, i64)>;

/// Pods whose termination frees enough; `None` if no choice would.
pub(super) fn choose(pod: &Pod, active: &[Arc<Pod>], shortages: &[Shortage]) -> Option<Vec<Arc<Pod>>> {
    let missing: Missing = shortages.iter().map(|s| (s.resource.clone(), s.missing())).collect();
    let of_class = |class: QosClass| -> Vec<Arc<Pod>> {
        active.iter().filter(|p| may_preempt(pod, p) && qos_class(p) == class).cloned().collect()
    };
    let best_effort = of_class(QosClass::BestEffort);
    let burstable = of_class(QosClass::Burstable);
    let guaranteed = of_class(QosClass::Guaranteed);
    // Higher classes contribute only what lower classes could not free completely.
    let lesser = [best_effort.clone(), burstable.clone()].concat();
    let from_guaranteed = nearest(guaranteed, without(&missing, &lesser))?;
    let rest = [best_effort.clone(), from_guaranteed.clone()].concat();
    let from_burstable = nearest(burstable, without(&missing, &rest))?;
    let rest = [from_burstable.clone(), from_guaranteed.clone()].concat();
    let from_best_effort = nearest(best_effort, without(&missing, &rest))?;
    Some([from_best_effort, from_burstable, from_guaranteed].concat())
}

fn may_preempt(preemptor: &Pod, other: &Pod) -> bool {
    if !is_critical(other) {
        return true;
    }
    let has_priority = |p: &Pod| p.spec.as_ref().is_some_and(|s| s.priority.is_some());
    has_priority(preemptor) && has_priority(other) && priority_of(preemptor) > priority_of(other)
}

/// What terminating a pod frees of a resource; each pod frees one place of `pods`.
fn freed(pod: &Pod, resource: &str) -> i64 {
    if resource == "pods" { 1 } else { counted(resource, &pod_requests(pod, true)) }
}

fn without(missing: &Missing, pods: &[Arc<Pod>]) -> Missing {
    let left = |resource: &str, amount: i64| {
        pods.iter().fold(amount, |left: i64, pod| left.saturating_sub(freed(pod, resource)))
    };
    let rest = missing.iter().map(|(resource, amount)| (resource.clone(), left(resource, *amount)));
    rest.filter(|(_, amount)| *amount > 0).collect()
}

/// Greedily takes the pod that leaves the least missing.
fn nearest(mut pods: Vec<Arc<Pod>>, mut missing: Missing) -> Option<Vec<Arc<Pod>>> {
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let size = |pod: &Pod| (freed(pod, "memory"), freed(pod, "cpu"));
        let (index, _) = pods.iter().enumerate().min_by(|(_, a), (_, b)| {
            distance(&missing, a).total_cmp(&distance(&missing, b)).then_with(|| size(a).cmp(&size(b)))
        })?;
        let pod = pods.swap_remove(index);
        missing = without(&missing, std::slice::from_ref(&pod));
        chosen.push(pod);
    }
    Some(chosen)
}

/// Sum of the squared fractions of each amount that would still be missing.
#[allow(clippy::cast_precision_loss, reason = "a ratio; the last bits do not matter")]
fn distance(missing: &Missing, pod: &Pod) -> f64 {
    let open = |(resource, amount): &(String, i64)| {
        let left = amount.saturating_sub(freed(pod, resource)).max(0) as f64;
        (left / *amount as f64).powi(2)
    };
    missing.iter().map(open).fold(0.0, |sum, part| sum + part)
}
