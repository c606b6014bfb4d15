//! The dispatcher's part in resources: admission, in-place resizes, and preemption.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::{Dispatcher, Entry};
use crate::core::admission::without_surplus;
use crate::core::model::{DesiredPod, PodKill, PodUid, Rejection, Verdict, is_terminal, key_of, uid_of};
use crate::core::plan::resize::{
    Pending, infeasible, requested_changes, resize_text, resources_differ, with_resources_of, with_resources_of_status,
};
use crate::kubelet::pods::calls::Calls;
use crate::kubelet::pods::worker::WorkerSpec;
use crate::ports::kubelet::{EventKind, EventTarget};

impl Dispatcher {
    /// Updates one worker. A panic about one pod must not affect the others.
    pub(super) fn take_desired(&mut self, mut desired: DesiredPod) {
        let uid = uid_of(&desired.pod);
        if let Some(pod) = without_surplus(&desired.pod) {
            desired.pod = Arc::new(pod);
        }
        match self.entries.get_mut(&uid) {
            Some(entry) if entry.removed => {}
            Some(entry) => {
                let same = Arc::ptr_eq(&entry.pod, &desired.pod);
                let before = std::mem::replace(&mut entry.pod, Arc::clone(&desired.pod));
                for change in requested_changes(&before, &desired.pod) {
                    self.shared.metrics().requested_resizes.with(change).inc();
                }
                if resources_differ(&entry.allocated, &entry.pod) {
                    self.resize(&uid, !same);
                } else if !same {
                    entry.allocated = Arc::clone(&desired.pod);
                    entry.pending = None;
                    entry.inbox.put(|mail| {
                        mail.pod = Some(desired.pod);
                        mail.resize_pending = Some(None);
                    });
                }
            }
            None => self.admit(uid, desired),
        }
    }

    /// Starts a worker for a new pod, unless its name is still in use or other pods have to be preempted first.
    fn admit(&mut self, uid: PodUid, desired: DesiredPod) {
        let key = key_of(&desired.pod);
        let is_static = desired.source.is_static();
        if is_static && self.is_name_taken(&uid, &key) {
            return;
        }
        let pod = &desired.pod;
        let over = pod.metadata.deletion_timestamp.is_some()
            || is_terminal(pod.status.as_ref().and_then(|s| s.phase.as_deref()));
        let mut rejection = None;
        if !over {
            match self.shared.ports.admission.admit(pod, is_static, &self.active()) {
                Verdict::Admit => {}
                Verdict::Reject(refused) => {
                    self.shared.metrics().admission_rejections.with([rejection_label(&refused.reason)]).inc();
                    let target = EventTarget::Pod(pod);
                    let events = &self.shared.ports.events;
                    events.record(target, EventKind::Warning, &refused.reason, refused.message.clone());
                    rejection = Some(refused);
                }
                Verdict::Preempt { victims, resource } => {
                    self.preempt(&victims, &resource);
                    return;
                }
            }
        }
        let held = with_resources_of_status(pod);
        let waits = rejection.is_none() && !over && resources_differ(&held, pod);
        let allocated = if waits { Arc::new(held) } else { Arc::clone(pod) };
        let wanted = desired.pod;
        if rejection.is_none() && !over {
            let containers = wanted.spec.as_ref().map_or(0, |spec| spec.containers.len());
            self.shared.metrics().containers_per_pod.observe_value([], containers as f64);
        }
        let calls = Calls::new(&self.shared, uid.clone());
        let first_seen = self.seen.get(&uid).copied();
        let spec = WorkerSpec { calls, pod: allocated, is_static, orphan: false, rejection, first_seen };
        self.spawn(uid.clone(), key, spec);
        if waits {
            // Continues a resize that was in progress when the kubelet stopped.
            if let Some(entry) = self.entries.get_mut(&uid) {
                entry.pod = wanted;
            }
            self.resize(&uid, true);
        }
    }

