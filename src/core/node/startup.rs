//! How long the phases of a node's start took (upstream `pkg/kubelet/util/node_startup_latency_tracker.go`).

use jiff::{SignedDuration, Timestamp};

/// The moments of a node's start. The phases are known only for a node that this kubelet itself has created: one that
/// existed already was not started now.
#[derive(Clone, Debug)]
pub struct NodeStartup {
    boot: Option<Timestamp>,
    started: Timestamp,
    attempted: Option<Timestamp>,
    registered: Option<Timestamp>,
    is_ready: bool,
}

/// The phases until the Node object exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// From the boot of the machine to the start of the kubelet; `None` if the boot is not known.
    pub pre_kubelet: Option<SignedDuration>,
    /// From there to the first attempt to register.
    pub pre_registration: SignedDuration,
    /// From there to the registered node.
    pub registration: SignedDuration,
}

/// The phases until the node is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// From the registered node to the first time it is ready.
    pub post_registration: SignedDuration,
    /// From the boot; `None` if that is not known.
    pub total: Option<SignedDuration>,
}

impl NodeStartup {
    /// The kubelet started at `started`, the machine at `boot`.
    pub fn new(boot: Option<Timestamp>, started: Timestamp) -> Self {
        Self { boot, started, attempted: None, registered: None, is_ready: false }
    }

    /// The node is about to be registered.
    pub fn attempt(&mut self, now: Timestamp) {
        self.attempted.get_or_insert(now);
    }

    /// A node was created; the first time counts.
    pub fn register(&mut self, now: Timestamp) -> Option<Registration> {
        let attempted = self.attempted.filter(|_| self.registered.is_none())?;
        self.registered = Some(now);
        Some(Registration {
            pre_kubelet: self.boot.map(|boot| self.started.duration_since(boot)),
            pre_registration: attempted.duration_since(self.started),
            registration: now.duration_since(attempted),
        })
    }

    /// The node is ready; the first time counts.
    pub fn ready(&mut self, now: Timestamp) -> Option<Readiness> {
        let registered = self.registered.filter(|_| !self.is_ready)?;
        self.is_ready = true;
        let total = self.boot.map(|boot| now.duration_since(boot));
        Some(Readiness { post_registration: now.duration_since(registered), total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_counts_once_and_only_for_a_new_node() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let seconds = SignedDuration::from_secs;
        let mut start = NodeStartup::new(Some(at(10)), at(30));
        assert_eq!((start.register(at(31)), start.ready(at(31))), (None, None), "nobody tried");
        start.attempt(at(32));
        start.attempt(at(33));
        assert_eq!(start.ready(at(33)), None, "an old node");
        let phases = start.register(at(35)).unwrap();
        assert_eq!(phases.pre_kubelet, Some(seconds(20)));
        assert_eq!((phases.pre_registration, phases.registration), (seconds(2), seconds(3)));
        assert_eq!(start.register(at(36)), None);
        let ready = start.ready(at(40)).unwrap();
        assert_eq!((ready.post_registration, ready.total), (seconds(5), Some(seconds(30))));
        assert_eq!(start.ready(at(41)), None);
    }
}
