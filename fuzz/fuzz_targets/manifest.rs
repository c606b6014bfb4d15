//! Any bytes as a manifest file: findings or a pod with a name and a uid, never a panic, the same answer each time.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use roost::core::manifest::parse_manifest;

fuzz_target!(|bytes: &[u8]| {
    let parse = || parse_manifest(Path::new("/etc/kubernetes/manifests/fuzz.yaml"), bytes, "node");
    let first = parse();
    if let Ok(pod) = &first {
        assert!(pod.metadata.name.as_deref().is_some_and(|name| name.ends_with("-node")));
        assert!(pod.metadata.uid.as_deref().is_some_and(|uid| !uid.is_empty()));
    }
    assert_eq!(first.is_ok(), parse().is_ok());
});
