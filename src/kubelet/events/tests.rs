//! What reaches the API of what was recorded.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::Value;

use super::*;

#[derive(Default)]
struct FakeApi {
    created: Mutex<Vec<Event>>,
    patched: Mutex<Vec<Value>>,
}

#[async_trait]
impl EventApi for FakeApi {
    async fn create(&self, event: &Event) -> Result<Event, ApiError> {
        self.created.lock().unwrap().push(event.clone());
        Ok(event.clone())
    }
    async fn patch(&self, _: &str, _: &str, patch: &Value) -> Result<(), ApiError> {
        self.patched.lock().unwrap().push(patch.clone());
        Ok(())
    }
}

async fn record(messages: impl Iterator<Item = String>) -> Arc<FakeApi> {
    let api = Arc::new(FakeApi::default());
    let (recorder, mut sender) = EventRecorder::new("n", api.clone(), 50, 100);
    let mut pod = Pod::default();
    pod.metadata.name = Some("p".into());
    pod.metadata.namespace = Some("d".into());
    for message in messages {
        recorder.record(EventTarget::Container(&pod, "spec.containers{c}"), EventKind::Warning, "Failed", message);
    }
    drop(recorder);
    sender.run(CancellationToken::new()).await;
    api
}

#[tokio::test(start_paused = true)]
async fn equal_events_are_counted() {
    let api = record((0..3).map(|_| "same".into())).await;
    let created = api.created.lock().unwrap();
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].involved_object.field_path.as_deref(), Some("spec.containers{c}"));
    assert_eq!(created[0].source.as_ref().and_then(|s| s.host.as_deref()), Some("n"));
    assert_eq!(api.patched.lock().unwrap().last().map(|p| p["count"].clone()), Some(Value::from(3)));
}

#[tokio::test(start_paused = true)]
async fn similar_events_are_folded_and_a_chatty_subject_is_held_back() {
    let api = record((0..60).map(|i| format!("message {i}"))).await;
    let created = api.created.lock().unwrap();
    assert_eq!(created.len(), 11, "ten of their own and one for the rest");
    assert!(created[10].message.as_deref().is_some_and(|m| m.starts_with("(combined from similar events)")));
    assert_eq!(api.patched.lock().unwrap().len(), 25 - 11);
}
