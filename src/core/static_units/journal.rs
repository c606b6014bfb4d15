//! Log lines of containers as journal entries.

use crate::core::logs::{Line, Stream};

/// The container that wrote the lines.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Unit for which `journalctl -u` shows the lines.
    pub unit: String,
    /// `metadata.namespace` of the pod.
    pub namespace: String,
    /// Name of the pod as kubectl shows it.
    pub pod: String,
    /// `metadata.uid` of the pod.
    pub uid: String,
    /// Name of the container in the pod.
    pub container: String,
    /// Runtime id of the container.
    pub id: String,
}

/// The journal entry of one line: name and value of each field.
///
/// The journal files the entry under the unit of the process in whose name it is sent. Where that one has exited,
/// `journalctl -u` finds it by `OBJECT_SYSTEMD_UNIT`, which it also matches in entries by root
/// (systemd.journal-fields(7)).
pub fn render_entry<'a>(facts: &'a Facts, line: &Line<'a>, text: &'a [u8]) -> Vec<(&'static str, &'a [u8])> {
    let stream: &[u8] = match line.stream {
        Stream::Stdout => b"stdout",
        Stream::Stderr => b"stderr",
    };
    vec![
        ("MESSAGE", text),
        ("PRIORITY", priority_of(text).as_bytes()),
        ("SYSLOG_IDENTIFIER", facts.container.as_bytes()),
        ("SYSLOG_TIMESTAMP", line.time_text.as_bytes()),
        ("OBJECT_SYSTEMD_UNIT", facts.unit.as_bytes()),
        ("NAMESPACE", facts.namespace.as_bytes()),
        ("POD", facts.pod.as_bytes()),
        ("POD_UID", facts.uid.as_bytes()),
        ("CONTAINER", facts.container.as_bytes()),
        ("CONTAINER_ID", facts.id.as_bytes()),
        ("STREAM", stream),
    ]
}

/// The syslog priority of a line, from its prefix in klog (`E1121 10:00:00.000000`) or zap (`"level":"error"`) format;
/// 6, informational, by default: programs write everything to standard error.
pub fn priority_of(text: &[u8]) -> &'static str {
    let klog =
        |text: &[u8]| matches!(text, [_, date @ .., b' '] if date.len() == 4 && date.iter().all(u8::is_ascii_digit));
    let level = match text.split_at_checked(6) {
        Some((head, _)) if klog(head) => text.get(..1),
        _ => text.strip_prefix(b"{\"level\":\"").and_then(|rest| rest.split(|b| *b == b'"').next()),
    };
    let level = level.unwrap_or_default();
    match level {
        b"F" | b"fatal" | b"panic" | b"dpanic" => "2",
        b"E" | b"error" => "3",
        b"W" | b"warn" => "4",
        b"debug" => "7",
        _ => "6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::logs::parse_line;

    #[test]
    fn a_line_becomes_an_entry_with_fields_to_search_for() {
        let facts = Facts {
            unit: "static-pod@etcd.service".into(),
            namespace: "kube-system".into(),
            pod: "etcd-n1".into(),
            uid: "u".into(),
            container: "etcd".into(),
            id: "c".into(),
        };
        let line = parse_line(b"2026-01-01T00:00:00Z stderr F {\"level\":\"warn\",\"x\":1}").unwrap();
        let entry = render_entry(&facts, &line, line.text);
        let text: Vec<String> =
            entry.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
        assert_eq!(
            text,
            [
                "MESSAGE={\"level\":\"warn\",\"x\":1}",
                "PRIORITY=4",
                "SYSLOG_IDENTIFIER=etcd",
                "SYSLOG_TIMESTAMP=2026-01-01T00:00:00Z",
                "OBJECT_SYSTEMD_UNIT=static-pod@etcd.service",
                "NAMESPACE=kube-system",
                "POD=etcd-n1",
                "POD_UID=u",
                "CONTAINER=etcd",
                "CONTAINER_ID=c",
                "STREAM=stderr"
            ]
        );
    }

    #[test]
    fn priorities_are_read_from_the_usual_headers() {
        let cases: [(&[u8], &str); 8] = [
            (b"E1121 10:00:00.000000       1 x.go:1] no", "3"),
            (b"I1121 10:00:00.000000       1 x.go:1] yes", "6"),
            (b"W1121 10:00", "4"),
            (b"F1121 ", "2"),
            (b"Everything is fine", "6"),
            (b"{\"level\":\"error\"", "3"),
            (b"", "6"),
            (b"\xff\xff", "6"),
        ];
        for (text, priority) in cases {
            assert_eq!(priority_of(text), priority, "{}", String::from_utf8_lossy(text));
        }
    }
}
