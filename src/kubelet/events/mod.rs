//! Sends events: counts equal ones, combines similar ones, limits each subject, and buffers them while the API server
//! is unreachable. Recording never blocks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::core::model::labels::CONFIG_HASH;
use crate::core::model::time::{Moment, scaled};
use crate::core::model::with_causes;
use crate::ports::kubelet::{EventApi, EventKind, EventTarget, Events};
use crate::ports::node::ApiError;

/// Events that may be queued.
const BACKLOG: usize = 1000;
/// Distinct events that are remembered for counting.
const REMEMBERED: usize = 1024;
/// Number of similar events (same subject and reason, different messages) after which they are combined into one.
const SIMILAR: u32 = 10;
/// Token bucket of one subject: burst, and time until one more is allowed.
const SUBJECT_BURST: f64 = 25.0;
const SUBJECT_REFILL: Duration = Duration::from_secs(300);
/// Attempts for an event that the server does not answer, and the delay between two (client-go's
/// tools/record/event.go).
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_secs(10);
/// An event older than this starts a new count.
const WINDOW: Duration = Duration::from_secs(600);

/// Records events. Clones share the queue.
#[derive(Clone)]
pub struct EventRecorder {
    node_name: Arc<str>,
    queue: mpsc::Sender<Event>,
    /// Number of events dropped because the queue was full.
    lost: Arc<AtomicU64>,
}

impl Events for EventRecorder {
    fn record(&self, target: EventTarget<'_>, kind: EventKind, reason: &str, message: String) {
        self.record_annotated(target, kind, reason, message, BTreeMap::new());
    }

    fn record_annotated(
        &self,
        target: EventTarget<'_>,
        kind: EventKind,
        reason: &str,
        message: String,
        annotations: BTreeMap<String, String>,
    ) {
        let subject = self.subject(target);
        debug!(subject = subject.name, reason, message, "event");
        let mut event = render_event(&self.node_name, subject, kind, reason, message);
        event.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
        // A full queue means trouble that one more event would not explain.
        if self.queue.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl EventRecorder {
    /// A recorder and its sender; `qps` and `burst` limit the rate, a `qps` of 0 disables the limit.
    pub fn new(node_name: &str, api: Arc<dyn EventApi>, qps: u32, burst: u32) -> (Self, EventSender) {
        let (queue, events) = mpsc::channel(BACKLOG);
        let refill = Duration::from_secs(1).checked_div(qps);
        let lost = Arc::new(AtomicU64::new(0));
        let sender = EventSender {
            api,
            events,
            lost: Arc::clone(&lost),
            heard: false,
            limit: refill.map(|refill| Bucket::new(f64::from(burst.max(1)), refill)),
            known: HashMap::new(),
            similar: HashMap::new(),
            subjects: HashMap::new(),
        };
        (Self { node_name: node_name.into(), queue, lost }, sender)
    }

    fn subject(&self, target: EventTarget<'_>) -> ObjectReference {
        match target {
            EventTarget::Pod(pod) => pod_reference(pod, None),
            EventTarget::Container(pod, path) => pod_reference(pod, Some(path)),
            EventTarget::Node => ObjectReference {
                kind: Some("Node".into()),
                name: Some(self.node_name.to_string()),
                uid: Some(self.node_name.to_string()),
                ..ObjectReference::default()
            },
        }
    }
}

/// Events of a static pod refer to its hash, by which `kubectl describe` finds them for the mirror pod.
fn pod_reference(pod: &Pod, path: Option<&str>) -> ObjectReference {
    let hash = pod.metadata.annotations.as_ref().and_then(|a| a.get(CONFIG_HASH));
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: hash.or(pod.metadata.uid.as_ref()).cloned(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path: path.map(String::from),
    }
}

fn render_event(node_name: &str, subject: ObjectReference, kind: EventKind, reason: &str, message: String) -> Event {
    let now = Timestamp::now();
    let name = format!("{}.{:x}", subject.name.as_deref().unwrap_or_default(), now.as_nanosecond());
    let message = message.chars().take(1024).collect();
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(subject.namespace.clone().unwrap_or_else(|| "default".into())),
            ..ObjectMeta::default()
        },
        involved_object: subject,
        reason: Some(reason.into()),
        message: Some(message),
        source: Some(EventSource { component: Some("kubelet".into()), host: Some(node_name.into()) }),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        type_: Some(if kind == EventKind::Warning { "Warning" } else { "Normal" }.into()),
        reporting_component: Some("kubelet".into()),
        reporting_instance: Some(node_name.into()),
        ..Event::default()
    }
}

struct Known {
    namespace: String,
    name: String,
    count: i32,
    at: Instant,
}

/// Sends the queued events.
pub struct EventSender {
    api: Arc<dyn EventApi>,
    events: mpsc::Receiver<Event>,
    lost: Arc<AtomicU64>,
    /// True once the API server has accepted an event.
    heard: bool,
    /// Rate limit; `None` for no limit.
    limit: Option<Bucket>,
    known: HashMap<String, Known>,
    similar: HashMap<String, (u32, Instant)>,
    subjects: HashMap<String, Bucket>,
}

impl EventSender {
    pub async fn run(&mut self, stop: CancellationToken) {
        while let Some(Some(event)) = stop.run_until_cancelled(self.events.recv()).await {
            if !self.subject_may(&event) {
                continue;
            }
            if let Some(limit) = &mut self.limit {
                sleep_until(limit.take_or_wait(Instant::now())).await;
            }
            let event = self.fold(event);
            if stop.run_until_cancelled(self.deliver(&event)).await.is_none() {
                return;
            }
        }
    }

