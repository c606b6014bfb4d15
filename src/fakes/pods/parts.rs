//! The ports that mostly succeed: images, hooks, probes, admission, events, statuses.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::mpsc;

use super::gate::{Caller, Life};
use crate::core::model::{PodUid, ProbeResults, ProbeSubject, Rejection, Verdict, uid_of};
use crate::cri;
use crate::kubelet::pods::{
    Admission, HookCall, HookError, Hooks, ImageDemand, ImageWaiting, PodImages, Probes, PulledImage, StatusSink,
};
use crate::ports::kubelet::{EventKind, EventTarget, Events, UserNamespaces};

/// Every image is present.
#[async_trait]
impl PodImages for Life {
    async fn ensure(
        &self,
        _: &Arc<Pod>,
        demand: &ImageDemand,
        _: Option<&cri::PodSandboxConfig>,
    ) -> Result<PulledImage, ImageWaiting> {
        self.alive().await;
        let spec = cri::ImageSpec { image: demand.image.clone(), ..cri::ImageSpec::default() };
        Ok(PulledImage { spec, image: cri::Image { id: demand.image.clone(), ..cri::Image::default() } })
    }
    fn forget(&self, _: &PodUid) {
        self.touch();
    }
}

#[async_trait]
impl Hooks for Life {
    async fn run(&self, call: HookCall) -> Result<(), HookError> {
        self.alive().await;
        let program = {
            let mut state = self.host.state();
            state.happened.push(format!("hook of {}", call.container));
            state.programs.get(&call.container).copied().unwrap_or_default()
        };
        let mut caller = Caller { life: self, what: format!("the hook of {}", call.container), stays: false };
        tokio::time::sleep(program.hook_takes).await;
        caller.stays = true;
        match program.hook_fails {
            true => Err(HookError { message: "PostStartHook failed".into() }),
            false => Ok(()),
        }
    }
}

/// Returns the results that the test sets.
impl Probes for Life {
    fn observe(&self, _: ProbeSubject) {
        self.touch();
    }
    fn forget(&self, _: &PodUid) {
        self.touch();
    }
    fn results(&self, _: &PodUid) -> ProbeResults {
        self.touch();
        self.host.state().probes.clone()
    }
    fn changes(&self) -> mpsc::Receiver<PodUid> {
        let (sender, receiver) = mpsc::channel(16);
        self.host.state().probed.push(sender);
        receiver
    }
}

impl Admission for Life {
    fn admit(&self, pod: &Arc<Pod>, _: bool, active: &[Arc<Pod>]) -> Verdict {
        self.touch();
        let mut state = self.host.state();
        state.asked += 1;
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
        let Some((refused, beside)) = state.refused.clone() else { return Verdict::Admit };
        if name(pod) != refused || !(beside.is_empty() || active.iter().any(|other| name(other) == beside)) {
            return Verdict::Admit;
        }
        Verdict::Reject(Rejection { reason: "NodePorts".into(), message: "a port is taken".into() })
    }
}

#[async_trait]
impl UserNamespaces for Life {
    async fn ensure(&self, _: &PodUid) -> io::Result<cri::UserNamespace> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Events for Life {
    fn record(&self, target: EventTarget<'_>, _: EventKind, reason: &str, message: String) {
        self.touch();
        if self.is_dead() {
            return;
        }
        let place = match target {
            EventTarget::Container(_, path) => path,
            EventTarget::Pod(_) => "pod",
            EventTarget::Node => "node",
        };
        self.host.state().events.push(format!("{place} {reason}: {message}"));
    }
}

impl StatusSink for Life {
    fn publish(&self, _: &Arc<Pod>, _: bool, status: &Arc<PodStatus>) {
        self.touch();
        if !self.is_dead() {
            self.host.state().reported.take(status);
        }
    }

    fn finished(&self, pod: &Arc<Pod>, _: bool) {
        self.touch();
        if self.is_dead() {
            return;
        }
        let mut state = self.host.state();
        let running = state.running().filter(|c| c.uid() == uid_of(pod).as_str()).count();
        if running > 0 {
            state.sins.push(format!("the pod was called finished while {running} containers ran"));
        }
        state.reported.finished = true;
    }

    fn forget(&self, _: &PodUid) {
        self.touch();
    }
}
