//! The walk over all fields (that over all flags is in `cli/kubelet.rs`): each is implemented, rejected, or reported by name; none is ignored silently.

use serde_json::{Value, json};

use super::Flags;
use super::document::{merge, set};
use super::fates::{FIELD_FATES, FLAG_FATES, Fate};
use super::fields::{FIELDS, Field, Kind};
use super::tests::load_text;
use super::words::WORDS;
use crate::core::model::KubeletSpec;

/// Result of a configuration.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The typed settings without the fields that only display them, and the warnings.
    Runs(String, Vec<String>),
    Refused(String),
}

fn typed(spec: KubeletSpec) -> Outcome {
    let warnings = spec.warnings.clone();
    let bare = KubeletSpec { effective: Value::Null, flags: Vec::new(), warnings: Vec::new(), ..spec };
    Outcome::Runs(format!("{bare:?}"), warnings)
}

fn outcome(document: &Value) -> Outcome {
    load_text(&document.to_string(), Flags::default()).map_or_else(Outcome::Refused, typed)
}

/// Other settings that are required for a value of the field to be valid.
fn base(path: &str) -> Value {
    let rest = match path {
        "shutdownGracePeriodCriticalPods" => json!({ "shutdownGracePeriod": "60s" }),
        "cgroupsPerQOS" => json!({ "enforceNodeAllocatable": [] }),
        "systemCgroups" => json!({ "cgroupRoot": "/kube" }),
        "preloadedImagesVerificationAllowlist" => {
            json!({ "imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages" })
        }
        "maxParallelImagePulls" => json!({ "serializeImagePulls": false }),
        "mergeDefaultEvictionSettings" => json!({ "evictionHard": { "memory.available": "50Mi" } }),
        "evictionSoft" => json!({ "evictionSoftGracePeriod": { "memory.available": "30s" } }),
        _ => json!({}),
    };
    let mut whole = json!({ "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration" });
    merge(&mut whole, rest);
    whole
}

/// Values to try, some of which are valid for the field.
fn samples(field: &Field) -> Vec<Value> {
    let words = WORDS.iter().find(|(path, _)| *path == field.path).map_or(&[][..], |(_, words)| *words);
    if !words.is_empty() {
        return words.iter().map(|word| json!(word)).collect();
    }
    match field.kind {
        Kind::Bool => vec![json!(true), json!(false)],
        Kind::Int => vec![json!(3), json!(95), json!(131_072)],
        Kind::Float => vec![json!(0.5)],
        Kind::Text => ["/a/b", "sample", "192.0.2.9", "0-1", "1.36", "static", "Static", "20Mi", "unix:///a/b"]
            .map(Value::from)
            .to_vec(),
        Kind::Duration | Kind::Nanoseconds => vec![json!("7s"), json!("200s"), json!("150ms")],
        Kind::SignedDuration => vec![json!("-1s")],
        Kind::Quantity => vec![json!("64Ki")],
        Kind::List => ["/a/b", "192.0.2.9", "none", "net.a", "example.org/a", "TLS_AES_128_GCM_SHA256"]
            .map(|item| json!([item]))
            .to_vec(),
        Kind::Map | Kind::LessMap => [("memory", "1Gi"), ("memory.available", "50Mi"), ("memory.available", "7s")]
            .map(|(name, value)| json!({ name: value }))
            .to_vec(),
        Kind::BoolMap => vec![json!({ "MemoryQoS": true }), json!({ "DynamicResourceAllocation": true })],
        Kind::Json => vec![
            json!({ "a": ["b"] }),
            json!([23]),
            json!([{ "key": "a", "effect": "NoSchedule" }]),
            json!([{ "priority": 1, "shutdownGracePeriodSeconds": 1 }]),
            json!([{ "filePattern": "a", "verbosity": 1 }]),
            json!([{ "numaNode": 0, "limits": { "memory": "1Gi" } }]),
        ],
    }
}

/// True if a valid value of the field changes the typed settings or causes a warning that names it, or if the field is
/// rejected. Rejecting an invalid word does not count: a field may be checked and never read.
fn shows(field: &Field, fates: &[(&str, Fate)]) -> bool {
    let fate = fates.iter().find(|(path, _)| *path == field.path).map(|(_, fate)| *fate);
    let Outcome::Runs(before, told_before) = outcome(&base(field.path)) else { panic!("the base of {}", field.path) };
    samples(field).into_iter().any(|sample| {
        let mut document = base(field.path);
        set(&mut document, field.path, sample);
        match outcome(&document) {
            Outcome::Refused(text) => matches!(fate, Some(Fate::Refused(..))) && text.contains("is not supported"),
            Outcome::Runs(after, _) if after != before => true,
            Outcome::Runs(_, told) => {
                let named =
                    told.iter().filter(|line| !told_before.contains(line)).any(|line| line.contains(field.path));
                let by_fate = matches!(fate, Some(Fate::Warned(..)));
                named && (by_fate || !FIELD_FATES.iter().any(|(path, _)| *path == field.path))
            }
        }
    })
}

