//! Resources of a running container as the runtime has them, in the API's units.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Inputs;
use crate::core::model::{Amount, ObservedContainer, RunState};

/// Below this the kernel's values say nothing (`MinMilliCPULimit`, `MinShares` of upstream's cgroup manager).
const MIN_MILLI_LIMIT: i64 = 10;
const MIN_SHARES: i64 = 2;

/// The allocated resources, with CPU and memory as they are in force where the runtime tells.
pub(super) fn in_force(container: &Container, record: &ObservedContainer) -> Option<ResourceRequirements> {
    let mut resources = container.resources.clone().unwrap_or_default();
    let Some(actual) = record.resources.as_ref().filter(|_| record.state == RunState::Running) else {
        return Some(resources);
    };
    if let Some(limits) = resources.limits.as_mut() {
        if actual.cpu_quota > 0 && actual.cpu_period > 0 {
            put_milli(limits, "cpu", actual.cpu_quota * 1000 / actual.cpu_period, MIN_MILLI_LIMIT);
        }
        if actual.memory_limit_in_bytes > 0 {
            put(limits, "memory", Amount::from_units(actual.memory_limit_in_bytes), || {
                actual.memory_limit_in_bytes.to_string()
            });
        }
    }
    if let Some(requests) = resources.requests.as_mut()
        && actual.cpu_shares > 0
    {
        // 1024 shares are one CPU; rounded up, as the way down was cut off.
        let milli = (actual.cpu_shares * 1000 + 1023) / 1024;
        put_milli(requests, "cpu", milli, MIN_SHARES);
    }
    Some(resources)
}

/// Resources of the pod as a whole, where it has some: what is allocated, and what its cgroup has, which is the same
/// unless a resize is under way (upstream `convertToAPIPodLevelResourcesStatus`).
pub(super) fn fill_pod_level(inputs: &Inputs<'_>, status: &mut PodStatus) {
    let Some(allocated) = inputs.pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()) else { return };
    status.allocated_resources.clone_from(&allocated.requests);
    let before = inputs.previous.resources.as_ref().filter(|_| inputs.ledger.resize.in_progress);
    status.resources = Some(before.unwrap_or(allocated).clone());
}

/// Small values stay as they were allocated, and so does text that means the same.
fn put_milli(list: &mut BTreeMap<String, Quantity>, name: &str, milli: i64, min: i64) {
    let allocated = list.get(name).map_or(0, |q| Amount::of(q).milli());
    if milli <= min && allocated <= min {
        return;
    }
    put(list, name, Amount::from_milli(milli), || {
        if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
    });
}

fn put(list: &mut BTreeMap<String, Quantity>, name: &str, amount: Amount, text: impl FnOnce() -> String) {
    if list.get(name).is_some_and(|q| Amount::of(q) == amount) {
        return;
    }
    list.insert(name.to_owned(), Quantity(text()));
}
