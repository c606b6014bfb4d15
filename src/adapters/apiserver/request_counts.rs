//! Counts requests to the API server as client-go does (`component-base/metrics/prometheus/restclient`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hyper::body::{Body, Buf, Frame, SizeHint};
use hyper::{Request, Response, Uri};
use tower::{Layer, Service};

use crate::telemetry::Metrics;

/// The label `code` of a request that got no answer.
const NO_ANSWER: &str = "<error>";

/// Counts the requests that reach the network; without metrics it does nothing.
#[derive(Clone, Debug)]
pub struct RequestCounts(Option<Arc<Metrics>>);

impl RequestCounts {
    /// Counts requests into these metrics.
    pub fn new(metrics: Option<Arc<Metrics>>) -> Self {
        Self(metrics)
    }
}

impl<S> Layer<S> for RequestCounts {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted { inner, metrics: self.0.clone() }
    }
}

/// The server of a request, as the label `host` names it.
pub(super) fn host_of(uri: &Uri) -> String {
    uri.authority().map(ToString::to_string).unwrap_or_default()
}

/// One request under way. Dropped without an answer, it counts as one that got none.
struct Pending {
    metrics: Arc<Metrics>,
    verb: String,
    host: String,
    began: Instant,
    /// Its answer goes on for as long as the server likes: its size says nothing.
    is_watch: bool,
    code: Option<String>,
}

impl Pending {
    fn of<B: Body>(request: &Request<B>, metrics: Arc<Metrics>) -> Self {
        let (verb, host) = (request.method().to_string(), host_of(request.uri()));
        if let Some(size) = request.body().size_hint().exact() {
            metrics.rest_client_request_size.observe_value([&verb, &host], size as f64);
        }
        let is_watch = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
        Self { metrics, verb, host, began: Instant::now(), is_watch, code: None }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let (verb, host) = (&*self.verb, &*self.host);
        let code = self.code.as_deref().unwrap_or(NO_ANSWER);
        self.metrics.rest_client_requests.with([code, verb, host]).inc();
        self.metrics.rest_client_duration.observe([verb, host], self.began.elapsed());
    }
}

/// A client whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    metrics: Option<Arc<Metrics>>,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: Body,
{
    type Response = Response<CountedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut pending = self.metrics.clone().map(|metrics| Pending::of(&request, metrics));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let mut size = None;
            if let Some(pending) = &mut pending {
                pending.code = Some(answer.status().as_str().to_owned());
                let labels = (pending.verb.clone(), pending.host.clone());
                size = (!pending.is_watch).then(|| (Arc::clone(&pending.metrics), labels));
            }
            Ok(answer.map(|body| CountedBody { body, bytes: 0, size }))
        })
    }
}

/// The body of an answer, whose size is counted once it has been read to its end.
#[derive(Debug)]
pub struct CountedBody<R> {
    body: R,
    bytes: u64,
    /// Where it is counted, with verb and host; `None` if it is not, or has been.
    size: Option<(Arc<Metrics>, (String, String))>,
}

impl<R: Body + Unpin> Body for CountedBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Buf::remaining);
                self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            }
            Some(Err(_)) => {}
            None => {
                if let Some((metrics, (verb, host))) = self.size.take() {
                    metrics.rest_client_response_size.observe_value([&verb, &host], self.bytes as f64);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // Read to the end even if that is known before: only then is it counted.
        self.size.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use hyper::body::Bytes;
    use tower::{ServiceExt, service_fn};

    use super::*;

    fn request(uri: &str) -> Request<Full<Bytes>> {
        Request::get(uri).body(Full::from("hello")).unwrap()
    }

    #[tokio::test]
    async fn answers_failures_and_requests_that_nobody_waits_for_are_counted() {
        let metrics = Arc::new(Metrics::default());
        let counts = RequestCounts::new(Some(metrics.clone()));
        let server = |request: Request<Full<Bytes>>| async move {
            match request.uri().path() {
                "/hangs" => std::future::pending().await,
                "/fails" => Err(std::io::Error::other("no route")),
                _ => Ok(Response::builder().status(503).body(Full::new(Bytes::from_static(b"sorry!"))).unwrap()),
            }
        };
        let client = counts.layer(service_fn(server));
        let answer = client.clone().oneshot(request("https://10.0.0.1:6443/api")).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "sorry!");
        client.clone().oneshot(request("https://10.0.0.1:6443/fails")).await.unwrap_err();
        drop(
            tokio::time::timeout(std::time::Duration::ZERO, client.oneshot(request("https://10.0.0.1:6443/hangs")))
                .await,
        );
        let host = "10.0.0.1:6443";
        assert_eq!(metrics.rest_client_requests.with(["503", "GET", host]).get(), 1);
        assert_eq!(metrics.rest_client_requests.with(["<error>", "GET", host]).get(), 2);
        assert_eq!(metrics.rest_client_duration.count(["GET", host]), 3);
        assert_eq!(metrics.rest_client_request_size.count(["GET", host]), 3);
        assert_eq!(metrics.rest_client_response_size.count(["GET", host]), 1);
    }
}
