//! Calls that may hang (file systems, name servers), executed off the runtime's thread and limited in number and time.
//!
//! The kubelet and the agent run on one thread; a call that hangs in the kernel would stop leases, probes and the
//! server. A thread that hangs in the kernel cannot be killed either, so there is at most one such call for each
//! subject (a pod, a name, a file): a caller that comes meanwhile gets an error with the age of the call.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::core::model::time::Moment;

/// How long a call may take before its caller continues without it.
pub const LIMIT: Duration = Duration::from_secs(10);
/// Concurrent calls of one kind; more have to wait.
const PLACES: usize = 16;
/// Most overdue calls of one kind, which is more than the default limit of pods; beyond it new calls are rejected, so
/// that a dead disk does not use all threads of the process (tokio's 512).
const MOST_OVERDUE: usize = 128;

/// A call that timed out, or was not started because of one.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stalled {
    /// A previous call for the same subject has not returned.
    #[error("{kind} {subject}: {call} has not returned for {} s", .since.as_secs())]
    Busy {
        /// Kind of the calls.
        kind: &'static str,
        /// Subject of the call.
        subject: String,
        /// What the call does.
        call: &'static str,
        /// How long it has been running.
        since: Duration,
    },
    /// Too many calls of this kind have not returned.
    #[error("{kind} {subject}: {call} was not started because {overdue} other calls have not returned")]
    Full {
        /// Kind of the calls.
        kind: &'static str,
        /// Subject of the call.
        subject: String,
        /// What the call does.
        call: &'static str,
        /// Number of calls that have not returned.
        overdue: usize,
    },
}

impl From<Stalled> for io::Error {
    fn from(stalled: Stalled) -> Self {
        Self::new(io::ErrorKind::TimedOut, stalled)
    }
}

/// Threads for calls of one kind. Clones share the limits.
#[derive(Clone, Debug)]
pub struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: &'static str,
    limit: Duration,
    places: Arc<Semaphore>,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    under_way: HashMap<String, Call>,
    overdue: usize,
    last_id: u64,
}

#[derive(Debug)]
struct Call {
    id: u64,
    what: &'static str,
    since: Instant,
    /// Released when the call is overdue, so that it does not block other subjects.
    place: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    /// For calls about `kind`, such as `files of pod`, with the time limit [`LIMIT`].
    pub fn new(kind: &'static str) -> Self {
        Self::with_limit(kind, LIMIT)
    }

    /// With another time limit for a call.
    pub fn with_limit(kind: &'static str, limit: Duration) -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        Self(Arc::new(Inner { kind, limit, places, calls: Mutex::default() }))
    }

