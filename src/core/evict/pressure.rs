//! Derives node conditions and exceeded thresholds from observations.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::signal::{Observations, Signal};
use super::threshold::Threshold;
use crate::core::admission::Pressure;

/// What is remembered from one observation to the next.
#[derive(Clone, Debug, Default)]
pub struct PressureState {
    /// Thresholds that are met, and since when.
    met: Vec<(Threshold, Timestamp)>,
    memory_at: Option<Timestamp>,
    disk_at: Option<Timestamp>,
    pid_at: Option<Timestamp>,
}

impl PressureState {
    /// Evaluates an observation. Returns the node's conditions, which last for `transition` after their cause, and the
    /// thresholds whose grace period is over, in the order in which to act on them.
    pub fn observe(
        &mut self,
        thresholds: &[Threshold],
        observed: &Observations,
        transition: Duration,
        now: Timestamp,
    ) -> (Pressure, Vec<Threshold>) {
        let before = std::mem::take(&mut self.met);
        for threshold in thresholds {
            let known = before.iter().find(|(t, _)| t == threshold).map(|(_, since)| *since);
            let met = observed.get(&threshold.signal).is_some_and(|o| {
                // A threshold that was acted on stays met until the minimum reclaim is reached.
                threshold.is_met(*o, known.is_some_and(|since| is_due(threshold, since, now)))
            });
            if met {
                self.met.push((*threshold, known.unwrap_or(now)));
            }
        }
        for (threshold, _) in &self.met {
            match threshold.signal {
                Signal::Memory | Signal::AllocatableMemory => self.memory_at = Some(now),
                Signal::Pid => self.pid_at = Some(now),
                _ => self.disk_at = Some(now),
            }
        }
        let transition = SignedDuration::try_from(transition).unwrap_or(SignedDuration::MAX);
        let holds = |at: Option<Timestamp>| at.is_some_and(|at| at == now || now.duration_since(at) < transition);
        let pressure = Pressure { memory: holds(self.memory_at), disk: holds(self.disk_at), pid: holds(self.pid_at) };
        let mut due: Vec<Threshold> =
            self.met.iter().filter(|(t, since)| is_due(t, *since, now)).map(|(t, _)| *t).collect();
        due.sort_by_key(|t| !matches!(t.signal, Signal::Memory | Signal::AllocatableMemory));
        (pressure, due)
    }
}

fn is_due(threshold: &Threshold, since: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|passed| passed >= threshold.grace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::evict::{Amount, Observation};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn left(signal: Signal, available: u64) -> Observations {
        Observations::from([(signal, Observation { available, capacity: 1000 })])
    }

    fn threshold(signal: Signal, grace: u64) -> Threshold {
        Threshold {
            signal,
            value: Amount::Exact(100),
            grace: Duration::from_secs(grace),
            minimum_reclaim: Some(Amount::Exact(50)),
        }
    }

    const FIVE_MINUTES: Duration = Duration::from_secs(300);

    #[test]
    fn a_hard_threshold_acts_at_once_and_its_condition_lingers() {
        let (mut state, hard) = (PressureState::default(), [threshold(Signal::Memory, 0)]);
        let mut look =
            |available, seconds| state.observe(&hard, &left(Signal::Memory, available), FIVE_MINUTES, at(seconds));
        assert_eq!(look(100, 0), (Pressure::default(), vec![]));
        let (pressure, due) = look(99, 10);
        assert!(pressure.memory && due == hard);
        assert_eq!(look(149, 20).1, hard, "the surplus is not there yet");
        let (pressure, due) = look(150, 30);
        assert!(pressure.memory && due.is_empty());
        assert!(look(150, 319).0.memory);
        assert!(!look(150, 320).0.memory);
    }

    #[test]
    fn a_soft_threshold_waits_for_its_grace() {
        let (mut state, soft) = (PressureState::default(), [threshold(Signal::NodeFs, 60)]);
        let mut look =
            |available, seconds| state.observe(&soft, &left(Signal::NodeFs, available), FIVE_MINUTES, at(seconds));
        let (pressure, due) = look(50, 0);
        assert!(pressure.disk && due.is_empty());
        assert!(look(50, 59).1.is_empty());
        assert!(look(100, 59).1.is_empty(), "no surplus is asked of what was not acted on");
        assert!(look(50, 60).1.is_empty(), "it begins anew");
        assert_eq!(look(50, 120).1, soft);
    }

    #[test]
    fn memory_comes_first_and_what_is_not_measured_is_not_met() {
        let all = [threshold(Signal::Pid, 0), threshold(Signal::Memory, 0), threshold(Signal::NodeFs, 0)];
        let mut observed = left(Signal::Pid, 1);
        observed.extend(left(Signal::Memory, 1));
        let (pressure, due) = PressureState::default().observe(&all, &observed, FIVE_MINUTES, at(0));
        assert_eq!(pressure, Pressure { memory: true, disk: false, pid: true });
        assert_eq!(due.iter().map(|t| t.signal).collect::<Vec<_>>(), [Signal::Memory, Signal::Pid]);
    }
}