#[test]
fn every_field_is_carried_out_refused_or_told_of() {
    let silent: Vec<&str> = FIELDS.iter().filter(|field| !shows(field, FIELD_FATES)).map(|field| field.path).collect();
    assert!(silent.is_empty(), "set to valid values, and nothing comes of it: {silent:?}");
}

#[test]
fn the_walk_finds_a_field_that_nobody_reads() {
    for path in ["hairpinMode", "qosReserved", "kernelMemcgNotification", "cpuManagerReconcilePeriod"] {
        let field = FIELDS.iter().find(|field| field.path == path).expect("a field");
        assert!(shows(field, FIELD_FATES) && !shows(field, &[]), "{path}");
    }
}

#[test]
fn a_fate_is_that_of_a_field_or_of_a_flag_that_there_is() {
    for (path, _) in FIELD_FATES {
        assert!(FIELDS.iter().any(|field| field.path == *path), "{path}");
    }
    for (flag, _) in FLAG_FATES {
        assert!(!FIELDS.iter().any(|field| field.flag == *flag), "{flag}");
    }
}

/// What kubeadm v1.36 writes on every node: zeros mean "not set".
#[test]
fn kubeadms_own_file_gives_nothing_to_tell() {
    let text = "apiVersion: kubelet.config.k8s.io/v1beta1\nauthentication:\n  anonymous:\n    enabled: false\n  webhook:\n    \
                cacheTTL: 0s\n    enabled: true\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\nauthorization:\n  \
                mode: Webhook\n  webhook:\n    cacheAuthorizedTTL: 0s\n    cacheUnauthorizedTTL: 0s\ncgroupDriver: systemd\n\
                clusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\ncontainerRuntimeEndpoint: \"\"\n\
                cpuManagerReconcilePeriod: 0s\ncrashLoopBackOff: {}\nevictionPressureTransitionPeriod: 0s\n\
                fileCheckFrequency: 0s\nhealthzBindAddress: 127.0.0.1\nhealthzPort: 10248\nhttpCheckFrequency: 0s\n\
                imageMaximumGCAge: 0s\nimageMinimumGCAge: 0s\nkind: KubeletConfiguration\nlogging:\n  flushFrequency: 0\n  \
                options:\n    json:\n      infoBufferSize: \"0\"\n    text:\n      infoBufferSize: \"0\"\n  verbosity: 0\n\
                memorySwap: {}\nnodeStatusReportFrequency: 0s\nnodeStatusUpdateFrequency: 0s\nrotateCertificates: true\n\
                runtimeRequestTimeout: 0s\nshutdownGracePeriod: 0s\nshutdownGracePeriodCriticalPods: 0s\n\
                staticPodPath: /etc/kubernetes/manifests\nstreamingConnectionIdleTimeout: 0s\nsyncFrequency: 0s\n\
                volumeStatsAggPeriod: 0s\n";
    let spec = load_text(text, Flags::default()).expect("a file of kubeadm");
    assert_eq!(spec.warnings, [""; 0]);
}

#[test]
fn a_field_nobody_knows_is_told_of_with_its_place_and_the_rest_counts() {
    let text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 7\nnoSuchField: 1\n\
                authentication:\n  webhook:\n    noSuchPart: true\nregisterWithTaints:\n- {key: a, effect: NoSchedule, efect: x}\n";
    let spec = load_text(text, Flags::default()).expect("told of, not refused");
    assert_eq!(spec.node.max_pods, 7);
    let warnings: Vec<&str> = spec.warnings.iter().map(|line| line.rsplit('/').next().unwrap_or(line)).collect();
    assert_eq!(
        warnings,
        [
            "config.yaml:7:5: unknown field \"authentication.webhook.noSuchPart\"; it has no effect",
            "config.yaml:4:1: unknown field \"noSuchField\"; it has no effect",
            "config.yaml:9:32: unknown field \"registerWithTaints[0].efect\"; it has no effect",
        ]
    );
    assert!(spec.effective.get("noSuchField").is_none());
}

/// kustomize gives every object a name, and templates may repeat a key (kubernetes#84143, antrea#6156).
#[test]
fn what_tools_leave_in_a_file_is_told_of_and_does_not_end_the_start() {
    let text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmetadata:\n  name: kubelet\nmaxPods: 7\n\
                maxPods: 9\n";
    let spec = load_text(text, Flags::default()).expect("told of, not refused");
    assert_eq!(spec.node.max_pods, 9);
    assert!(spec.warnings.iter().any(|line| line.contains("unknown field \"metadata\"")), "{:?}", spec.warnings);
    let twice = spec.warnings.iter().find(|line| line.contains("the last one is used")).expect("a warning");
    assert!(twice.contains("maxPods") && twice.contains("config.yaml:6:"), "{twice}");
}

#[test]
fn the_documentation_has_every_fate() {
    let text = include_str!("../../../docs/configuration.md");
    let flags = FLAG_FATES.iter().map(|(flag, _)| format!("`--{flag}`"));
    let gates = super::gates::documented().map(str::to_owned);
    let fields = FIELD_FATES.iter().map(|(path, _)| format!("`{path}`"));
    let missing: Vec<String> = fields.chain(flags).chain(gates).filter(|name| !text.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks {missing:?}");
}
