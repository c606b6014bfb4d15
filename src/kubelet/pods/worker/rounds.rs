//! How long the rounds of a worker take, by what they were about (upstream `kubelet_pod_worker_duration_seconds`).

use std::time::Duration;

use tokio::time::Instant;

/// What a round was about: `create` is the first of a worker.
const CREATE: &str = "create";
const UPDATE: &str = "update";
const SYNC: &str = "sync";
/// A round that ends the pod's containers, and one that takes away what the pod had.
pub(super) const KILL: &str = "kill";
pub(super) const TERMINATED: &str = "terminated";

/// The round under way: a look, a plan, and the pass that follows from it.
#[derive(Debug)]
pub(super) struct Rounds {
    /// When the look was taken, until the round ends or has a pass.
    began: Option<Instant>,
    /// What the next round is about.
    next: &'static str,
    /// The round of the pass under way.
    pass: Option<(&'static str, Instant)>,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { began: None, next: CREATE, pass: None }
    }
}

impl Rounds {
    /// A round begins with a look.
    pub fn begin(&mut self) {
        self.began.get_or_insert_with(Instant::now);
    }

    /// Another definition of the pod came in.
    pub fn updated(&mut self) {
        if self.next != CREATE {
            self.next = UPDATE;
        }
    }

    /// The round has a pass; `about` unless it is an ordinary one.
    pub fn begin_pass(&mut self, about: Option<&'static str>) {
        let began = self.began.take().unwrap_or_else(Instant::now);
        self.pass = Some((about.unwrap_or_else(|| self.take_next()), began));
    }

    /// The pass has ended: what its round was about, and how long it took.
    pub fn end_pass(&mut self) -> Option<(&'static str, Duration)> {
        self.pass.take().map(|(about, began)| (about, began.elapsed()))
    }

    /// The round ends without a pass, if there is one.
    pub fn end(&mut self) -> Option<(&'static str, Duration)> {
        let began = self.began.take()?;
        Some((self.take_next(), began.elapsed()))
    }

    fn take_next(&mut self) -> &'static str {
        std::mem::replace(&mut self.next, SYNC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_round_is_over_with_its_pass_or_without_one() {
        let (mut rounds, second) = (Rounds::default(), Duration::from_secs(1));
        rounds.updated();
        rounds.begin();
        tokio::time::advance(second).await;
        rounds.begin_pass(None);
        assert_eq!(rounds.end(), None, "its pass runs");
        rounds.begin();
        assert_eq!(rounds.end(), Some(("sync", Duration::ZERO)), "a look beside the pass");
        tokio::time::advance(second).await;
        assert_eq!(rounds.end_pass(), Some(("create", 2 * second)));
        rounds.updated();
        rounds.begin();
        assert_eq!(rounds.end(), Some(("update", Duration::ZERO)));
        rounds.begin_pass(Some(KILL));
        assert_eq!(rounds.end_pass(), Some(("kill", Duration::ZERO)));
        assert_eq!((rounds.end(), rounds.end_pass()), (None, None));
    }
}