    /// Runs `work` on a separate thread. Calls for the same subject are serialized.
    ///
    /// A call that timed out continues and may still have an effect: later ones for the same subject have to wait for
    /// it.
    ///
    /// # Errors
    /// It does not return within the limit, or an earlier one for the subject has not.
    pub async fn run<T: Send + 'static>(
        &self,
        subject: impl Into<String>,
        call: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stalled> {
        let subject = subject.into();
        self.refuse(&subject, call)?;
        let Ok((turn, place)) = timeout_at(Instant::now().later(self.0.limit), self.enter(&subject)).await else {
            return Err(self.stalled(&subject, call));
        };
        let id = self.begin(&subject, call, place);
        let held = Held { lanes: self.clone(), subject: subject.clone(), id, turn: Some(turn) };
        let deadline = Instant::now().later(self.0.limit);
        let waiter = Waiter { lanes: self, subject: &subject, id, deadline };
        let task = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(held);
            outcome
        });
        match timeout_at(deadline, task).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The process is exiting.
            Ok(Err(_)) => Err(self.stalled(&subject, call)),
            Err(_) => {
                drop(waiter);
                Err(self.stalled(&subject, call))
            }
        }
    }

    /// [`Lanes::run`] for work that may fail.
    ///
    /// # Errors
    /// The work's own error, or `TimedOut`.
    pub async fn io<T: Send + 'static>(
        &self,
        subject: impl Into<String>,
        call: &'static str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.run(subject, call, work).await?
    }

    /// An overdue call for a subject that `is_meant` accepts.
    pub fn busy_with(&self, is_meant: impl Fn(&str) -> bool) -> Option<Stalled> {
        let calls = self.calls();
        let found = calls.under_way.iter().find(|(subject, _)| is_meant(subject))?;
        Some(self.busy(found.0, found.1))
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self, subject: &str, call: &Call) -> Stalled {
        Stalled::Busy { kind: self.0.kind, subject: subject.into(), call: call.what, since: call.since.elapsed() }
    }

    /// Fails immediately if a previous call is known to hang.
    fn refuse(&self, subject: &str, call: &'static str) -> Result<(), Stalled> {
        let calls = self.calls();
        match calls.under_way.get(subject) {
            Some(first) if first.place.is_none() => Err(self.busy(subject, first)),
            _ if calls.overdue >= MOST_OVERDUE => {
                let (kind, subject) = (self.0.kind, subject.to_owned());
                Err(Stalled::Full { kind, subject, call, overdue: calls.overdue })
            }
            _ => Ok(()),
        }
    }

    async fn enter(&self, subject: &str) -> (OwnedMutexGuard<()>, Option<OwnedSemaphorePermit>) {
        let turn = {
            let mut calls = self.calls();
            calls.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(calls.turns.entry(subject.to_owned()).or_default())
        };
        let turn = turn.lock_owned().await;
        // The semaphore is never closed.
        (turn, Arc::clone(&self.0.places).acquire_owned().await.ok())
    }

    fn begin(&self, subject: &str, what: &'static str, place: Option<OwnedSemaphorePermit>) -> u64 {
        let mut calls = self.calls();
        calls.last_id = calls.last_id.wrapping_add(1);
        let id = calls.last_id;
        calls.under_way.insert(subject.to_owned(), Call { id, what, since: Instant::now(), place });
        id
    }

    fn stalled(&self, subject: &str, call: &'static str) -> Stalled {
        let calls = self.calls();
        match calls.under_way.get(subject) {
            Some(first) => self.busy(subject, first),
            None => {
                let (kind, subject) = (self.0.kind, subject.to_owned());
                Stalled::Full { kind, subject, call, overdue: calls.overdue }
            }
        }
    }

    /// The caller has given up waiting for the call.
    fn note_overdue(&self, subject: &str, id: u64) {
        let mut calls = self.calls();
        let Some(call) = calls.under_way.get_mut(subject).filter(|call| call.id == id) else { return };
        if call.place.take().is_none() {
            return;
        }
        let (kind, what, since) = (self.0.kind, call.what, call.since.elapsed().as_secs());
        calls.overdue = calls.overdue.saturating_add(1);
        drop(calls);
        tracing::warn!(kind, subject, call = what, seconds = since, "a call has not returned; continuing without it");
    }

    fn end(&self, subject: &str, id: u64) {
        let mut calls = self.calls();
        let Some(call) = calls.under_way.get(subject).filter(|call| call.id == id) else { return };
        let (was_overdue, what, since) = (call.place.is_none(), call.what, call.since.elapsed().as_secs());
        calls.under_way.remove(subject);
        if was_overdue {
            calls.overdue = calls.overdue.saturating_sub(1);
            drop(calls);
            tracing::info!(kind = self.0.kind, subject, call = what, seconds = since, "an overdue call has returned");
        }
    }
}

/// Runs `work` in the background, on a separate thread. The caller ensures that there is only one at a time. Outside of
/// a runtime it is run immediately, since it blocks nobody there.
pub fn behind(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

/// Starts a program. The kernel reads its file before the call returns, from a disk that may hang. A program that
/// starts after its caller has given up is killed, if `kill_on_drop` is set.
///
/// # Errors
/// It cannot be started.
#[expect(clippy::disallowed_methods, reason = "on a thread of its own")]
pub async fn spawn(mut command: Command) -> io::Result<Child> {
    let task = tokio::task::spawn_blocking(move || command.spawn());
    task.await.map_err(io::Error::other)?
}

/// Runs a long task whose steps read files between its requests on a separate thread, until it completes. For a few
/// tasks only: each occupies a thread.
pub fn duty(work: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Handle::current();
    drop(tokio::task::spawn_blocking(move || runtime.block_on(work)));
}

/// State of the thread until the work is done, even by a panic.
struct Held {
    lanes: Lanes,
    subject: String,
    id: u64,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lanes.end(&self.subject, self.id);
        self.turn.take();
    }
}

