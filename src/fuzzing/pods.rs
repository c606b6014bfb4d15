//! Manifests of static pods, and env files of containers.

use std::path::Path;

use super::input::{first_line, text};
use crate::core::manifest::parse::parse_pods;
use crate::core::manifest::parse_manifest;
use crate::core::render::env::parse_env_file;
use crate::core::yaml::{locate, parse_document};

/// Any bytes as a manifest file or the response of a manifest URL: findings with places inside the text, or a complete
/// pod, which parses to itself when it is written.
pub(super) fn manifest(input: &[u8]) {
    let parse = || parse_manifest(Path::new("/etc/kubernetes/manifests/fuzz.yaml"), input, "node");
    let first = parse();
    assert_eq!(first, parse());
    // YAML has several line breaks.
    let breaks = |c: &char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let lines = String::from_utf8_lossy(input).chars().filter(breaks).count() as u64 + 1;
    match &first {
        Ok(pod) => {
            assert!(pod.metadata.name.as_deref().is_some_and(|name| name.ends_with("-node")));
            assert!(pod.metadata.uid.as_deref().is_some_and(|uid| !uid.is_empty()));
            assert!(pod.spec.as_ref().is_some_and(|spec| !spec.containers.is_empty()));
            let written = serde_json::to_vec(pod).expect("JSON");
            assert_eq!(serde_json::from_slice(&written).ok().as_ref(), Some(pod));
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            for place in findings.iter().filter_map(|finding| finding.place) {
                assert!(place.line <= lines, "line {} of {lines}", place.line);
            }
        }
    }
    if let Ok(pods) = parse_pods(input) {
        assert!(pods.len() <= input.len());
    }
    if let Ok(value) = parse_document(input) {
        for name in value.as_object().into_iter().flat_map(|map| map.keys()).take(4) {
            assert!(locate(input, name).is_none_or(|place| place.line <= lines));
        }
    }
}

/// First line: a name; the rest: an env file. A quoted value is read unchanged, and reading never increases the size.
pub(super) fn env_file(input: &[u8]) {
    let (name, file) = first_line(input);
    let (Some(name), Some(file)) = (text(name), text(file)) else { return };
    for key in ["A", "KEY", name] {
        let read = parse_env_file(file, key);
        assert_eq!(read, parse_env_file(file, key));
        assert!(read.is_err() || read.is_ok_and(|read| read.len() <= file.len()));
    }
    if !file.contains(['\'', '\r']) {
        assert_eq!(parse_env_file(&format!("# first\nOTHER='x'\nKEY='{file}' # last\n"), "KEY").as_deref(), Ok(file));
    }
}
