//! `/containerLogs`: which container's log is requested, and which part of it (PodLogOptions).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use super::Query;
use crate::core::logs::LogFilter;
use crate::core::model::ContainerId;

/// A request for a container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// The previous run of the container instead of the current one.
    pub previous: bool,
    /// Continue until the container exits.
    pub follow: bool,
    /// Only this many lines from the end; `None` for all.
    pub tail_lines: Option<u64>,
    /// Which of these lines are printed, and how.
    pub filter: LogFilter,
}

/// Why a request is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogRequestError {
    /// A value is not a number or time: 400.
    #[error("{{\"message\": \"Unable to decode query.\"}}")]
    Undecodable,
    /// A value is out of range, or two exclude each other: 422.
    #[error("{{\"message\": \"Invalid request.\"}}")]
    Invalid,
    /// Selecting one stream requires a feature gate that is disabled: 400.
    #[error(
        "unable to return the given log stream: {0:?}. Please enable PodLogsQuerySplitStreams feature gate in kubelet"
    )]
    Stream(String),
}

/// Parses the options of a request received at `now`.
pub fn parse_log_request(query: &Query, now: Timestamp) -> Result<LogRequest, LogRequestError> {
    let number = |name| match query.get(name) {
        None | Some("") => Ok(None),
        Some(text) => text.parse::<i64>().map(Some).map_err(|_| LogRequestError::Undecodable),
    };
    // `tail` is an older name of `tailLines`; `all` means no limit.
    let tail = match query.get("tail") {
        None | Some("") => number("tailLines")?,
        Some("all") => None,
        Some(_) => number("tail")?,
    };
    let since_seconds = number("sinceSeconds")?;
    let since_time = match query.get("sinceTime") {
        None | Some("") => None,
        Some(text) => Some(text.parse::<Timestamp>().map_err(|_| LogRequestError::Undecodable)?),
    };
    let limit = number("limitBytes")?;
    let within = tail.is_none_or(|n| n >= 0) && limit.is_none_or(|n| n >= 1) && since_seconds.is_none_or(|n| n >= 1);
    if !within || (since_seconds.is_some() && since_time.is_some()) {
        return Err(LogRequestError::Invalid);
    }
    match query.get("stream") {
        None | Some("" | "All") => {}
        Some(stream @ ("Stdout" | "Stderr")) => return Err(LogRequestError::Stream(stream.to_owned())),
        Some(_) => return Err(LogRequestError::Invalid),
    }
    let ago = |seconds| now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
    Ok(LogRequest {
        previous: query.flag("previous"),
        follow: query.flag("follow"),
        tail_lines: tail.and_then(|n| u64::try_from(n).ok()),
        filter: LogFilter {
            since: since_time.or(since_seconds.map(ago)),
            timestamps: query.flag("timestamps"),
            limit_bytes: limit.and_then(|n| u64::try_from(n).ok()),
            stream: None,
        },
    })
}