    /// Sends one event, for which later ones wait. An unreachable server is retried, as in client-go (`recordToSink` in
    /// tools/record/event.go). Before it has accepted any event this is unlimited: at startup the server may not run
    /// yet, or the node may have no certificate.
    async fn deliver(&mut self, event: &Event) {
        let mut tries = 0_u32;
        loop {
            let error = match self.send(event).await {
                Ok(()) => {
                    self.heard = true;
                    let lost = self.lost.swap(0, Ordering::Relaxed);
                    if lost > 0 {
                        warn!(lost, "event queue was full; events were dropped");
                    }
                    return;
                }
                Err(error) => error,
            };
            tries = tries.saturating_add(1);
            let again = match retry(&error) {
                Retry::Never => false,
                Retry::UntilHeard => !self.heard,
                Retry::Often => !self.heard || tries < TRIES,
            };
            if !again {
                warn!(
                    error = with_causes(&error),
                    reason = event.reason,
                    subject = event.involved_object.name,
                    "event lost"
                );
                return;
            }
            debug!(error = with_causes(&error), tries, "event not sent; it will be retried");
            // A random delay first, so that not all nodes send at once when the server comes back.
            let pause = if tries == 1 { scaled(PAUSE, rand::random()) } else { PAUSE };
            tokio::time::sleep(pause).await;
        }
    }

    /// Rate limit of one subject.
    fn subject_may(&mut self, event: &Event) -> bool {
        let key = subject_key(event);
        let now = Instant::now();
        if self.subjects.len() >= REMEMBERED {
            self.subjects.retain(|_, bucket| bucket.level(now) < SUBJECT_BURST);
        }
        self.subjects.entry(key).or_insert_with(|| Bucket::new(SUBJECT_BURST, SUBJECT_REFILL)).try_take(now)
    }

    /// Combines many events that differ only in their message.
    fn fold(&mut self, mut event: Event) -> Event {
        let now = Instant::now();
        let key = format!("{}/{}", subject_key(&event), event.reason.as_deref().unwrap_or_default());
        if self.similar.len() >= REMEMBERED {
            self.similar.retain(|_, (_, at)| at.elapsed() < WINDOW);
        }
        let distinct = !self.known.contains_key(&event_key(&event));
        let (count, at) = self.similar.entry(key).or_insert((0, now));
        if at.elapsed() > WINDOW {
            *count = 0;
        }
        *at = now;
        *count = count.saturating_add(u32::from(distinct));
        if *count > SIMILAR {
            let message = event.message.unwrap_or_default();
            event.message = Some(format!("(combined from similar events): {message}"));
        }
        event
    }

    async fn send(&mut self, event: &Event) -> Result<(), ApiError> {
        let now = Instant::now();
        let folded = event.message.as_deref().is_some_and(|m| m.starts_with("(combined"));
        let key = if folded { format!("{}/combined", subject_key(event)) } else { event_key(event) };
        if let Some(known) = self.known.get_mut(&key).filter(|known| known.at.elapsed() < WINDOW) {
            let count = known.count.saturating_add(1);
            let patch = json!({"count": count, "lastTimestamp": event.last_timestamp, "message": event.message});
            match self.api.patch(&known.namespace, &known.name, &patch).await {
                Err(ApiError::NotFound(_)) => {}
                Ok(()) => {
                    (known.count, known.at) = (count, now);
                    return Ok(());
                }
                refused => return refused,
            }
        }
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, known| known.at.elapsed() < WINDOW);
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let sent = self.api.create(event).await?;
        let namespace = sent.metadata.namespace.unwrap_or_default();
        let name = sent.metadata.name.unwrap_or_default();
        self.known.insert(key, Known { namespace, name, count: 1, at: now });
        Ok(())
    }
}

/// Whether an event is retried after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// The event itself is invalid.
    Never,
    /// The node has no permission yet: it has no certificate, or RBAC rules are still missing.
    UntilHeard,
    /// The server is temporarily unreachable.
    Often,
}

fn retry(error: &ApiError) -> Retry {
    match error {
        ApiError::Unreachable { .. } | ApiError::Refused { code: 401 | 429 | 500.., .. } => Retry::Often,
        // The authorizer's message. A terminating namespace is 403 too, and accepts no more events.
        ApiError::Refused { code: 403, message, .. } if message.contains(": User ") => Retry::UntilHeard,
        ApiError::NotFound(_) | ApiError::AlreadyExists(_) | ApiError::Conflict { .. } | ApiError::Refused { .. } => {
            Retry::Never
        }
    }
}

fn subject_key(event: &Event) -> String {
    let o = &event.involved_object;
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}/{}/{}", part(&o.kind), part(&o.namespace), part(&o.name), part(&o.uid))
}

fn event_key(event: &Event) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let path = part(&event.involved_object.field_path);
    format!("{}/{path}/{}/{}/{}", subject_key(event), part(&event.type_), part(&event.reason), part(&event.message))
}

struct Bucket {
    burst: f64,
    refill: Duration,
    level: f64,
    at: Option<Instant>,
}

impl Bucket {
    fn new(burst: f64, refill: Duration) -> Self {
        Self { burst, refill, level: burst, at: None }
    }

    fn level(&mut self, now: Instant) -> f64 {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.level = (self.level + passed.div_duration_f64(self.refill)).min(self.burst);
        self.level
    }

    fn try_take(&mut self, now: Instant) -> bool {
        let may = self.level(now) >= 1.0;
        if may {
            self.level -= 1.0;
        }
        may
    }

    /// Takes one token; returns when it may be used.
    fn take_or_wait(&mut self, now: Instant) -> Instant {
        let level = self.level(now);
        self.level -= 1.0;
        if level >= 1.0 { now } else { now.later(scaled(self.refill, 1.0 - level)) }
    }
}

#[cfg(test)]
mod tests;
