//! Every call to the runtime passes here: counts them, and makes one of them fail.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fault::Fault;
use super::host::PodHost;
use crate::ports::node::RuntimeError;

/// How long a caller waits for a missing response.
const DEADLINE: Duration = Duration::from_secs(120);

/// Calls that are part of a start.
const STARTS: [&str; 3] = ["RunPodSandbox", "CreateContainer", "StartContainer"];

/// Calls that change nothing, and may be dropped.
const ONLY_LOOKS: [&str; 5] = ["Status", "ListPodSandbox", "PodSandboxStatus", "ListContainers", "ContainerStatus"];

impl PodHost {
    /// Starts a kubelet process, which knows nothing about probes.
    pub fn live(self: &Arc<Self>) -> Arc<Life> {
        self.state().probes.clear();
        Arc::new(Life::new(Arc::clone(self)))
    }
}

/// One kubelet process on a host: all of its ports. After it is killed, its calls never return and change nothing.
pub struct Life {
    pub(super) host: Arc<PodHost>,
    dead: AtomicBool,
}

impl Life {
    pub(super) fn new(host: Arc<PodHost>) -> Self {
        Self { host, dead: AtomicBool::new(false) }
    }

    /// Kills the process. Its tasks may still exist, without any effect.
    pub fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// True after it was killed.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Never returns in a killed process. Each call of a port passes here or through [`touch`](Self::touch).
    pub(super) async fn alive(&self) {
        self.touch();
        if self.is_dead() {
            pending::<()>().await;
        }
    }

    /// Panics if this call of a port is the chosen one.
    pub(super) fn touch(&self) {
        if !self.is_dead() {
            self.host.touch();
        }
    }

    /// One call to the runtime: `effect` is executed there.
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

/// A call that is part of a start, while it is in progress.
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

/// A caller that waits for a response of the runtime, or for a hook. Dropping it cancels the call in the runtime in the
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
