//! Order of eviction: pods above their requests first, then lower priorities, then larger usage.

use std::cmp::Reverse;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::signal::Signal;
use crate::core::model::priority_of;
use crate::core::model::totals::pod_requests;
use crate::core::model::usage::PodUsage;

/// A pod that may be evicted.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Definition of the pod, with its requests and priority.
    pub pod: Arc<Pod>,
    /// Measured usage; a pod with `None` is evicted first.
    pub usage: Option<PodUsage>,
}

/// Sorts candidates, the first to be evicted first.
pub fn rank(signal: Signal, candidates: &mut [Candidate]) {
    candidates.sort_by_cached_key(|candidate| {
        let used = used(signal, candidate);
        let requested = requested(signal, &candidate.pod);
        let exceeds = used.is_none_or(|used| used > requested);
        let priority = priority_of(&candidate.pod);
        let surplus = used.map_or(i128::MAX, |used| used.saturating_sub(requested));
        // Requests have no number of processes.
        let first = signal != Signal::Pid && exceeds;
        (Reverse(used.is_none()), Reverse(first), priority, Reverse(surplus))
    });
}

fn used(signal: Signal, candidate: &Candidate) -> Option<i128> {
    let usage = candidate.usage.as_ref()?;
    let used = match signal.resource() {
        "memory" => usage.memory.as_ref()?.working_set_bytes,
        "pids" => Some(usage.processes.as_ref()?.process_count),
        "inodes" => usage.ephemeral_storage.as_ref()?.inodes_used,
        _ => usage.ephemeral_storage.as_ref()?.used_bytes,
    };
    used.map(i128::from)
}

fn requested(signal: Signal, pod: &Pod) -> i128 {
    match signal.resource() {
        name @ ("memory" | "ephemeral-storage") => {
            pod_requests(pod, true).get(name).map_or(0, |amount| i128::from(amount.units()))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::usage::{MemoryUsage, PodReference, ProcessUsage};
    use jiff::Timestamp;

    fn candidate(name: &str, priority: i32, request: &str, used: Option<u64>) -> Candidate {
        let pod = serde_json::json!({"metadata": {"name": name}, "spec": {"priority": priority, "containers": [
            {"name": "c", "resources": {"requests": {"memory": request}}}]}});
        let time = Timestamp::UNIX_EPOCH;
        let memory = |bytes| MemoryUsage {
            time,
            available_bytes: None,
            usage_bytes: None,
            working_set_bytes: Some(bytes),
            rss_bytes: None,
            page_faults: None,
            major_page_faults: None,
            psi: None,
        };
        let usage = used.map(|bytes| PodUsage {
            pod_ref: PodReference { name: name.into(), namespace: "n".into(), uid: name.into() },
            start_time: time,
            containers: vec![],
            cpu: None,
            memory: Some(memory(bytes)),
            io: None,
            network: None,
            volumes: vec![],
            ephemeral_storage: None,
            processes: Some(ProcessUsage { process_count: bytes }),
            swap: None,
        });
        Candidate { pod: Arc::new(serde_json::from_value(pod).expect("a pod")), usage }
    }

    fn order(signal: Signal, mut candidates: Vec<Candidate>) -> Vec<String> {
        rank(signal, &mut candidates);
        candidates.into_iter().map(|c| c.pod.metadata.name.clone().unwrap_or_default()).collect()
    }

    fn all() -> Vec<Candidate> {
        vec![
            candidate("within", 0, "100", Some(100)),
            candidate("important", 10, "0", Some(900)),
            candidate("little-over", 0, "100", Some(110)),
            candidate("far-over", 0, "100", Some(300)),
            candidate("unknown", 50, "100", None),
        ]
    }

    #[test]
    fn memory_goes_by_request_priority_and_surplus() {
        let expected = ["unknown", "far-over", "little-over", "important", "within"];
        assert_eq!(order(Signal::Memory, all()), expected);
    }

    #[test]
    fn processes_go_by_priority_and_number() {
        let expected = ["unknown", "far-over", "little-over", "within", "important"];
        assert_eq!(order(Signal::Pid, all()), expected);
    }
}
