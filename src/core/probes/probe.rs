//! State of one probe of one container id.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1;

use crate::core::model::ProbeResult;
use crate::core::model::time::scaled;

/// The kinds of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeKind {
    /// A failure restarts the container.
    Liveness,
    /// Success sends traffic to the pod.
    Readiness,
    /// Until it succeeds, the other two do not run.
    Startup,
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
            Self::Startup => "Startup",
        })
    }
}

/// Timing and thresholds of a probe, with the API's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Delay after the container's start.
    pub initial_delay: Duration,
    /// Time from one run to the next.
    pub period: Duration,
    /// Consecutive successes for the result Success.
    pub success_threshold: u32,
    /// Consecutive failures for the result Failure.
    pub failure_threshold: u32,
}

impl Timing {
    /// Reads them from the spec; absent and invalid values become the defaults.
    pub fn of(spec: &v1::Probe) -> Self {
        let positive = |value: Option<i32>, default: u32| {
            value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
        };
        Self {
            initial_delay: Duration::from_secs(u64::try_from(spec.initial_delay_seconds.unwrap_or(0)).unwrap_or(0)),
            period: Duration::from_secs(u64::from(positive(spec.period_seconds, 10))),
            success_threshold: positive(spec.success_threshold, 1),
            failure_threshold: positive(spec.failure_threshold, 3),
        }
    }
}

/// First interval of a readiness probe that has not succeeded yet; doubled until it reaches the period.
const EAGER: Duration = Duration::from_millis(250);

/// One probe: when it is due and what its results add up to.
///
/// Runs follow a fixed schedule, `phase + n * period`. In addition, a readiness probe runs as soon as its container may
/// be ready and a few times soon after, without events: upstream has the same effect by probing at each sync of an
/// unready pod.
#[derive(Clone, Debug)]
pub struct Probe {
    kind: ProbeKind,
    timing: Timing,
    phase: Duration,
    not_before: Duration,
    adopted: bool,
    due: Option<Duration>,
    eager: Option<Duration>,
    in_flight: bool,
    last: Option<ProbeResult>,
    run: u32,
    settled: Option<ProbeResult>,
}

impl Probe {
    /// A probe of a container that started at `started`, first due one period after `phase`. It does not run before
    /// [`Self::begin`].
    pub fn new(kind: ProbeKind, timing: Timing, phase: Duration, started: Duration) -> Self {
        let phase = phase.saturating_add(timing.period);
        Self {
            kind,
            timing,
            phase,
            not_before: started.saturating_add(timing.initial_delay),
            adopted: false,
            due: None,
            eager: None,
            in_flight: false,
            last: None,
            run: 0,
            settled: None,
        }
    }

    /// A probe of a container that started before the prober. With `jitter` the first run comes after that fraction (0
    /// to 1) of a period, so that a restarted kubelet does not probe everything at once. Without it, for a container
    /// without a known status, the first run is immediate.
    pub fn adopt(kind: ProbeKind, timing: Timing, now: Duration, age: Duration, jitter: Option<f64>) -> Self {
        let rest = timing.initial_delay.saturating_sub(age);
        let phase = now.saturating_add(scaled(timing.period, jitter.unwrap_or(0.0).clamp(0.0, 1.0)));
        Self {
            phase,
            not_before: now.saturating_add(rest),
            adopted: jitter.is_some(),
            ..Self::new(kind, timing, phase, now)
        }
    }

    /// Starts to run. No effect if it already runs or has its final result.
    pub fn begin(&mut self, now: Duration) {
        if self.due.is_some() || self.in_flight || self.held() {
            return;
        }
        let from = now.max(self.not_before);
        if self.kind == ProbeKind::Readiness && !self.adopted {
            self.eager = (self.timing.period > EAGER).then_some(EAGER);
            self.due = Some(from);
        } else {
            self.due = Some(self.next_tick(from));
        }
    }

    /// Stops with this final result.
    pub fn settle(&mut self, result: ProbeResult) {
        (self.due, self.eager, self.settled) = (None, None, Some(result));
    }

    /// When it has to run next; `None` if it does not run.
    pub fn due(&self) -> Option<Duration> {
        self.due
    }

    /// The overall result; `None` until a threshold was reached.
    pub fn settled(&self) -> Option<ProbeResult> {
        self.settled
    }

    /// Marks a run as started; returns whether a failure should be reported as an event.
    pub fn take(&mut self) -> bool {
        self.due = None;
        self.in_flight = true;
        self.eager.is_none()
    }

    /// Records the result of the run that began at `began`; `None` is a probe that could not be executed and does not
    /// count. Returns whether the overall result changed.
    pub fn answer(&mut self, result: Option<ProbeResult>, began: Duration, now: Duration) -> bool {
        self.in_flight = false;
        let changed = result.is_some_and(|result| self.count(result));
        let tick = self.next_tick(began.saturating_add(Duration::from_millis(1))).max(now);
        let soon =
            self.eager.filter(|_| self.settled != Some(ProbeResult::Success)).map(|step| now.saturating_add(step));
        let soon = soon.filter(|soon| *soon < tick);
        self.eager = self.eager.filter(|_| soon.is_some()).map(|step| step.saturating_mul(2));
        self.due = (!self.held()).then(|| soon.unwrap_or(tick));
        changed
    }

