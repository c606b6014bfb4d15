//! Resources of a running container according to the runtime, in the API's units.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::inputs::Inputs;
use crate::core::model::totals::{Amounts, limit_declared, pod_limits, pod_requests};
use crate::core::model::{Amount, ObservedContainer, RunState};

/// Below these values the kernel's settings are not meaningful (`MinMilliCPULimit`, `MinShares` of upstream's cgroup
/// manager).
const MIN_MILLI_LIMIT: i64 = 10;
const MIN_SHARES: i64 = 2;

/// The allocated resources, with CPU and memory replaced by the runtime's values if it reports them.
pub(super) fn in_force(container: &Container, record: &ObservedContainer) -> Option<ResourceRequirements> {
    let mut resources = container.resources.clone().unwrap_or_default();
    let Some(actual) = record.resources.as_ref().filter(|_| record.state == RunState::Running) else {
        return Some(resources);
    };
    if let Some(limits) = resources.limits.as_mut() {
        if actual.cpu_quota > 0 && actual.cpu_period > 0 {
            let milli = actual.cpu_quota.saturating_mul(1000).checked_div(actual.cpu_period).unwrap_or(0);
            put_milli(limits, "cpu", milli, MIN_MILLI_LIMIT);
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
        // 1024 shares are one CPU; rounded up, because the conversion to shares truncates.
        let milli = actual.cpu_shares.saturating_mul(1000).saturating_add(1023) / 1024;
        put_milli(requests, "cpu", milli, MIN_SHARES);
    }
    Some(resources)
}

/// Resources of the pod as a whole: the allocated ones, and those of its cgroup, which are the same except during a
/// resize (upstream `convertToAPIPodLevelResourcesStatus`). Pods without pod-level resources report the sum.
pub(super) fn fill_pod_level(inputs: &Inputs<'_>, status: &mut PodStatus) {
    let pod = inputs.pod;
    let requests = quantities(pod_requests(pod, true));
    let mut limits = pod_limits(pod, true);
    limits.retain(|name, _| limit_declared(pod, name));
    status.allocated_resources.clone_from(&requests);
    let before = inputs.previous.resources.clone().filter(|_| inputs.ledger.resize.in_progress);
    let limits = quantities(limits);
    let any = requests.is_some() || limits.is_some();
    status.resources =
        before.or_else(|| any.then(|| ResourceRequirements { requests, limits, ..ResourceRequirements::default() }));
}

fn quantities(amounts: Amounts) -> Option<BTreeMap<String, Quantity>> {
    let text = |amount: Amount| match amount.milli() % 1000 {
        0 => amount.units().to_string(),
        _ => format!("{}m", amount.milli()),
    };
    let all: BTreeMap<_, _> = amounts.into_iter().map(|(name, amount)| (name, Quantity(text(amount)))).collect();
    (!all.is_empty()).then_some(all)
}

/// Small values, and other spellings of the same amount, are kept as allocated.
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
