//! The gate through which every call to the runtime goes: it counts, and lets one of them go wrong.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fault::Fault;
use super::host::PodHost;
use crate::ports::node::RuntimeError;

/// How long a caller waits for an answer that does not come.
const DEADLINE: Duration = Duration::from_secs(120);

/// Calls that belong to starts.
const STARTS: [&str; 3] = ["RunPodSandbox", "CreateContainer", "StartContainer"];

/// Calls that change nothing: nobody minds when they are dropped.
const ONLY_LOOKS: [&str; 5] = ["Status", "ListPodSandbox", "PodSandboxStatus", "ListContainers", "ContainerStatus"];

impl PodHost {
    /// A kubelet process comes up; it knows nothing of probes.
    pub fn live(self: &Arc<Self>) -> Arc<Life> {
        self.state().probes.clear();
        Arc::new(Life::new(Arc::clone(self)))
    }
}

/// One kubelet process on a host: all of its ports. When it is dead, its calls never come back and change nothing.
pub struct Life {
    pub(super) host: Arc<PodHost>,
    dead: AtomicBool,
}

impl Life {
    pub(super) fn new(host: Arc<PodHost>) -> Self {
        Self { host, dead: AtomicBool::new(false) }
    }

    /// Kills the process. Its tasks may still be there; they reach nothing.
    pub fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Never returns to a dead process. Each call of a port comes through here or [`touch`](Self::touch).
    pub(super) async fn alive(&self) {
        self.touch();
        if self.is_dead() {
            pending::<()>().await;
        }
    }

    /// Panics when this call of a port is the one that is to.
    pub(super) fn touch(&self) {
        if !self.is_dead() {
            self.host.touch();
        }
    }

    /// One call to the runtime: `effect` is what it does there.
    pub(super) async fn call<T: Send>(
        &self,
        call: &'static str,
        of: &str,
        effect: impl Future<Output = Result<T, RuntimeError>> + Send,
    ) -> Result<T, RuntimeError> {
        self.alive().await;
        self.host.panic_about(of);
        let (number, fault) = self.host.count(call, of);
        if self.host.is_down() {
            return Err(RuntimeError::Unavailable { call, message: "connection refused".into() });
        }
        match fault {
            Some(Fault::Fails) => {
                return Err(RuntimeError::Other { call, message: "rpc error: code = Internal desc = fault".into() });
            }
            Some(Fault::Hangs) => return self.no_answer(call).await,
            Some(Fault::DiesBefore) => {
                self.die();
                self.alive().await;
            }
            Some(Fault::DiesAmid) => self.die(),
            Some(Fault::AnswerIsLost | Fault::DiesAfter) | None => {}
        }
        let mut caller = Caller { life: self, what: format!("{call} {of}"), stays: ONLY_LOOKS.contains(&call) };
        let _starting = STARTS.contains(&call).then(|| Starting::new(&self.host));
        tokio::time::sleep(self.host.takes(number)).await;
        let result = effect.await;
        caller.stays = true;
        match fault {
            Some(Fault::AnswerIsLost) => return self.no_answer(call).await,
            Some(Fault::DiesAfter) => self.die(),
            _ => {}
        }
        self.alive().await;
        result
    }

    async fn no_answer<T>(&self, call: &'static str) -> Result<T, RuntimeError> {
        tokio::time::sleep(DEADLINE).await;
        self.alive().await;
        Err(RuntimeError::DeadlineExceeded { call })
    }
}

/// A call that belongs to a start, while it is under way.
struct Starting<'a>(&'a PodHost);

impl<'a> Starting<'a> {
    fn new(host: &'a PodHost) -> Self {
        host.begin_start();
        Self(host)
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.state().starting -= 1;
    }
}

/// Who waits for an answer of the runtime, or for a hook. A call whose caller leaves is cancelled at the runtime in the
/// middle of its work.
pub(super) struct Caller<'a> {
    pub life: &'a Life,
    pub what: String,
    pub stays: bool,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if !self.stays && !self.life.is_dead() {
            self.life.host.state().sins.push(format!("{} was called off", self.what.trim_end()));
        }
    }
}
