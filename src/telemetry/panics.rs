//! Panics in the log: task, place, and the part of the message that contains no data.

use std::any::Any;
use std::future::Future;
use std::panic::PanicHookInfo;
use std::sync::Arc;

tokio::task_local! {
    static TASK: Task;
}

/// Longest text of a panic that is logged, in bytes.
const MAX_TEXT: usize = 200;

/// After these, a panic's text may contain values: a secret, an environment variable, a file's content.
const VALUES: [&str; 5] = [": ", "; ", "\n", " of `", "\""];

/// Name of a task in the log and in `roost_panics_total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Kind of task, such as `pod worker`; one of a fixed set.
    pub kind: &'static str,
    /// The pod, container or file that it works on.
    pub of: Option<Arc<str>>,
}

impl Task {
    /// A task of which there are many, for example one for each pod.
    pub fn of(kind: &'static str, of: &str) -> Self {
        Self { kind, of: Some(of.into()) }
    }
}

impl From<&'static str> for Task {
    fn from(kind: &'static str) -> Self {
        Self { kind, of: None }
    }
}

/// Logs every panic of this process, in place of the text on standard error; `count` receives the kind of the task and
/// must neither panic nor block.
pub fn install(count: impl Fn(&str) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |info| {
        let task = TASK.try_with(Clone::clone).unwrap_or(Task::from("unnamed"));
        count(task.kind);
        log(&task, info);
    }));
}

fn log(task: &Task, info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let text = describe(info.payload());
    tracing::error!(task = task.kind, of = task.of.as_deref(), place, "a task panicked: {text}");
}

/// The part of a panic's message without values: a literal is shown completely, a formatted text up to where its values
/// may begin.
pub fn describe(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        return (*text).to_owned();
    }
    let text = payload.downcast_ref::<String>().map_or("no text", String::as_str);
    let end = VALUES.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len()).min(MAX_TEXT);
    text.get(..text.floor_char_boundary(end)).unwrap_or_default().to_owned()
}

/// Runs a future under the name of its task.
pub fn named<F: Future>(task: Task, future: F) -> impl Future<Output = F::Output> {
    TASK.scope(task, future)
}

/// Calls a function under the name of its task.
pub fn named_call<T>(task: Task, call: impl FnOnce() -> T) -> T {
    TASK.sync_scope(task, call)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(panics: impl FnOnce() + std::panic::UnwindSafe) -> String {
        describe(&*std::panic::catch_unwind(panics).unwrap_err())
    }

    #[test]
    fn the_text_of_a_panic_shows_no_values() {
        let secret = String::from("päss");
        assert_eq!(text_of(|| panic!("the queue is gone")), "the queue is gone");
        assert_eq!(text_of(|| panic!("{} is no number", 7)), "7 is no number");
        let s = secret.clone();
        assert_eq!(
            text_of(move || _ = s.parse::<u8>().map_err(|_| s.clone()).unwrap()),
            "called `Result::unwrap()` on an `Err` value"
        );
        let s = secret.clone();
        assert!(!text_of(move || drop(s[2..].to_owned())).contains('ä'));
        let s = secret.clone();
        assert!(!text_of(move || drop(s[..99].to_owned())).contains("ss"));
        let s = secret.clone();
        assert_eq!(text_of(move || assert_eq!(s, "x")), "assertion `left == right` failed");
        let fail = |secret| -> Result<(), String> { Err(secret) };
        assert!(!text_of(move || fail(secret).expect("a value")).contains("ss"));
        assert_eq!(text_of(|| panic!("{}", "x".repeat(1000))).len(), MAX_TEXT);
    }
}
