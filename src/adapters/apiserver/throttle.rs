//! `kubeAPIQPS` and `kubeAPIBurst`: requests that exceed them are delayed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Request;
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service};

use super::request_counts::host_of;
use crate::core::model::time::Moment;
use crate::telemetry::Metrics;

/// client-go's meaning of zero (`rest.DefaultQPS`, `rest.DefaultBurst`).
const DEFAULT_RATE: u32 = 5;
const DEFAULT_BURST: u32 = 10;

/// A rate limit that all clones share.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// Interval between requests at the full rate.
    interval: Duration,
    /// How far requests may run ahead of the rate.
    ahead: Duration,
    /// When the rate has caught up with the requests sent so far.
    paid: Arc<Mutex<Option<Instant>>>,
    /// Where waits are counted.
    metrics: Option<Arc<Metrics>>,
}

impl Throttle {
    /// A limit of `rate` requests per second, and `burst` at once.
    pub fn new(rate: u32, burst: u32) -> Self {
        let rate = if rate == 0 { DEFAULT_RATE } else { rate };
        let burst = if burst == 0 { DEFAULT_BURST } else { burst };
        let interval = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        Self { interval, ahead: interval.saturating_mul(burst.saturating_sub(1)), paid: Arc::default(), metrics: None }
    }

    /// Counts how long requests wait.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Reserves one request, and returns when it may be sent.
    fn turn(&self, now: Instant) -> Instant {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let from = paid.map_or(now, |paid| paid.max(now));
        *paid = Some(from.later(self.interval));
        from.checked_sub(self.ahead).unwrap_or(now).max(now)
    }
}

/// Heartbeats of the node must not wait for pods, and events have their own rate limit (upstream's clients for
/// heartbeats and events).
fn is_exempt(path: &str) -> bool {
    let is_event = || path.split('/').any(|part| part == "events");
    path.contains("/api/v1/nodes/") || path.contains("/apis/coordination.k8s.io/") || is_event()
}

impl<S> Layer<S> for Throttle {
    type Service = Throttled<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Throttled { inner, throttle: self.clone() }
    }
}

/// A client with a rate limit.
#[derive(Clone, Debug)]
pub struct Throttled<S> {
    inner: S,
    throttle: Throttle,
}

impl<S, B> Service<Request<B>> for Throttled<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let now = Instant::now();
        let turn = (!is_exempt(request.uri().path())).then(|| self.throttle.turn(now));
        if let (Some(metrics), Some(turn)) = (&self.throttle.metrics, turn) {
            let labels = [request.method().as_str(), &host_of(request.uri())];
            metrics.rest_client_throttled.observe(labels, turn.saturating_duration_since(now));
        }
        // The one that said it was ready is the one to call (tower's `Service`).
        let other = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, other);
        Box::pin(async move {
            if let Some(turn) = turn {
                sleep_until(turn).await;
            }
            ready.call(request).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn ask(throttle: &Throttle, path: &str) -> Duration {
        let begun = Instant::now();
        let answer = tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Instant::now()) });
        let request = Request::get(path).body(()).unwrap();
        let answered = tower::ServiceExt::oneshot(throttle.layer(answer), request).await.unwrap();
        answered - begun
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_through_and_the_rest_comes_at_the_rate() {
        let throttle = Throttle::new(10, 3);
        let begun = Instant::now();
        for _ in 0..3 {
            assert_eq!(ask(&throttle, "/api/v1/pods").await, Duration::ZERO);
        }
        for _ in 0..5 {
            ask(&throttle, "/api/v1/namespaces/a/configmaps/b").await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
        tokio::time::advance(Duration::from_secs(10)).await;
        for _ in 0..3 {
            assert_eq!(ask(&throttle, "/api/v1/pods").await, Duration::ZERO);
        }
        assert!(ask(&throttle, "/api/v1/pods").await > Duration::ZERO, "saved up beyond the burst");
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_and_events_do_not_wait_behind_pods() {
        let throttle = Throttle::new(1, 1);
        ask(&throttle, "/api/v1/pods").await;
        for path in [
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1",
            "/api/v1/nodes/n1/status",
            "/api/v1/namespaces/a/events",
        ] {
            assert_eq!(ask(&throttle, path).await, Duration::ZERO, "{path}");
        }
        assert!(ask(&throttle, "/api/v1/pods").await > Duration::ZERO);
    }
}