    /// Allocates new resources to a pod if they fit; otherwise it keeps its resources, and the resize is retried with
    /// every change of the table.
    fn resize(&mut self, uid: &PodUid, newer: bool) {
        let Some(entry) = self.entries.get(uid) else { return };
        let others: Vec<_> = self.active().into_iter().filter(|pod| uid_of(pod) != *uid).collect();
        let pending = infeasible(&self.shared.ports.node.borrow(), &entry.pod, &entry.allocated).or_else(|| {
            match self.shared.ports.admission.admit(&entry.pod, false, &others) {
                Verdict::Admit => None,
                Verdict::Reject(Rejection { message, .. }) => Some(Pending::Deferred(message)),
                // Critical pods do not end others to grow.
                Verdict::Preempt { .. } => {
                    Some(Pending::Deferred("The node has no room for it beside its other pods".to_owned()))
                }
            }
        });
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let (events, metrics) = (&self.shared.ports.events, self.shared.metrics());
        match pending {
            None => {
                if matches!(entry.pending, Some(Pending::Deferred(_))) {
                    // What made room is not known here; a pod that wants less itself was resized.
                    let trigger = if newer { "pod_resized" } else { "pods_removed" };
                    metrics.deferred_resizes.with([trigger]).inc();
                }
                entry.allocated = Arc::clone(&entry.pod);
                entry.pending = None;
                events.record(
                    EventTarget::Pod(&entry.pod),
                    EventKind::Normal,
                    "ResizeStarted",
                    format!("Pod resize started: {}", resize_text(&entry.pod)),
                );
                let pod = Arc::clone(&entry.pod);
                entry.inbox.put(|mail| {
                    mail.pod = Some(pod);
                    mail.resized = true;
                    mail.resize_pending = Some(None);
                });
            }
            Some(pending) => {
                if entry.pending.as_ref() != Some(&pending) {
                    let message = pending.message().to_owned();
                    events.record(EventTarget::Pod(&entry.pod), EventKind::Warning, pending.event(), message);
                    if matches!(pending, Pending::Infeasible(_)) {
                        // The only reason of this kind, see `infeasible`.
                        metrics.infeasible_resizes.with(["swap_limitation"]).inc();
                    }
                } else if !newer {
                    return;
                }
                entry.pending = Some(pending.clone());
                entry.allocated = Arc::new(with_resources_of(&entry.pod, &entry.allocated));
                let pod = Arc::clone(&entry.allocated);
                entry.inbox.put(|mail| {
                    mail.pod = Some(pod);
                    mail.resize_pending = Some(Some(pending));
                });
            }
        }
    }

    /// Pods that are counted by admission. A pod that its source no longer lists is not counted, although it may still
    /// be terminating: schedulers do not count it either (upstream asks its pod manager, which forgets such pods
    /// immediately).
    pub(super) fn active(&self) -> Vec<Arc<Pod>> {
        let terminal = |pod: &Pod| is_terminal(pod.status.as_ref().and_then(|s| s.phase.as_deref()));
        let counts = |e: &&Entry| !e.finished && !e.removed && e.rejection.is_none() && !terminal(&e.pod);
        let active = self.entries.values().filter(counts);
        active.map(|e| Arc::clone(&e.allocated)).collect()
    }

    /// Ends pods so that a critical one can be admitted; it is tried again when they are finished.
    fn preempt(&mut self, victims: &[PodUid], resource: &str) {
        for uid in victims {
            let Some(entry) = self.entries.get_mut(uid) else { continue };
            let message = "Preempted in order to admit critical pod".to_owned();
            let target = EventTarget::Pod(&entry.pod);
            self.shared.ports.events.record(target, EventKind::Warning, "Preempting", message.clone());
            self.shared.metrics().preemptions.with([resource]).inc();
            let disruption = "Pod was preempted by Kubelet to accommodate a critical pod.".to_owned();
            let kill =
                PodKill { reason: "Preempting".into(), message, grace_seconds: None, disruption: Some(disruption) };
            entry.kill = Some(kill.clone());
            entry.inbox.put(|mail| mail.kill = Some(kill));
        }
    }
}

/// Reasons that are labels of their own (upstream `admissionRejectionReasons`).
const REJECTIONS: [&str; 21] = [
    "AppArmor",
    "PodOSSelectorNodeLabelDoesNotMatch",
    "PodOSNotSupported",
    "InvalidNodeInfo",
    "InitContainerRestartPolicyForbidden",
    "SupplementalGroupsPolicyNotSupported",
    "UnexpectedAdmissionError",
    "UnknownReason",
    "UnexpectedPredicateFailureType",
    "OutOfcpu",
    "OutOfmemory",
    "OutOfephemeral-storage",
    "OutOfpods",
    "PodLevelResourcesNotSupported",
    "PodFeatureUnsupported",
    "node(s) had taints that the pod didn't tolerate",
    "Evicted",
    "SysctlForbidden",
    "TopologyAffinityError",
    "NodeShutdown",
    "VolumeAttachmentLimitExceeded",
];

/// The label of a rejected pod in the metrics. Extended resources have any names.
fn rejection_label(reason: &str) -> &str {
    match reason {
        known if REJECTIONS.contains(&known) => known,
        extended if extended.starts_with("OutOf") => "OutOfExtendedResources",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_extended_resources_are_no_labels() {
        let labels = ["OutOfcpu", "SysctlForbidden", "OutOfexample.com/disk", "NodeAffinity"].map(rejection_label);
        assert_eq!(labels, ["OutOfcpu", "SysctlForbidden", "OutOfExtendedResources", "Other"]);
    }
}
