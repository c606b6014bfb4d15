//! Limits concurrent container starts to what the runtime can handle, the node's own pods first.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::core::start_limit::{StartCall, StartLimit, is_overload};
use crate::ports::node::RuntimeError;

/// A call that takes longer waits for something other than the machine, such as a network plugin that waits for its
/// agent: it releases its slot to others, one of which may be that agent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Priority of a waiting start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// False for pods on which others depend: static, critical, or in the host's network.
    pub ordinary: bool,
    pub call: StartCall,
}

/// The gate, shared by all pods.
#[derive(Default)]
pub(super) struct StartGate {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    limit: StartLimit,
    under_way: u32,
    waiting: BTreeMap<(Turn, u64), oneshot::Sender<Place>>,
    last: u64,
}

/// The permission to send one call.
pub(super) struct Place {
    starts: Arc<StartGate>,
    call: StartCall,
    round: u64,
    held: bool,
}

impl StartGate {
    /// Waits for a slot. Dropping the future gives up the wait.
    pub async fn enter(self: &Arc<Self>, turn: Turn) -> Place {
        let place = {
            let mut state = self.lock();
            state.last = state.last.saturating_add(1);
            let (sender, receiver) = oneshot::channel();
            let number = state.last;
            state.waiting.insert((turn, number), sender);
            receiver
        };
        self.let_in();
        match place.await {
            Ok(place) => place,
            // The sender stays in the list until it is used.
            Err(_) => std::future::pending().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grants slots as long as there are any.
    fn let_in(self: &Arc<Self>) {
        loop {
            let (sender, place) = {
                let mut state = self.lock();
                if state.under_way >= state.limit.limit() {
                    return;
                }
                let Some(((turn, _), sender)) = state.waiting.pop_first() else { return };
                if sender.is_closed() {
                    continue;
                }
                state.under_way = state.under_way.saturating_add(1);
                let round = state.limit.round();
                (sender, Place { starts: Arc::clone(self), call: turn.call, round, held: true })
            };
            // A waiter that gave up at this moment drops the slot, which frees it.
            drop(sender.send(place));
        }
    }
}

impl Place {
    /// Makes the call, and learns from its result.
    pub async fn of<T>(mut self, call: impl Future<Output = Result<T, RuntimeError>>) -> Result<T, RuntimeError> {
        let mut call = pin!(call);
        let began = Instant::now();
        let answer = match timeout(PATIENCE, &mut call).await {
            Ok(answer) => answer,
            Err(_) => {
                self.free();
                call.await
            }
        };
        let mut state = self.starts.lock();
        let before = state.limit.limit();
        match &answer {
            Ok(_) if self.held => {
                let full = state.under_way >= before;
                state.limit.answered(self.call, began.elapsed(), full);
            }
            Err(error) if is_overload(&error.to_string()) => state.limit.overloaded(self.round),
            _ => {}
        }
        let limit = state.limit.limit();
        drop(state);
        if limit != before {
            tracing::debug!(limit, before, "limit of concurrent starts changed");
        }
        answer
    }

    fn free(&mut self) {
        if std::mem::take(&mut self.held) {
            let mut state = self.starts.lock();
            state.under_way = state.under_way.saturating_sub(1);
            drop(state);
            self.starts.let_in();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::task::JoinSet;

    use super::*;

    fn turn(ordinary: bool, call: StartCall) -> Turn {
        Turn { ordinary, call }
    }

    async fn full(starts: &Arc<StartGate>) -> Vec<Place> {
        let mut places = Vec::new();
        while let Some(place) = starts.enter(turn(true, StartCall::Sandbox)).now_or_never() {
            places.push(place);
        }
        places
    }

    #[tokio::test(start_paused = true)]
    async fn urgent_pods_come_first_then_what_was_begun_then_who_came_first() {
        let starts = Arc::new(StartGate::default());
        let mut places = full(&starts).await;
        let (order, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let mut all = JoinSet::new();
        for (name, turn) in [
            ("first", turn(true, StartCall::Sandbox)),
            ("second", turn(true, StartCall::Sandbox)),
            ("begun", turn(true, StartCall::Start)),
            ("urgent", turn(false, StartCall::Sandbox)),
            ("urgent and begun", turn(false, StartCall::Create)),
        ] {
            let (starts, order) = (Arc::clone(&starts), order.clone());
            all.spawn(async move {
                let _place = starts.enter(turn).await;
                order.send(name).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            });
            tokio::task::yield_now().await;
        }
        places.pop();
        while all.join_next().await.is_some() {}
        drop(order);
        let mut names = Vec::new();
        while let Some(name) = seen.recv().await {
            names.push(name);
        }
        assert_eq!(names, ["urgent and begun", "urgent", "begun", "first", "second"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_leaves_its_place_to_others() {
        let starts = Arc::new(StartGate::default());
        let places = full(&starts).await;
        let count = places.len();
        let mut hanging = JoinSet::new();
        for place in places {
            hanging.spawn(place.of(std::future::pending::<Result<(), RuntimeError>>()));
        }
        let next = starts.enter(turn(false, StartCall::Sandbox));
        drop(timeout(Duration::from_secs(3600), next).await.expect("a place"));
        assert_eq!(full(&starts).await.len(), count);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_queue_keeps_no_place() {
        let starts = Arc::new(StartGate::default());
        let places = full(&starts).await;
        let count = places.len();
        for _ in 0..100 {
            assert!(starts.enter(turn(false, StartCall::Sandbox)).now_or_never().is_none());
        }
        drop(places);
        assert_eq!(full(&starts).await.len(), count);
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_has_too_much_gets_fewer() {
        let starts = Arc::new(StartGate::default());
        let mut places = full(&starts).await;
        let count = places.len();
        let message = "runc create failed: unable to freeze".to_owned();
        let refused = RuntimeError::Other { call: "StartContainer", message };
        places.pop().unwrap().of(async { Err::<(), _>(refused) }).await.unwrap_err();
        drop(places);
        assert_eq!(full(&starts).await.len(), count / 2);
    }
}
