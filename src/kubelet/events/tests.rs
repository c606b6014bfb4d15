//! Which recorded events reach the API.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::Value;

use super::*;

#[derive(Default)]
struct FakeApi {
    created: Mutex<Vec<Event>>,
    patched: Mutex<Vec<Value>>,
    /// Errors returned first, in this order.
    refusals: Mutex<VecDeque<ApiError>>,
    asked: Mutex<Vec<Instant>>,
}

impl FakeApi {
    fn answer(&self) -> Result<(), ApiError> {
        self.asked.lock().unwrap().push(Instant::now());
        self.refusals.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl EventApi for FakeApi {
    async fn create(&self, event: &Event) -> Result<Event, ApiError> {
        self.answer()?;
        self.created.lock().unwrap().push(event.clone());
        Ok(event.clone())
    }
    async fn patch(&self, _: &str, _: &str, patch: &Value) -> Result<(), ApiError> {
        self.answer()?;
        self.patched.lock().unwrap().push(patch.clone());
        Ok(())
    }
}

async fn record(messages: impl Iterator<Item = String>) -> Arc<FakeApi> {
    record_by(FakeApi::default(), 50, messages).await
}

async fn record_by(api: FakeApi, qps: u32, messages: impl Iterator<Item = String>) -> Arc<FakeApi> {
    let api = Arc::new(api);
    let (recorder, mut sender) = EventRecorder::new("n", api.clone(), qps, 1);
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

fn refused(code: u16, message: &str) -> ApiError {
    ApiError::Refused { what: "create event".into(), code, message: message.into() }
}

fn unreachable() -> ApiError {
    ApiError::Unreachable { what: "create event".into(), message: "connection refused".into() }
}

fn messages(api: &FakeApi) -> Vec<String> {
    api.created.lock().unwrap().iter().map(|event| event.message.clone().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn events_of_the_start_wait_for_the_server_and_for_the_certificate() {
    let anonymous = r#"events is forbidden: User "system:anonymous" cannot create resource "events" in API group """#;
    let mut refusals: VecDeque<ApiError> = (0..500).map(|_| unreachable()).collect();
    refusals.extend([refused(401, "Unauthorized"), refused(503, "starting"), refused(403, anonymous)]);
    let api = FakeApi { refusals: Mutex::new(refusals), ..FakeApi::default() };
    let api = record_by(api, 50, ["one", "two", "three"].map(String::from).into_iter()).await;
    assert_eq!(messages(&api), ["one", "two", "three"]);
    let asked = api.asked.lock().unwrap();
    assert!(asked.windows(2).take(500).all(|pair| pair[1] - pair[0] <= PAUSE), "{PAUSE:?} at most between two tries");
}

#[tokio::test(start_paused = true)]
async fn later_an_event_is_tried_twelve_times_and_a_refused_one_once() {
    let mut refusals: VecDeque<ApiError> = VecDeque::new();
    let (recorder, mut sender, api) = {
        let api = Arc::new(FakeApi::default());
        let (recorder, sender) = EventRecorder::new("n", api.clone(), 50, 100);
        (recorder, sender, api)
    };
    let task = tokio::spawn(async move { sender.run(CancellationToken::new()).await });
    let say = |message: &str| recorder.record(EventTarget::Node, EventKind::Normal, "R", message.into());
    say("first");
    tokio::time::sleep(Duration::from_secs(1)).await;
    refusals.extend((0..11).map(|_| unreachable()));
    api.refusals.lock().unwrap().append(&mut refusals);
    say("eleven times away");
    tokio::time::sleep(Duration::from_secs(600)).await;
    refusals.extend((0..12).map(|_| unreachable()));
    api.refusals.lock().unwrap().append(&mut refusals);
    say("twelve times away");
    say("then back");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let ends = "events \"x\" is forbidden: unable to create new content in namespace d because it is being terminated";
    for refusal in [refused(403, ends), refused(422, "invalid"), refused(403, "events is forbidden: User \"u\" cannot")]
    {
        api.refusals.lock().unwrap().push_back(refusal);
        say("refused");
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    assert_eq!(messages(&api), ["first", "eleven times away", "then back"]);
    drop(recorder);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_count_that_was_not_sent_is_not_counted() {
    let api = FakeApi::default();
    let api = record_by(api, 50, ["same", "same", "same"].map(String::from).into_iter()).await;
    assert_eq!(api.patched.lock().unwrap().last().map(|p| p["count"].clone()), Some(Value::from(3)));
    let api = Arc::new(FakeApi::default());
    let (recorder, mut sender) = EventRecorder::new("n", api.clone(), 50, 100);
    let task = tokio::spawn(async move { sender.run(CancellationToken::new()).await });
    let say = || recorder.record(EventTarget::Node, EventKind::Normal, "R", "same".into());
    say();
    tokio::time::sleep(Duration::from_secs(1)).await;
    api.refusals.lock().unwrap().extend((0..5).map(|_| unreachable()));
    say();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(api.patched.lock().unwrap().last().map(|p| p["count"].clone()), Some(Value::from(2)));
    drop(recorder);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn more_than_there_is_room_for_is_lost_newest_first_and_counted() {
    let (recorder, _sender) = EventRecorder::new("n", Arc::new(FakeApi::default()), 50, 100);
    for n in 0..BACKLOG + 3 {
        recorder.record(EventTarget::Node, EventKind::Normal, "R", n.to_string());
    }
    assert_eq!(recorder.lost.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_nothing_waits() {
    let (began, many) = (Instant::now(), || (0..20).map(|n| format!("message {n}")));
    record_by(FakeApi::default(), 0, many()).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    record_by(FakeApi::default(), 1, many()).await;
    assert!(began.elapsed() >= Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn annotations_are_sent() {
    let api = Arc::new(FakeApi::default());
    let (recorder, mut sender) = EventRecorder::new("n", api.clone(), 0, 1);
    let annotations = BTreeMap::from([("starved_resource".to_owned(), "memory".to_owned())]);
    recorder.record_annotated(EventTarget::Node, EventKind::Warning, "Evicted", "m".into(), annotations.clone());
    drop(recorder);
    sender.run(CancellationToken::new()).await;
    assert_eq!(api.created.lock().unwrap()[0].metadata.annotations.as_ref(), Some(&annotations));
}
