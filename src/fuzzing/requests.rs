//! Requests to the kubelet's server: their paths, and the queries for logs and streams.

use jiff::{SignedDuration, Timestamp};

use super::input::{first_line, text};
use crate::core::server::{
    Endpoint, JournalQuery, Query, choose_log, metrics_bucket, parse_journal_query, parse_log_request, parse_ports,
    parse_stdio, subresources,
};

/// Subresources, one of which must be granted for an endpoint, however its path is spelled.
fn needed(endpoint: &Endpoint) -> &'static [&'static str] {
    match endpoint {
        Endpoint::Healthz(_) => &["healthz"],
        Endpoint::Pods | Endpoint::RunningPods => &["pods"],
        Endpoint::StatsSummary => &["stats"],
        Endpoint::Metrics
        | Endpoint::MetricsCadvisor
        | Endpoint::MetricsResource
        | Endpoint::MetricsProbes
        | Endpoint::MetricsSlis => &["metrics"],
        Endpoint::NodeLogs(_) => &["log"],
        Endpoint::Configz | Endpoint::Flagz => &["configz"],
        Endpoint::Statusz => &["statusz"],
        Endpoint::Checkpoint(_) => &["checkpoint"],
        _ => &[],
    }
}

/// No spelling of a path reaches an endpoint with another one's permission; metric labels are a closed set.
pub(super) fn http_path(input: &[u8]) {
    let Some(path) = text(input) else { return };
    let asked = subresources(path);
    assert!(!asked.is_empty());
    assert!(metrics_bucket(path).len() <= "metrics/cadvisor".len());
    let Some(endpoint) = Endpoint::parse(path) else { return };
    assert_eq!(Some(&endpoint), Endpoint::parse(path).as_ref());
    for subresource in asked.iter().filter(|name| **name != "proxy") {
        assert!(needed(&endpoint).contains(subresource), "{endpoint:?} for {subresource}");
    }
    assert!(!endpoint.methods().is_empty());
    assert!(!(endpoint.is_read_only() && endpoint.is_debugging()));
}

/// First line: a query; the rest: a container's status. Options stay in their ranges, and no value becomes an option of
/// journalctl.
pub(super) fn log_query(input: &[u8]) {
    let (query, status) = first_line(input);
    let Some(query) = text(query) else { return };
    let parsed = Query::parse(query);
    assert_eq!(parsed, Query::parse(query));
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    if let Ok(request) = parse_log_request(&parsed, now) {
        assert!(request.tail_lines.is_none_or(|lines| i64::try_from(lines).is_ok()));
        assert!(request.filter.limit_bytes.is_none_or(|bytes| bytes > 0));
        if parsed.get("sinceTime").is_none_or(str::is_empty) {
            assert!(request.filter.since.is_none_or(|since| since <= now - SignedDuration::from_secs(1)));
        }
    }
    if let Ok(Some(wanted)) = parse_journal_query(&parsed) {
        match wanted {
            JournalQuery::File(file) => assert!(file.contains(['/', '\\'])),
            JournalQuery::Units(arguments) => {
                assert!(arguments.len() <= 16);
                for argument in &arguments {
                    let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
                    match name {
                        "--utc" | "--no-pager" => assert_eq!(value, ""),
                        "--output" => assert_eq!(value, "short-precise"),
                        "--unit" => assert!(!value.is_empty() && !value.contains(|c: char| !c.is_ascii_graphic())),
                        "--lines" => assert!(value.parse::<u32>().is_ok()),
                        "--boot" => assert!(value.parse::<i32>().is_ok_and(|boot| boot <= 0)),
                        "--since" | "--until" => assert!(value.ends_with(" UTC")),
                        "--grep" => assert!(!value.is_empty()),
                        other => panic!("{other} is no option for users"),
                    }
                }
            }
        }
    }
    if let Ok(stdio) = parse_stdio(&parsed) {
        assert!((stdio.stdin || stdio.stdout || stdio.stderr) && !(stdio.tty && stdio.stderr));
    }
    let ports = parse_ports(&parsed, true).unwrap_or_default();
    assert!(ports.iter().all(|port| (1..=65535).contains(port)) && ports.len() <= query.len());
    if let Ok(status) = serde_json::from_slice(status) {
        for previous in [false, true] {
            if let Ok(id) = choose_log("p", &status, "c", previous) {
                assert!(!id.as_str().contains("://") || id.as_str().matches("://").count() < 8);
            }
        }
    }
}
