//! Hints of changes from containerd's own event service, else from the CRI's, else by polling.
//!
//! containerd's service is tried first because it exists in 1.6 and 2.x; `GetContainerEvents` was added in 1.7.

use std::time::Duration;

use containerd_client::events as types;
use containerd_client::services::v1::SubscribeRequest;
use containerd_client::services::v1::events_client::EventsClient;
use jiff::Timestamp;
use prost::{DecodeError, Message};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::connect::Cri;
use crate::core::model::{ContainerId, with_causes};
use crate::cri;
use crate::ports::kubelet::RuntimeEvent;
use crate::supervise::restarting;
use crate::telemetry::Metrics;

/// Hints that may be queued; a full queue delays the stream, and loses nothing.
const QUEUE: usize = 256;
/// Delay before a lost stream is reopened, and interval of polling without a stream.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it takes until a subscription is in force; hints may be missed before, so everything is read again after
/// it.
const SETTLE: Duration = Duration::from_millis(100);

/// Why the event stream ended.
enum Ended {
    /// The receiver was dropped.
    NoReader,
    Broken,
    /// The runtime does not have this service.
    Unimplemented,
}

/// Watches until the receiver is dropped.
pub(super) fn watch(cri: Cri) -> mpsc::Receiver<RuntimeEvent> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let never = CancellationToken::new();
    restarting("runtime events", &never, (cri, sender), |(cri, sender)| Box::pin(follow(cri, sender)));
    receiver
}

async fn follow(cri: &Cri, sender: &mpsc::Sender<RuntimeEvent>) {
    loop {
        let ended = match containerd(cri, sender).await {
            Ended::Unimplemented => container_events(cri, sender).await,
            other => other,
        };
        match ended {
            Ended::NoReader => return,
            Ended::Broken => {}
            Ended::Unimplemented => {
                if sender.send(RuntimeEvent::Resync).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = sender.closed() => return,
        }
    }
}

async fn containerd(cri: &Cri, sender: &mpsc::Sender<RuntimeEvent>) -> Ended {
    let filters = ["/tasks/", "/containers/delete", "/sandboxes/"]
        .map(|topic| format!("namespace==k8s.io,topic~=^{topic}"))
        .to_vec();
    let mut client = EventsClient::new(cri.channel.clone());
    // The response's header is only sent with the first event, which may take long.
    let subscribe = client.subscribe(SubscribeRequest { filters });
    tokio::pin!(subscribe);
    let first = tokio::select! {
        answer = &mut subscribe => Some(answer),
        () = tokio::time::sleep(SETTLE) => None,
    };
    let pending = first.is_none();
    let is_open = !matches!(&first, Some(Err(_)));
    if is_open {
        count(cri, |metrics| metrics.event_streams.with([]).inc());
    }
    if is_open && sender.send(RuntimeEvent::Resync).await.is_err() {
        return Ended::NoReader;
    }
    let answer = match first {
        Some(answer) => answer,
        None => tokio::select! {
            answer = &mut subscribe => answer,
            () = sender.closed() => return Ended::NoReader,
        },
    };
    let mut stream = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::Unimplemented => return Ended::Unimplemented,
        Err(status) => {
            tracing::debug!(error = with_causes(&status), pending, "containerd's events cannot be read");
            count(cri, |metrics| metrics.event_stream_errors.with([]).inc());
            return Ended::Broken;
        }
    };
    loop {
        let envelope = tokio::select! {
            message = stream.message() => match message {
                Ok(Some(envelope)) => envelope,
                Ok(None) => return Ended::Broken,
                Err(status) => {
                    tracing::info!(error = with_causes(&status), "containerd's event stream ended");
                    return Ended::Broken;
                }
            },
            () = sender.closed() => return Ended::NoReader,
        };
        if let Some(at) = &envelope.timestamp {
            count_age(cri, Timestamp::new(at.seconds, at.nanos).ok());
        }
        let hint = envelope.event.as_ref().map_or(Ok(None), |any| hint(&envelope.topic, &any.value));
        if hint.is_err() {
            count(cri, |metrics| metrics.pleg_discarded.with([]).inc());
        }
        let Ok(Some(event)) = hint else { continue };
        if sender.send(event).await.is_err() {
            return Ended::NoReader;
        }
    }
}

fn count(cri: &Cri, count: impl FnOnce(&Metrics)) {
    if let Some(metrics) = &cri.metrics {
        count(metrics);
    }
}

/// How long an event took from the runtime to here.
fn count_age(cri: &Cri, at: Option<Timestamp>) {
    let age = at.and_then(|at| Duration::try_from(Timestamp::now().duration_since(at)).ok());
    if let Some(age) = age {
        count(cri, |metrics| metrics.event_latency.observe([], age));
    }
}

/// The hint in an event of containerd; `None` if it changes nothing in a pod.
///
/// # Errors
/// The event cannot be decoded.
pub(crate) fn hint(topic: &str, value: &[u8]) -> Result<Option<RuntimeEvent>, DecodeError> {
    let changed = |id: String| Some(RuntimeEvent::Container(ContainerId::from(id)));
    Ok(match topic {
        "/tasks/start" => changed(types::TaskStart::decode(value)?.container_id),
        "/tasks/oom" => changed(types::TaskOom::decode(value)?.container_id),
        "/tasks/exit" => {
            let exit = types::TaskExit::decode(value)?;
            // Another id than the container's is a process that was run in it by exec.
            (exit.id == exit.container_id).then(|| RuntimeEvent::Exited(ContainerId::from(exit.container_id)))
        }
        "/containers/delete" => changed(types::ContainerDelete::decode(value)?.id),
        _ => None,
    })
}

async fn container_events(cri: &Cri, sender: &mpsc::Sender<RuntimeEvent>) -> Ended {
    let mut client = cri.runtime();
    let mut stream = match client.get_container_events(cri::GetEventsRequest {}).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::Unimplemented => return Ended::Unimplemented,
        Err(_) => {
            count(cri, |metrics| metrics.event_stream_errors.with([]).inc());
            return Ended::Broken;
        }
    };
    count(cri, |metrics| metrics.event_streams.with([]).inc());
    if sender.send(RuntimeEvent::Resync).await.is_err() {
        return Ended::NoReader;
    }
    loop {
        let message = tokio::select! {
            message = stream.message() => message,
            () = sender.closed() => return Ended::NoReader,
        };
        let Ok(Some(event)) = message else { return Ended::Broken };
        count_age(cri, Timestamp::from_nanosecond(event.created_at.into()).ok());
        let kind = event.container_event_type();
        let id = ContainerId::from(event.container_id);
        let hint = match kind {
            cri::ContainerEventType::ContainerStoppedEvent => RuntimeEvent::Exited(id),
            cri::ContainerEventType::ContainerCreatedEvent
            | cri::ContainerEventType::ContainerStartedEvent
            | cri::ContainerEventType::ContainerDeletedEvent => RuntimeEvent::Container(id),
        };
        if sender.send(hint).await.is_err() {
            return Ended::NoReader;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(id: &str) -> Vec<u8> {
        types::TaskExit { container_id: "c1".into(), id: id.into(), ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn the_end_of_a_container_is_a_hint_and_the_end_of_an_exec_is_not() {
        assert_eq!(hint("/tasks/exit", &exit("c1")), Ok(Some(RuntimeEvent::Exited("c1".into()))));
        assert_eq!(hint("/tasks/exit", &exit("probe-7")), Ok(None));
    }

    #[test]
    fn undecodable_events_are_passed_over() {
        assert!(hint("/tasks/exit", &[0xff, 0xff, 0xff]).is_err());
    }
}
