//! Whether a pod may run on this node (docs/contract.md, kubelet 1.3; upstream `pkg/kubelet/lifecycle/predicate.go` and
//! others).
//!
//! [`decide`] checks in upstream's order and returns the first rejection: node pressure, unknown enum values, sysctls,
//! predicates with preemption by critical pods, AppArmor, features, shutdown.

mod affinity;
mod facts;
mod fit;
mod preempt;
mod refuse;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::core::model::{Rejection, Verdict, is_critical, uid_of};
pub use facts::{NodeFacts, Pressure};
use fit::Shortage;
pub use refuse::without_surplus;

/// Decides about one pod; `active` are the other pods that hold resources.
pub fn decide(pod: &Pod, is_static: bool, active: &[Arc<Pod>], node: &NodeFacts) -> Verdict {
    let critical = is_static || is_critical(pod);
    let early = refuse::by_pressure(pod, critical, node)
        .or_else(|| refuse::by_size(pod))
        .or_else(|| refuse::by_words(pod))
        .or_else(|| refuse::by_claims(pod))
        .or_else(|| refuse::by_sysctls(pod, node))
        .or_else(|| refuse::by_system(pod, node));
    if let Some(rejection) = early {
        return Verdict::Reject(rejection);
    }
    let shortages = fit::shortages(pod, active, node);
    let mismatch = fit::mismatch(pod, is_static, active, node);
    if critical && mismatch.is_none() && !shortages.is_empty() {
        return match preempt::choose(pod, active, &shortages) {
            Some(victims) => Verdict::Preempt {
                victims: victims.iter().map(|victim| uid_of(victim)).collect(),
                resource: shortages.first().map(|shortage| shortage.resource.clone()).unwrap_or_default(),
            },
            None => Verdict::Reject(hopeless(&shortages)),
        };
    }
    // A critical pod is not rejected for lack of resources if there is another reason.
    let shortage = shortages.first().filter(|_| !critical).map(Shortage::rejection);
    let late = shortage
        .or(mismatch)
        .or_else(|| refuse::by_apparmor(pod, node))
        .or_else(|| refuse::by_features(pod, node))
        .or_else(|| refuse::by_shutdown(node));
    late.map_or(Verdict::Admit, Verdict::Reject)
}

fn hopeless(shortages: &[Shortage]) -> Rejection {
    let list: String = shortages.iter().map(|s| format!("(res: {}, q: {}), ", s.resource, s.missing())).collect();
    Rejection {
        reason: "UnexpectedAdmissionError".into(),
        message: format!(
            "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of \
             pods to preempt: no set of running pods found to reclaim resources: [{list}]"
        ),
    }
}

#[cfg(test)]
mod tests;
