//! Tasks and panics: a panicked task is restarted after a growing delay, or the whole process shuts down in an orderly
//! way.
//!
//! [`restarting`] is for a task that can continue from what it observes, [`vital`] for one that owns state which cannot
//! be recreated (the process then exits with a failure, and systemd restarts it). A short task, such as one connection,
//! is started by [`spawn`]: its panic is logged and affects nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::model::Backoff;
use crate::telemetry::panics::{Task, describe, named, named_call};

/// First and longest delay before a task is restarted.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(300) };

/// A task that ran for this long was healthy: its next panic counts as the first one.
const HEALTHY: Duration = Duration::from_secs(600);

/// A caught panic. Its text contains no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal error: {0}")]
pub struct Panicked(String);

impl From<tokio::task::JoinError> for Panicked {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(error.try_into_panic().map_or_else(|error| error.to_string(), |payload| describe(&*payload)))
    }
}

/// Delays after panics: from one second, doubled up to five minutes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pauses {
    panics: u32,
}

impl Pauses {
    /// The delay after a panic of something that ran for this long.
    pub fn next(&mut self, ran: Duration) -> Duration {
        if ran >= HEALTHY {
            self.panics = 0;
        }
        self.panics = self.panics.saturating_add(1);
        BACKOFF.after(self.panics)
    }
}

/// Runs a future until it completes or panics.
///
/// # Errors
/// It panicked. State that it changed is left as it was: the caller has to observe again.
pub fn caught<F: Future>(task: impl Into<Task>, future: F) -> impl Future<Output = Result<F::Output, Panicked>> {
    // Not an `async fn`, which would reserve space for the future twice.
    let caught = named(task.into(), AssertUnwindSafe(future).catch_unwind());
    caught.map(|ended| ended.map_err(|payload| Panicked(describe(&*payload))))
}

/// Calls a function.
///
/// # Errors
/// As for [`caught`].
pub fn caught_call<T>(task: impl Into<Task>, call: impl FnOnce() -> T) -> Result<T, Panicked> {
    let ended = named_call(task.into(), || catch_unwind(AssertUnwindSafe(call)));
    ended.map_err(|payload| Panicked(describe(&*payload)))
}

/// Spawns a task whose panic only affects itself.
pub fn spawn<F>(task: impl Into<Task>, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(named(task.into(), future))
}

/// Runs work that may take long on a separate thread.
///
/// # Errors
/// As for [`caught`].
pub async fn blocking<T: Send + 'static>(
    task: impl Into<Task>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    let task = task.into();
    Ok(tokio::task::spawn_blocking(move || named_call(task, work)).await?)
}

/// Spawns a task that continues from `state` after each panic, until it completes. `stop` interrupts the delays.
pub fn restarting<S, R>(task: impl Into<Task>, stop: &CancellationToken, state: S, run: R) -> JoinHandle<()>
where
    S: Send + 'static,
    R: for<'a> FnMut(&'a mut S) -> BoxFuture<'a, ()> + Send + 'static,
{
    tokio::spawn(restart_on_panic(task, stop, state, run))
}

/// [`restarting`] for a task on a separate thread.
pub fn restart_on_panic<S, R>(
    task: impl Into<Task>,
    stop: &CancellationToken,
    mut state: S,
    mut run: R,
) -> BoxFuture<'static, ()>
where
    S: Send + 'static,
    R: for<'a> FnMut(&'a mut S) -> BoxFuture<'a, ()> + Send + 'static,
{
    let (task, stop) = (task.into(), stop.clone());
    Box::pin(async move {
        let mut pauses = Pauses::default();
        loop {
            let began = Instant::now();
            let Err(panicked) = caught(task.clone(), async { run(&mut state).await }).await else { return };
            let pause = pauses.next(began.elapsed());
            tracing::error!(task = task.kind, of = task.of.as_deref(), %panicked, ?pause, "the task is restarted");
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    })
}

/// Spawns a task that the process depends on. If it panics, `stop` is cancelled: everything else shuts down in an
/// orderly way, and the process is restarted by its supervisor.
pub fn vital<F>(task: impl Into<Task>, stop: &CancellationToken, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (task, stop) = (task.into(), stop.clone());
    tokio::spawn(async move {
        if let Err(panicked) = caught(task.clone(), future).await {
            tracing::error!(task = task.kind, %panicked, "the process exits to be restarted, because it needs this task");
            stop.cancel();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes_and_begin_again_after_a_healthy_time() {
        let mut pauses = Pauses::default();
        let grown: Vec<u64> = (0..12).map(|_| pauses.next(Duration::ZERO).as_secs()).collect();
        assert_eq!(grown, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        (0..100).for_each(|_| assert_eq!(pauses.next(Duration::ZERO), BACKOFF.most));
        assert_eq!(pauses.next(HEALTHY), BACKOFF.first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_goes_on_from_its_state_after_each_panic() {
        let stop = CancellationToken::new();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let task = restarting("test", &stop, 0_u32, move |rounds| {
            let sender = sender.clone();
            Box::pin(async move {
                *rounds += 1;
                sender.send(*rounds).unwrap();
                assert!(*rounds >= 4, "not yet");
            })
        });
        task.await.unwrap();
        let mut seen = Vec::new();
        while let Some(round) = receiver.recv().await {
            seen.push(round);
        }
        assert_eq!(seen, [1, 2, 3, 4]);
        assert!(!stop.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_always_ends_with_the_process() {
        let stop = CancellationToken::new();
        let task = restarting("test", &stop, (), |()| Box::pin(async { panic!("always") }));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!task.is_finished());
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_on_another_thread_is_an_error_without_values() {
        let secret = String::from("hidden");
        let fail = |secret| -> Result<(), String> { Err(secret) };
        let failed = blocking("test", move || fail(secret).expect("a value")).await.unwrap_err();
        assert_eq!(failed.to_string(), "internal error: a value");
        assert_eq!(blocking("test", || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_of_a_vital_task_stops_the_process() {
        for panics in [true, false] {
            let stop = CancellationToken::new();
            vital("test", &stop, async move { assert!(!panics, "over") }).await.unwrap();
            assert_eq!(stop.is_cancelled(), panics);
        }
    }
}