/// Chooses the run whose log is returned. The error is the text that `kubectl logs` prints (upstream
/// `validateContainerLogStatus`).
pub fn choose_log(pod: &str, status: &PodStatus, container: &str, previous: bool) -> Result<ContainerId, String> {
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let named = |list: &Option<Vec<ContainerStatus>>| list.iter().flatten().find(|c| c.name == container).cloned();
    let Some(found) = lists.into_iter().find_map(named) else {
        return Err(format!("container {container:?} in pod {pod:?} is not available"));
    };
    let state = found.state.unwrap_or_default();
    let last = found.last_state.and_then(|s| s.terminated);
    let last_id = || last.as_ref().and_then(|t| t.container_id.as_deref()).filter(|id| !id.is_empty());
    let terminated = || format!("container {container:?} in pod {pod:?} is terminated");
    let id = if previous {
        last_id().ok_or_else(|| format!("previous terminated container {container:?} in pod {pod:?} not found"))?
    } else if state.running.is_some() {
        found.container_id.as_deref().unwrap_or_default()
    } else if let Some(ended) = &state.terminated {
        // There is no id if the next run could not start; then the run before it is shown.
        match ended.container_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => last_id().ok_or_else(terminated)?,
        }
    } else if last.is_some() {
        last_id().ok_or_else(terminated)?
    } else if let Some(waiting) = &state.waiting {
        let why = match waiting.reason.as_deref().unwrap_or_default() {
            "ErrImagePull" => "image can't be pulled",
            "ImagePullBackOff" => "trying and failing to pull image",
            reason => reason,
        };
        return Err(format!("container {container:?} in pod {pod:?} is waiting to start: {why}"));
    } else {
        return Err(format!("container {container:?} in pod {pod:?} is waiting to start - no logs yet"));
    };
    Ok(ContainerId::from(id.split_once("://").map_or(id, |(_, bare)| bare)))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{
        ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    };

    use super::*;

    fn now() -> Timestamp {
        "2024-01-01T00:01:00Z".parse().unwrap()
    }

    #[test]
    fn all_options_are_read() {
        let query = Query::parse(
            "follow=true&previous=true&timestamps=true&tailLines=5&limitBytes=10&sinceSeconds=60&container=c",
        );
        let request = parse_log_request(&query, now()).unwrap();
        assert!(request.follow && request.previous && request.filter.timestamps);
        assert_eq!((request.tail_lines, request.filter.limit_bytes), (Some(5), Some(10)));
        assert_eq!(request.filter.since, Some("2024-01-01T00:00:00Z".parse().unwrap()));
        let alias =
            parse_log_request(&Query::parse("tail=3&sinceTime=2024-01-01T02%3A00%3A00%2B02%3A00"), now()).unwrap();
        assert_eq!(alias.tail_lines, Some(3));
        assert_eq!(alias.filter.since, Some("2024-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(parse_log_request(&Query::parse("tail=all&tailLines=4"), now()).unwrap().tail_lines, None);
        assert_eq!(parse_log_request(&Query::parse("sinceSeconds=9223372036854775807"), now()).map(|_| ()), Ok(()));
    }

    #[test]
    fn wrong_options_are_undecodable_or_invalid() {
        for (text, wanted) in [
            ("tailLines=x", LogRequestError::Undecodable),
            ("sinceTime=yesterday", LogRequestError::Undecodable),
            ("tailLines=-1", LogRequestError::Invalid),
            ("limitBytes=0", LogRequestError::Invalid),
            ("sinceSeconds=0", LogRequestError::Invalid),
            ("sinceSeconds=1&sinceTime=2024-01-01T00:00:00Z", LogRequestError::Invalid),
            ("stream=Stdin", LogRequestError::Invalid),
            ("stream=Stdout", LogRequestError::Stream("Stdout".into())),
        ] {
            assert_eq!(parse_log_request(&Query::parse(text), now()), Err(wanted), "{text}");
        }
    }

    fn terminated(id: &str) -> ContainerState {
        let terminated = ContainerStateTerminated { container_id: Some(id.into()), ..Default::default() };
        ContainerState { terminated: Some(terminated), ..Default::default() }
    }

    fn waiting(reason: &str) -> ContainerState {
        let waiting = ContainerStateWaiting { reason: Some(reason.into()), message: None };
        ContainerState { waiting: Some(waiting), ..Default::default() }
    }

    fn running() -> ContainerState {
        ContainerState { running: Some(ContainerStateRunning::default()), ..Default::default() }
    }

    #[test]
    fn the_run_to_show_follows_from_state_and_last_state() {
        let none = ContainerState::default;
        let cases = [
            (running(), none(), false, Ok("now")),
            (running(), terminated("containerd://old"), true, Ok("old")),
            (running(), none(), true, Err("previous terminated container \"c\" in pod \"p\" not found")),
            (terminated("containerd://end"), none(), false, Ok("end")),
            (terminated(""), terminated("containerd://old"), false, Ok("old")),
            (terminated(""), none(), false, Err("container \"c\" in pod \"p\" is terminated")),
            (waiting("CrashLoopBackOff"), terminated("containerd://old"), false, Ok("old")),
            (
                waiting("ContainerCreating"),
                none(),
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: ContainerCreating"),
            ),
            (
                waiting("ImagePullBackOff"),
                none(),
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image"),
            ),
            (
                waiting("ErrImagePull"),
                none(),
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: image can't be pulled"),
            ),
            (none(), none(), false, Err("container \"c\" in pod \"p\" is waiting to start - no logs yet")),
        ];
        for (state, last_state, previous, wanted) in cases {
            let container = ContainerStatus {
                name: "c".into(),
                container_id: Some("containerd://now".into()),
                state: Some(state),
                last_state: Some(last_state),
                ..Default::default()
            };
            let status = PodStatus { ephemeral_container_statuses: Some(vec![container]), ..Default::default() };
            let chosen = choose_log("p", &status, "c", previous);
            assert_eq!(chosen.as_ref().map(ContainerId::as_str).map_err(String::as_str), wanted);
        }
        let unknown = choose_log("p", &PodStatus::default(), "c", false).unwrap_err();
        assert_eq!(unknown, "container \"c\" in pod \"p\" is not available");
    }
}
