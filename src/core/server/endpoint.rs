//! Paths of the server: endpoint, allowed methods, and required permission (upstream `server/auth.go`).

use super::query::decode_segment;

/// A pod that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    /// `metadata.namespace` of the pod.
    pub namespace: String,
    /// `metadata.name` of the pod.
    pub name: String,
    /// Uid, `None` if the path has none; for a static pod it may be the mirror pod's.
    pub uid: Option<String>,
}

/// A container that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRef {
    /// Namespace, name and uid of its pod.
    pub pod: PodRef,
    /// Name of the container in the pod.
    pub container: String,
}

/// The endpoint that a path refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are named like their paths")]
pub enum Endpoint {
    /// `/healthz`, or one of its checks.
    Healthz(Option<String>),
    Pods,
    RunningPods,
    StatsSummary,
    Metrics,
    MetricsCadvisor,
    MetricsResource,
    MetricsProbes,
    MetricsSlis,
    /// A file or directory below `/var/log`, percent-decoded.
    NodeLogs(String),
    ContainerLogs(ContainerRef),
    Exec(ContainerRef),
    Attach(ContainerRef),
    PortForward(PodRef),
    Run(ContainerRef),
    Configz,
    Flagz,
    Statusz,
    Checkpoint(ContainerRef),
    /// Settings that can be changed at runtime; `v` is the only one.
    DebugFlags(Option<String>),
    /// Go's profiles, which this kubelet does not have.
    Debug,
}

impl Endpoint {
    /// Parses a path; `None` is "not found".
    pub fn parse(path: &str) -> Option<Self> {
        let segments: Vec<String> = path.trim_matches('/').split('/').map(decode_segment).collect();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        Some(match parts.as_slice() {
            ["healthz"] => Self::Healthz(None),
            ["healthz", check @ ("ping" | "log" | "syncloop")] => Self::Healthz(Some((*check).to_owned())),
            ["pods"] => Self::Pods,
            ["runningpods"] => Self::RunningPods,
            ["stats", "summary"] => Self::StatsSummary,
            ["metrics"] => Self::Metrics,
            ["metrics", "cadvisor"] => Self::MetricsCadvisor,
            ["metrics", "resource"] => Self::MetricsResource,
            ["metrics", "probes"] => Self::MetricsProbes,
            ["metrics", "slis"] => Self::MetricsSlis,
            ["logs", rest @ ..] => Self::NodeLogs(rest.join("/")),
            ["containerLogs", namespace, name, container] => {
                Self::ContainerLogs(container_ref(namespace, name, container))
            }
            ["exec", rest @ ..] => Self::Exec(container_path(rest)?),
            ["attach", rest @ ..] => Self::Attach(container_path(rest)?),
            ["run", rest @ ..] => Self::Run(container_path(rest)?),
            ["portForward", namespace, name] => Self::PortForward(pod_ref(namespace, name, None)),
            ["portForward", namespace, name, uid] => Self::PortForward(pod_ref(namespace, name, Some(uid))),
            ["configz"] => Self::Configz,
            ["flagz"] => Self::Flagz,
            ["statusz"] => Self::Statusz,
            ["checkpoint", namespace, name, container] => Self::Checkpoint(container_ref(namespace, name, container)),
            ["debug", "flags"] => Self::DebugFlags(None),
            ["debug", "flags", flag] => Self::DebugFlags(Some((*flag).to_owned())),
            ["debug", ..] => Self::Debug,
            _ => return None,
        })
    }

    /// Methods that the path supports; others get 405.
    pub fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Exec(_) | Self::Attach(_) | Self::PortForward(_) | Self::StatsSummary => &["GET", "POST"],
            Self::Run(_) | Self::Checkpoint(_) => &["POST"],
            Self::DebugFlags(_) => &["GET", "PUT", "POST", "PATCH", "DELETE"],
            Self::Debug => &["GET", "PUT"],
            _ => &["GET"],
        }
    }

    /// True if the read-only port serves it.
    pub fn is_read_only(&self) -> bool {
        matches!(
            self,
            Self::Healthz(_)
                | Self::Pods
                | Self::StatsSummary
                | Self::Metrics
                | Self::MetricsCadvisor
                | Self::MetricsResource
                | Self::MetricsProbes
                | Self::MetricsSlis
        )
    }

    /// True if its response may take hours while it holds a file or a connection.
    pub fn is_stream(&self) -> bool {
        matches!(
            self,
            Self::ContainerLogs(_) | Self::NodeLogs(_) | Self::Exec(_) | Self::Attach(_) | Self::PortForward(_)
        )
    }

    /// The subresource of a stream that may be a WebSocket, as `kubelet_websocket_streaming_requests_total` names it.
    pub fn stream_name(&self) -> Option<&'static str> {
        match self {
            Self::Exec(_) => Some("exec"),
            Self::Attach(_) => Some("attach"),
            Self::PortForward(_) => Some("portforward"),
            _ => None,
        }
    }

    /// Whether `enableDebuggingHandlers: false` turns it off.
    pub fn is_debugging(&self) -> bool {
        matches!(
            self,
            Self::Run(_)
                | Self::Exec(_)
                | Self::Attach(_)
                | Self::PortForward(_)
                | Self::ContainerLogs(_)
                | Self::RunningPods
                | Self::Debug
                | Self::DebugFlags(_)
                | Self::NodeLogs(_)
        )
    }
}

fn pod_ref(namespace: &str, name: &str, uid: Option<&str>) -> PodRef {
    PodRef { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.map(str::to_owned) }
}

