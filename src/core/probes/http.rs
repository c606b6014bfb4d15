//! From `httpGet` of a probe or hook to the request (upstream `pkg/probe/http/request.go`, `pkg/probe/util.go`).

use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::core::model::HttpGet;

/// Why there is no port, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The container has no port of that name, and the name is not a number.
    #[error("strconv.Atoi: parsing {0:?}: invalid syntax")]
    Unknown(String),
    /// Not between 1 and 65535.
    #[error("invalid port number: {0}")]
    OutOfRange(i64),
}

/// The number of `port`, which may be a name in the container's spec.
///
/// # Errors
/// An unknown name, or a number out of range.
pub fn port_of(port: &IntOrString, container: &Container) -> Result<u16, PortError> {
    let number = match port {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_deref() == Some(name));
            match named {
                Some(port) => i64::from(port.container_port),
                None => name.parse().map_err(|_| PortError::Unknown(name.clone()))?,
            }
        }
    };
    u16::try_from(number).ok().filter(|n| *n > 0).ok_or(PortError::OutOfRange(number))
}

/// Renders the request; `agent` is the user agent unless the headers set one.
///
/// # Errors
/// The port cannot be resolved.
pub fn render_http_get(
    action: &HTTPGetAction,
    container: &Container,
    pod_ip: Option<&str>,
    agent: &str,
) -> Result<HttpGet, PortError> {
    let mut headers: Vec<(String, String)> =
        action.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect();
    let host_header = first(&headers, "Host").filter(|v| !v.is_empty()).map(str::to_owned);
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Host"));
    if first(&headers, "User-Agent").is_none() {
        headers.push(("User-Agent".into(), agent.into()));
    }
    match first(&headers, "Accept") {
        None => headers.push(("Accept".into(), "*/*".into())),
        Some("") => headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Accept")),
        Some(_) => {}
    }
    let host = action.host.as_deref().filter(|h| !h.is_empty()).or(pod_ip).unwrap_or_default();
    Ok(HttpGet {
        tls: action.scheme.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("https")),
        host: host.to_owned(),
        port: port_of(&action.port, container)?,
        target: render_target(action.path.as_deref().unwrap_or_default()),
        headers,
        host_header,
    })
}

fn first<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Converts the path, as the user wrote it, into a request target: no fragment, a leading slash, and every character
/// escaped that is not allowed in a request line.
fn render_target(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut target = String::with_capacity(path.len().saturating_add(1));
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => target.push(char::from(byte)),
            _ if b"-._~!$&'()*+,;=:@/?%[]".contains(&byte) => target.push(char::from(byte)),
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(action: serde_json::Value) -> Result<HttpGet, String> {
        let container: Container =
            serde_json::from_value(serde_json::json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}))
                .expect("a container");
        let action: HTTPGetAction = serde_json::from_value(action).expect("an action");
        render_http_get(&action, &container, Some("10.1.2.3"), "kube-probe/1.37").map_err(|error| error.to_string())
    }

    #[test]
    fn the_pod_is_asked_unless_a_host_is_named() {
        let plain = get(serde_json::json!({"path": "/healthz?a=b", "port": "web"})).expect("a request");
        assert_eq!((plain.host.as_str(), plain.port, plain.tls), ("10.1.2.3", 8080, false));
        assert_eq!(plain.target, "/healthz?a=b");
        let other = get(serde_json::json!({"host": "127.0.0.1", "port": 1, "scheme": "HTTPS"})).expect("a request");
        assert_eq!((other.host.as_str(), other.tls, other.target.as_str()), ("127.0.0.1", true, "/"));
    }

    #[test]
    fn headers_can_be_overridden_and_accept_removed() {
        let names = |headers: serde_json::Value| {
            let got = get(serde_json::json!({"port": 80, "httpHeaders": headers})).expect("a request");
            (got.headers.into_iter().map(|(n, v)| format!("{n}: {v}")).collect::<Vec<_>>(), got.host_header)
        };
        assert_eq!(names(serde_json::json!([])).0, ["User-Agent: kube-probe/1.37", "Accept: */*"]);
        assert_eq!(
            names(serde_json::json!([
                {"name": "user-agent", "value": "me"}, {"name": "Accept", "value": ""}, {"name": "Host", "value": "a.b"}])),
            (vec!["user-agent: me".to_owned()], Some("a.b".to_owned()))
        );
    }

    #[test]
    fn ports_that_do_not_exist_are_errors() {
        assert_eq!(get(serde_json::json!({"port": 0})), Err("invalid port number: 0".into()));
        assert_eq!(get(serde_json::json!({"port": 70000})), Err("invalid port number: 70000".into()));
        assert!(get(serde_json::json!({"port": "nope"})).is_err());
        assert_eq!(get(serde_json::json!({"port": "81"})).expect("a request").port, 81);
    }

    #[test]
    fn odd_paths_cannot_break_the_request_line() {
        let target = |path: &str| get(serde_json::json!({"port": 80, "path": path})).expect("a request").target;
        assert_eq!(target("a b"), "/a%20b");
        assert_eq!(target("/x\r\nHost: evil"), "/x%0D%0AHost:%20evil");
        assert_eq!(target("/redirect?loc=http%3A%2F%2F0.0.0.0%2F"), "/redirect?loc=http%3A%2F%2F0.0.0.0%2F");
    }
}
