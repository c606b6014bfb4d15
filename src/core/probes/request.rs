//! From a probe's handler to the check to make (upstream `pkg/kubelet/prober/prober.go`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Probe};

use super::http::{PortError, port_of, render_http_get};
use crate::core::model::Check;
use crate::core::render::expand::{Budget, MAX_TOTAL, TooLong, expand};

/// Attempts of a check that could not be executed, within one run.
pub const UNANSWERED_RUNS: usize = 3;

/// Why a probe cannot be run, in upstream's words, for the event.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Its port cannot be resolved.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Its command is longer than a process can be given.
    #[error("the probe's command {0}")]
    Command(TooLong),
    /// It has no handler.
    #[error("missing probe handler for container {0}")]
    NoHandler(
        /// Name of the container.
        String,
    ),
}

/// Resolves a probe's handler against its container and the pod's address; `agent` is the user agent of requests.
///
/// # Errors
/// No handler, a port that cannot be resolved, or a command that is too long.
pub fn derive_check(
    probe: &Probe,
    container: &Container,
    pod_ip: Option<&str>,
    agent: &str,
) -> Result<Check, ProbeError> {
    if let Some(exec) = &probe.exec {
        let literal = |e: &'_ EnvVar| (e.name.clone(), e.value.clone().unwrap_or_default());
        let env: BTreeMap<String, String> = container.env.iter().flatten().map(literal).collect();
        let mut budget = Budget::of(MAX_TOTAL);
        let word = |arg: &String| {
            let word = expand(arg, |name| env.get(name).map(String::as_str))?;
            budget.take(word.len()).map(|()| word)
        };
        let words: Result<Vec<_>, _> = exec.command.iter().flatten().map(word).collect();
        return words.map(Check::Exec).map_err(ProbeError::Command);
    }
    if let Some(get) = &probe.http_get {
        return Ok(Check::Http(render_http_get(get, container, pod_ip, agent)?));
    }
    let ip = pod_ip.unwrap_or_default().to_owned();
    if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.clone().filter(|h| !h.is_empty()).unwrap_or(ip);
        return Ok(Check::Tcp { host, port: port_of(&tcp.port, container)? });
    }
    if let Some(grpc) = &probe.grpc {
        let port = u16::try_from(grpc.port).map_err(|_| PortError::OutOfRange(grpc.port.into()))?;
        return Ok(Check::Grpc { host: ip, port, service: grpc.service.clone().unwrap_or_default() });
    }
    Err(ProbeError::NoHandler(container.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(probe: serde_json::Value) -> Result<Check, String> {
        let container: Container = serde_json::from_value(serde_json::json!({"name": "c", "env": [
            {"name": "A", "value": "one"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}))
        .expect("a container");
        let probe: Probe = serde_json::from_value(probe).expect("a probe");
        derive_check(&probe, &container, Some("10.0.0.9"), "agent").map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_that_no_process_could_be_given_is_refused() {
        let container: Container = serde_json::from_value(serde_json::json!({"name": "c", "env": [
            {"name": "A", "value": "x".repeat(100 << 10)}]}))
        .expect("a container");
        let check = |word: &str, count: usize| {
            let probe = serde_json::json!({"exec": {"command": vec![word; count]}});
            derive_check(&serde_json::from_value(probe).expect("a probe"), &container, None, "agent")
        };
        assert!(check("$(A)", 61).is_ok());
        for (word, count) in [("$(A)", 62), ("$(A)$(A)", 1)] {
            let error = check(word, count).expect_err("too long").to_string();
            assert!(error.starts_with("the probe's command is longer than"), "{error}");
        }
    }

    #[test]
    fn commands_expand_literal_values_only() {
        let got = check(serde_json::json!({"exec": {"command": ["echo", "$(A)", "x$(B)", "$(C)", "$$(A)"]}}));
        let expected: Vec<String> = ["echo", "one", "x", "$(C)", "$(A)"].map(String::from).into();
        assert_eq!(got, Ok(Check::Exec(expected)));
    }

    #[test]
    fn tcp_and_grpc_ask_the_pod() {
        assert_eq!(
            check(serde_json::json!({"tcpSocket": {"port": 80}})),
            Ok(Check::Tcp { host: "10.0.0.9".into(), port: 80 })
        );
        assert_eq!(
            check(serde_json::json!({"grpc": {"port": 5000, "service": "s"}})),
            Ok(Check::Grpc { host: "10.0.0.9".into(), port: 5000, service: "s".into() })
        );
        assert!(check(serde_json::json!({})).is_err());
    }
}