    fn count(&mut self, result: ProbeResult) -> bool {
        self.run = if self.last == Some(result) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(result);
        let threshold = match result {
            ProbeResult::Success => self.timing.success_threshold,
            ProbeResult::Failure => self.timing.failure_threshold,
        };
        if self.run < threshold {
            return false;
        }
        let changed = self.settled != Some(result);
        self.settled = Some(result);
        changed
    }

    /// A failed liveness probe and a startup probe with a result pause until the container is replaced.
    fn held(&self) -> bool {
        match self.kind {
            ProbeKind::Liveness => self.settled == Some(ProbeResult::Failure),
            ProbeKind::Startup => self.settled.is_some(),
            ProbeKind::Readiness => false,
        }
    }

    fn next_tick(&self, from: Duration) -> Duration {
        let Some(since) = from.checked_sub(self.phase) else { return self.phase };
        let period = self.timing.period.as_nanos().max(1);
        let ticks = since.as_nanos().div_ceil(period);
        let nanos = u64::try_from(ticks.saturating_mul(period)).unwrap_or(u64::MAX);
        self.phase.saturating_add(Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    use ProbeResult::{Failure, Success};

    fn timing(initial_delay: u64, period: u64, success_threshold: u32, failure_threshold: u32) -> Timing {
        Timing {
            initial_delay: Duration::from_secs(initial_delay),
            period: Duration::from_secs(period),
            success_threshold,
            failure_threshold,
        }
    }

    fn run(probe: &mut Probe, result: ProbeResult) -> bool {
        let at = probe.due().expect("a due probe");
        probe.take();
        probe.answer(Some(result), at, at)
    }

    #[test]
    fn keeps_its_rhythm_and_waits_for_the_initial_delay() {
        let mut probe = Probe::new(ProbeKind::Liveness, timing(15, 10, 1, 3), 10 * S, 12 * S);
        probe.begin(12 * S);
        assert_eq!(probe.due(), Some(30 * S), "a multiple of the period after the phase, 15 s after the start");
        run(&mut probe, Success);
        assert_eq!(probe.due(), Some(40 * S));
    }

    #[test]
    fn a_run_that_outlasts_its_period_is_followed_at_once() {
        let mut probe = Probe::new(ProbeKind::Liveness, timing(0, 1, 1, 3), 0 * S, 0 * S);
        probe.begin(0 * S);
        assert_eq!(probe.due(), Some(S), "never at the very start");
        probe.take();
        probe.answer(Some(Success), S, 5 * S);
        assert_eq!(probe.due(), Some(5 * S));
    }

    #[test]
    fn liveness_fails_after_its_threshold_and_then_rests() {
        let mut probe = Probe::new(ProbeKind::Liveness, timing(0, 1, 1, 3), 0 * S, 0 * S);
        probe.begin(0 * S);
        for (result, changed) in
            [(Failure, false), (Failure, false), (Success, true), (Failure, false), (Failure, false)]
        {
            assert_eq!(run(&mut probe, result), changed);
        }
        assert!(run(&mut probe, Failure));
        assert_eq!((probe.settled(), probe.due()), (Some(Failure), None));
        probe.begin(9 * S);
        assert_eq!(probe.due(), None);
    }

    #[test]
    fn startup_rests_after_its_success() {
        let mut probe = Probe::new(ProbeKind::Startup, timing(0, 1, 1, 3), 0 * S, 0 * S);
        probe.begin(0 * S);
        assert!(run(&mut probe, Success));
        assert_eq!(probe.due(), None);
    }

    #[test]
    fn readiness_runs_at_once_and_soon_again_until_it_succeeds() {
        let mut probe = Probe::new(ProbeKind::Readiness, timing(0, 10, 1, 3), 3 * S, 3 * S);
        probe.begin(4 * S);
        let ms = |probe: &Probe| probe.due().map(|d| d.as_millis());
        assert_eq!(ms(&probe), Some(4000));
        let mut times = Vec::new();
        for _ in 0..6 {
            run(&mut probe, Failure);
            times.push(probe.due().map_or(0, |d| d.as_millis()));
        }
        assert_eq!(times, [4250, 4750, 5750, 7750, 11_750, 13_000], "250 ms doubled up to the period, then the rhythm");
        assert!(run(&mut probe, Success));
        assert_eq!(ms(&probe), Some(23_000));
    }

    #[test]
    fn a_run_that_cannot_be_made_does_not_count() {
        let mut probe = Probe::new(ProbeKind::Liveness, timing(0, 1, 1, 1), 0 * S, 0 * S);
        probe.begin(0 * S);
        probe.take();
        assert!(!probe.answer(None, S, S));
        assert_eq!((probe.settled(), probe.due()), (None, Some(2 * S)));
    }

    #[test]
    fn a_container_from_before_is_first_probed_within_one_period() {
        let mut probe = Probe::adopt(ProbeKind::Readiness, timing(5, 10, 1, 1), S, 60 * S, Some(0.5));
        probe.begin(S);
        assert_eq!(probe.due(), Some(6 * S));
        let mut young = Probe::adopt(ProbeKind::Liveness, timing(30, 10, 1, 1), S, 10 * S, Some(0.5));
        young.begin(S);
        assert_eq!(young.due(), Some(26 * S), "the rest of the initial delay is kept");
        let mut unknown = Probe::adopt(ProbeKind::Startup, timing(5, 10, 1, 1), S, 60 * S, None);
        unknown.begin(S);
        assert_eq!(unknown.due(), Some(S), "nothing is remembered of it, so it is asked at once");
    }
}
