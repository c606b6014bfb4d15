//! Liveness of the dispatcher, for `/healthz/syncloop` and systemd's watchdog.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::context::Event;

/// A ping without an answer within this time is a fault: the task never blocks, so it answers within milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// Pings the task through its own queue. Clones share the state.
#[derive(Clone)]
pub struct Liveness {
    events: mpsc::Sender<Event>,
    question: Arc<Mutex<Option<Question>>>,
}

struct Question {
    asked: Instant,
    /// `None` while the queue is full.
    answer: Option<oneshot::Receiver<()>>,
}

impl Liveness {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, question: Arc::default() }
    }

    /// What is wrong; `None` while the task is running. It does not wait: the answer is collected by the next call.
    pub fn fault(&self) -> Option<String> {
        let mut slot = self.question.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = slot.as_ref().map_or_else(Instant::now, |question| question.asked);
        match slot.as_mut().map(|question| question.answer.as_mut().map(oneshot::Receiver::try_recv)) {
            Some(Some(Err(TryRecvError::Closed))) => return Some("the pod table has ended".to_owned()),
            Some(Some(Err(TryRecvError::Empty))) => {
                let late = asked.elapsed() > LIMIT;
                return late.then(|| format!("sync Loop took longer than expected, {} s", asked.elapsed().as_secs()));
            }
            // Answered, never pinged, or not queued: ping (again).
            Some(Some(Ok(()))) | None => *slot = self.ask(Instant::now()),
            Some(None) => *slot = self.ask(asked),
        }
        match slot.as_ref() {
            None => Some("the pod table has ended".to_owned()),
            Some(question) if question.answer.is_none() && asked.elapsed() > LIMIT => {
                Some("the queue of the pod table is full".to_owned())
            }
            Some(_) => None,
        }
    }

    /// `None` if nobody will ever answer.
    fn ask(&self, asked: Instant) -> Option<Question> {
        let (answer, heard) = oneshot::channel();
        match self.events.try_send(Event::Ping(answer)) {
            Ok(()) => Some(Question { asked: Instant::now(), answer: Some(heard) }),
            Err(TrySendError::Full(_)) => Some(Question { asked, answer: None }),
            Err(TrySendError::Closed(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(queue: &mut mpsc::Receiver<Event>) {
        match queue.try_recv() {
            Ok(Event::Ping(answer)) => answer.send(()).unwrap(),
            _ => panic!("no question"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_answers_is_well_and_one_that_hangs_or_is_gone_is_not() {
        let (events, mut queue) = mpsc::channel(1);
        let liveness = Liveness::new(events);
        for _ in 0..3 {
            assert_eq!(liveness.fault(), None);
            answer(&mut queue);
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        assert_eq!(liveness.fault(), None, "it is asked anew");
        assert_eq!(liveness.fault(), None, "an answer may take a moment");
        tokio::time::sleep(LIMIT * 2).await;
        assert_eq!(liveness.fault().as_deref(), Some("sync Loop took longer than expected, 20 s"));
        answer(&mut queue);
        assert_eq!(liveness.fault(), None, "it turns again");
        drop(queue);
        assert_eq!(liveness.fault().as_deref(), Some("the pod table has ended"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stays_full_is_a_fault() {
        let (events, _queue) = mpsc::channel(1);
        events.try_send(Event::Wake("u".into())).unwrap_or_default();
        let liveness = Liveness::new(events);
        assert_eq!(liveness.fault(), None);
        tokio::time::sleep(LIMIT * 2).await;
        assert_eq!(liveness.fault().as_deref(), Some("the queue of the pod table is full"));
    }
}