/// The caller that waits for the work; may be dropped before the limit.
struct Waiter<'a> {
    lanes: &'a Lanes,
    subject: &'a str,
    id: u64,
    deadline: Instant,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if Instant::now() >= self.deadline {
            return self.lanes.note_overdue(self.subject, self.id);
        }
        let under_way = self.lanes.calls().under_way.get(self.subject).is_some_and(|call| call.id == self.id);
        if let (true, Ok(runtime)) = (under_way, tokio::runtime::Handle::try_current()) {
            let (lanes, subject) = (self.lanes.clone(), self.subject.to_owned());
            let (id, deadline) = (self.id, self.deadline);
            runtime.spawn(async move {
                sleep_until(deadline).await;
                lanes.note_overdue(&subject, id);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Work that hangs until the sender is dropped.
    fn hang() -> (mpsc::Sender<()>, impl FnOnce() -> u8 + Send + 'static) {
        let (release, gate) = mpsc::channel::<()>();
        (release, move || {
            gate.recv().unwrap_err();
            1
        })
    }

    fn lanes() -> Lanes {
        Lanes::with_limit("tests of", Duration::from_millis(20))
    }

    #[tokio::test]
    async fn a_call_that_hangs_is_given_up_and_only_its_subject_stays_busy() {
        let lanes = lanes();
        let (release, work) = hang();
        let stalled = lanes.run("a", "wait", work).await.unwrap_err();
        assert!(stalled.to_string().starts_with("tests of a: wait has not returned for "), "{stalled}");
        assert!(matches!(lanes.run("a", "look", || 2).await, Err(Stalled::Busy { call: "wait", .. })));
        assert_eq!(lanes.run("b", "look", || 2).await, Ok(2));
        assert!(lanes.busy_with(|subject| subject == "a").is_some());
        assert!(lanes.busy_with(|subject| subject == "b").is_none());
        drop(release);
        while lanes.run("a", "look", || 3).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(lanes.calls().overdue, 0);
    }

    #[tokio::test]
    async fn hanging_calls_hold_up_no_others_until_there_are_too_many() {
        let lanes = lanes();
        let mut releases = Vec::new();
        for index in 0..MOST_OVERDUE {
            let (release, work) = hang();
            releases.push(release);
            assert!(matches!(lanes.run(index.to_string(), "wait", work).await, Err(Stalled::Busy { .. })), "{index}");
        }
        assert_eq!(
            lanes.run("other", "look", || 2).await.unwrap_err().to_string(),
            "tests of other: look was not started because 128 other calls have not returned"
        );
        releases.clear();
        while lanes.run("other", "look", || 2).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_caller_that_leaves_does_not_make_the_subject_overdue_before_its_time() {
        let lanes = Lanes::with_limit("tests of", Duration::from_secs(3600));
        let (release, work) = hang();
        let left = tokio::time::timeout(Duration::from_millis(1), lanes.run("a", "wait", work)).await;
        assert!(left.is_err());
        assert_eq!(lanes.calls().overdue, 0);
        drop(release);
        assert_eq!(lanes.run("a", "look", || 2).await, Ok(2), "it waits for its turn");
    }

    #[tokio::test]
    async fn calls_for_one_subject_follow_each_other() {
        let lanes = Lanes::new("tests of");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let call = |number: u8| {
            let seen = Arc::clone(&seen);
            lanes.run("a", "push", move || seen.lock().unwrap().push(number))
        };
        let (one, two, three) = tokio::join!(call(1), call(2), call(3));
        one.and(two).and(three).unwrap();
        assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    }
}
