//! What a worker publishes: status, view, probes, events, volumes.

use std::sync::Arc;

use jiff::Timestamp;

use super::Worker;
use crate::core::model::{ContainerKind, ProbeSubject, ProbedContainer, RunState, containers_of, field_path};
use crate::core::plan::Stage;
use crate::core::status;
use crate::ports::kubelet::{ContainerView, EventKind, EventTarget, Lifecycle, PodView};
use crate::supervise::spawn;
use crate::telemetry::panics::Task;

impl Worker {
    /// The status according to the current facts.
    pub(super) fn derive(&self, now: Timestamp) -> status::Derived {
        let probes = self.shared.ports.probes.results(&self.uid);
        let node = Arc::clone(&self.shared.ports.node.borrow());
        status::derive(&status::Inputs {
            pod: &self.pod,
            is_static: self.source.is_static,
            observed: &self.observed,
            ledger: &self.ledger,
            probes: &probes,
            previous: &self.published.status,
            stage: self.stage,
            rejection: self.rejection.as_ref(),
            host_ips: &node.host_ips,
            recursive_read_only: self.shared.facts.recursive_read_only(&self.pod),
            kubelet_started: self.shared.started,
            now,
        })
    }

    /// Derives the status and publishes it if it changed.
    pub(super) fn tell(&mut self, now: Timestamp) {
        if self.source.orphan {
            return self.shared.table.put_unlisted(&self.uid, self.lifecycle());
        }
        let derived = self.derive(now);
        let held = if self.stage.ends() { None } else { self.tasks.replacement.holds_until(&self.observed, now) };
        let changed = held.is_none() && derived.status != *self.published.status;
        if changed {
            self.count_status(&derived.status);
            self.published.status = Arc::new(derived.status);
        }
        self.deadlines.wake_by(held);
        self.publish(changed);
    }

    /// Updates the pod's view, and publishes the status if it changed or was never published.
    pub(super) fn publish(&mut self, changed: bool) {
        if changed {
            self.shared.ports.statuses.publish(&self.pod, self.source.is_static, &self.published.status);
        }
        let kinds: Vec<_> = containers_of(&self.pod).into_iter().map(|(kind, c)| (c.name, kind)).collect();
        let mut containers: Vec<ContainerView> = Vec::new();
        for record in &self.observed.containers {
            if containers.iter().filter(|c| c.name == record.name).count() >= 2 {
                continue;
            }
            let kind = kinds.iter().find(|(name, _)| name == &record.name).map_or(ContainerKind::Regular, |(_, k)| *k);
            containers.push(ContainerView {
                name: record.name.clone(),
                kind,
                id: record.id.clone(),
                attempt: record.attempt,
                running: record.state == RunState::Running,
                log_path: record.log_path.clone(),
            });
        }
        let view = PodView {
            pod: Arc::clone(&self.pod),
            is_static: self.source.is_static,
            mirror_uid: None,
            status: Arc::clone(&self.published.status),
            sandbox: self.observed.sandbox().map(|s| s.id.clone()),
            containers,
            last_error: self.failures.last.clone(),
            lifecycle: self.lifecycle(),
            dropped: self.source.removed,
        };
        self.shared.table.put(&self.uid, view);
    }

    fn lifecycle(&self) -> Lifecycle {
        match self.stage {
            Stage::Waiting | Stage::Starting | Stage::Running => Lifecycle::Sync,
            Stage::Terminating => Lifecycle::Terminating,
            Stage::Terminated { .. } => Lifecycle::Terminated,
            Stage::Finished { .. } => Lifecycle::Finished,
        }
    }

    /// Updates the prober with the running containers.
    pub(super) fn tell_probes(&self) {
        if self.source.orphan || self.stage.has_ended() {
            return;
        }
        let specs = containers_of(&self.pod);
        let probed = |c: &k8s_openapi::api::core::v1::Container| {
            c.liveness_probe.is_some() || c.readiness_probe.is_some() || c.startup_probe.is_some()
        };
        if !specs.iter().any(|(_, c)| probed(c)) {
            return;
        }
        let statuses = self
            .published
            .status
            .container_statuses
            .iter()
            .chain(&self.published.status.init_container_statuses)
            .flatten();
        let statuses: Vec<_> = statuses.collect();
        let containers = specs
            .into_iter()
            .filter(|(kind, c)| matches!(kind, ContainerKind::Regular | ContainerKind::Sidecar) && probed(c))
            .filter_map(|(kind, c)| {
                let record = self.observed.container(&c.name).filter(|r| r.state == RunState::Running)?;
                let started_at = record.started_at.unwrap_or(record.created_at);
                let id = format!("containerd://{}", record.id);
                let known = statuses.iter().find(|s| s.container_id.as_ref() == Some(&id));
                let older = started_at < self.shared.started;
                Some(ProbedContainer {
                    name: c.name,
                    kind,
                    id: record.id.clone(),
                    started_at,
                    known_started: older && known.is_some_and(|s| s.started == Some(true)),
                })
            })
            .collect();
        let pod_ips = self.published.status.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect();
        let terminating = self.stage.ends();
        let subject = ProbeSubject { pod: Arc::clone(&self.pod), pod_ips, containers, terminating };
        self.shared.ports.probes.observe(subject);
    }

    /// Rewrites changed contents of volumes in a separate task.
    pub(super) fn refresh_volumes(&self) {
        let (volumes, pod) = (Arc::clone(&self.shared.ports.volumes), Arc::clone(&self.pod));
        let events = Arc::clone(&self.shared.ports.events);
        // After a panic, the worker's next reconciliation starts it again.
        spawn(Task::of("volumes of a pod", self.uid.as_str()), async move {
            if let Err(errors) = volumes.refresh(&pod).await {
                for error in errors {
                    events.record(EventTarget::Pod(&pod), EventKind::Warning, "FailedMount", error.to_string());
                }
            }
        });
    }

    /// Records the event of a container that waits for its back-off.
    pub(super) fn tell_backoff(&self, name: &str) {
        let kind = containers_of(&self.pod).into_iter().find(|(_, c)| c.name == name).map(|(kind, _)| kind);
        let path = field_path(kind.unwrap_or(ContainerKind::Regular), name);
        let pod = &self.pod.metadata;
        let message = format!(
            "Back-off restarting failed container {name} in pod {}_{}({})",
            pod.name.as_deref().unwrap_or_default(),
            pod.namespace.as_deref().unwrap_or_default(),
            self.uid
        );
        self.shared.ports.events.record(
            EventTarget::Container(&self.pod, &path),
            EventKind::Warning,
            "BackOff",
            message,
        );
    }
}