fn container_ref(namespace: &str, name: &str, container: &str) -> ContainerRef {
    ContainerRef { pod: pod_ref(namespace, name, None), container: container.to_owned() }
}

fn container_path(parts: &[&str]) -> Option<ContainerRef> {
    match parts {
        [namespace, name, container] => Some(container_ref(namespace, name, container)),
        [namespace, name, uid, container] => {
            Some(ContainerRef { pod: pod_ref(namespace, name, Some(uid)), container: (*container).to_owned() })
        }
        _ => None,
    }
}

/// Subresources of `nodes`, one of which must be granted for a path, in the order in which they are checked.
///
/// The finer ones are KubeletFineGrainedAuthz (KEP-2862). An unknown path requires `proxy`, so that only users with
/// full access can find out which paths exist.
/// everything learns what there is.
pub fn subresources(path: &str) -> &'static [&'static str] {
    let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match () {
        () if below("/stats") => &["stats"],
        () if below("/metrics") => &["metrics"],
        () if below("/logs") => &["log"],
        () if below("/checkpoint") => &["checkpoint"],
        () if below("/statusz") => &["statusz"],
        () if below("/flagz") => &["configz"],
        () if below("/pods") || below("/runningpods") => &["pods", "proxy"],
        () if below("/healthz") => &["healthz", "proxy"],
        () if below("/configz") => &["configz", "proxy"],
        () => &["proxy"],
    }
}

/// The API's verb for an HTTP method; empty if it has none.
pub fn verb(method: &str) -> &'static str {
    match method {
        "POST" => "create",
        "GET" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

/// The `path` label of the request metrics: a closed set, so that requests cannot create arbitrary series.
pub fn metrics_bucket(path: &str) -> &'static str {
    const KNOWN: &[&str] = &[
        "healthz",
        "pods",
        "stats",
        "metrics",
        "metrics/cadvisor",
        "metrics/probes",
        "metrics/resource",
        "metrics/slis",
        "run",
        "exec",
        "attach",
        "portForward",
        "containerLogs",
        "configz",
        "runningpods",
        "checkpoint",
        "flagz",
        "statusz",
        "logs",
        "debug",
    ];
    let trimmed = path.trim_start_matches('/');
    let names = if trimmed.starts_with("metrics/") { 2 } else { 1 };
    let named = |known: &&&str| trimmed.split('/').take(names).eq(known.split('/'));
    KNOWN.iter().find(named).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_name_pods_and_containers_with_and_without_uid() {
        let Some(Endpoint::Exec(plain)) = Endpoint::parse("/exec/ns/pod/c") else { panic!("no exec") };
        assert_eq!((plain.pod.uid, plain.container.as_str()), (None, "c"));
        let Some(Endpoint::Attach(with)) = Endpoint::parse("/attach/ns/pod/u-1/c") else { panic!("no attach") };
        assert_eq!((with.pod.uid.as_deref(), with.container.as_str()), (Some("u-1"), "c"));
        assert_eq!(Endpoint::parse("/portForward/ns/pod"), Some(Endpoint::PortForward(pod_ref("ns", "pod", None))));
        assert_eq!(Endpoint::parse("/logs/pods/a%20b"), Some(Endpoint::NodeLogs("pods/a b".into())));
        assert_eq!(Endpoint::parse("/runningpods/"), Some(Endpoint::RunningPods));
        for nothing in
            ["/", "", "/exec/ns/pod", "/exec/a/b/c/d/e", "/healthz/other", "/portforward/ns/pod", "/metricsx"]
        {
            assert_eq!(Endpoint::parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn every_path_has_the_subresources_of_upstream() {
        for (path, wanted) in [
            ("/stats/summary", &["stats"][..]),
            ("/metrics", &["metrics"]),
            ("/metrics/cadvisor", &["metrics"]),
            ("/logs/", &["log"]),
            ("/checkpoint/a/b/c", &["checkpoint"]),
            ("/statusz", &["statusz"]),
            ("/flagz", &["configz"]),
            ("/configz", &["configz", "proxy"]),
            ("/pods", &["pods", "proxy"]),
            ("/runningpods/", &["pods", "proxy"]),
            ("/healthz/ping", &["healthz", "proxy"]),
            ("/exec/a/b/c", &["proxy"]),
            ("/containerLogs/a/b/c", &["proxy"]),
            ("/run/a/b/c", &["proxy"]),
            ("/statsx", &["proxy"]),
            ("/nothing", &["proxy"]),
            ("//pods", &["proxy"]),
        ] {
            assert_eq!(subresources(path), wanted, "{path}");
        }
    }

    #[test]
    fn metric_labels_of_paths_are_a_closed_set() {
        assert_eq!(metrics_bucket("/metrics/resource"), "metrics/resource");
        assert_eq!(metrics_bucket("/exec/a/b/c"), "exec");
        assert_eq!(metrics_bucket("/whatever"), "other");
        assert_eq!(metrics_bucket("/metrics/other/x"), "other");
    }

    proptest! {
        // Authorization uses the raw path, dispatch the decoded segments: they must never disagree in a way that allows
        // a request with a weaker permission than the endpoint requires.
        #[test]
        fn no_spelling_of_a_path_reaches_an_endpoint_with_a_foreign_permission(path in "[/%a-zA-Z0-9.]{0,30}") {
            if let Some(Endpoint::Exec(_) | Endpoint::Attach(_) | Endpoint::Run(_) | Endpoint::ContainerLogs(_)
                | Endpoint::PortForward(_)) = Endpoint::parse(&path)
            {
                prop_assert_eq!(subresources(&path), &["proxy"]);
            }
        }
    }
}
