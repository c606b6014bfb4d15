//! Completion of systemd's jobs, subscribed to once per connection.
//!
//! A subscription for each job would cost five more bus messages for each slice of a pod, and concurrent waiters would
//! be woken by each other's jobs.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use tokio::sync::mpsc;
use zbus::OwnedObjectPath;

use super::manager::{JobRemovedStream, ManagerProxy};
use crate::core::model::with_causes;

/// A job and its result.
type End = (OwnedObjectPath, String);

/// All waiters; each receives the result of every job.
#[derive(Debug, Default)]
struct Waiters {
    last: u64,
    senders: HashMap<u64, mpsc::UnboundedSender<End>>,
}

/// Listener of one connection. Clones share the state.
#[derive(Clone, Debug, Default)]
pub(in crate::adapters) struct Jobs(Arc<Mutex<Waiters>>);

impl Jobs {
    /// Listens until the connection closes. systemd sends signals only to subscribers.
    ///
    /// # Errors
    /// The bus rejects it.
    pub async fn listen(manager: &ManagerProxy<'static>) -> zbus::Result<Self> {
        let jobs = Self::default();
        tokio::spawn(jobs.clone().pass_on(manager.receive_job_removed().await?));
        Ok(jobs)
    }

    /// Reads the signals as they arrive: unread signals fill the connection and block everything on it.
    async fn pass_on(self, mut signals: JobRemovedStream) {
        while let Some(signal) = signals.next().await {
            match signal.args() {
                Ok(ended) => self.tell(&(ended.job.clone(), ended.result.clone())),
                Err(error) => tracing::warn!(error = with_causes(&error), "systemd's job signal cannot be read"),
            }
        }
        self.waiters(|waiters| waiters.senders.clear());
    }

    fn tell(&self, end: &End) {
        self.waiters(|waiters| waiters.senders.retain(|_, waiter| waiter.send(end.clone()).is_ok()));
    }

    fn waiters<T>(&self, change: impl FnOnce(&mut Waiters) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Requests a job and waits for it; returns its result (`done`, `failed`, …).
    ///
    /// # Errors
    /// The call's own error; or the connection was closed.
    pub async fn end_of(&self, call: impl Future<Output = zbus::Result<OwnedObjectPath>>) -> zbus::Result<String> {
        // Before the call, because a quick job may complete before the response is read.
        let mut waiter = Waiter::enter(self);
        let job = pin!(call).await?;
        loop {
            let (ended, result) = waiter
                .ends
                .recv()
                .await
                .ok_or_else(|| zbus::Error::Failure("the bus closed while a job ran".to_owned()))?;
            if ended == job {
                return Ok(result);
            }
        }
    }
}

/// A waiter, until it is dropped.
struct Waiter<'a> {
    jobs: &'a Jobs,
    number: u64,
    ends: mpsc::UnboundedReceiver<End>,
}

impl<'a> Waiter<'a> {
    fn enter(jobs: &'a Jobs) -> Self {
        let (sender, ends) = mpsc::unbounded_channel();
        let number = jobs.waiters(|waiters| {
            waiters.last = waiters.last.wrapping_add(1);
            waiters.senders.insert(waiters.last, sender);
            waiters.last
        });
        Self { jobs, number, ends }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.jobs.waiters(|waiters| waiters.senders.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(number: u32) -> OwnedObjectPath {
        OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{number}")).expect("a path")
    }

    #[tokio::test]
    async fn each_hears_of_its_own_job_also_of_one_that_is_over_before_the_answer() {
        let jobs = Jobs::default();
        let quick = jobs.end_of(async {
            jobs.tell(&(path(2), "failed".into()));
            jobs.tell(&(path(1), "done".into()));
            Ok(path(1))
        });
        assert_eq!(quick.await.expect("an end"), "done");
        let slow = tokio::spawn({
            let jobs = jobs.clone();
            async move { jobs.end_of(async { Ok(path(7)) }).await }
        });
        tokio::task::yield_now().await;
        jobs.tell(&(path(8), "done".into()));
        jobs.tell(&(path(7), "canceled".into()));
        assert_eq!(slow.await.expect("a task").expect("an end"), "canceled");
        assert!(jobs.waiters(|waiters| waiters.senders.is_empty()));
    }

    #[tokio::test]
    async fn who_waits_hears_that_the_bus_closed_and_who_leaves_keeps_no_place() {
        let jobs = Jobs::default();
        let closed = jobs.end_of(async {
            jobs.waiters(|waiters| waiters.senders.clear());
            Ok(path(1))
        });
        assert!(closed.await.is_err());
        let refused = jobs.end_of(async { Err(zbus::Error::Failure("no".into())) });
        assert!(refused.await.is_err());
        assert!(jobs.waiters(|waiters| waiters.senders.is_empty()));
    }
}
