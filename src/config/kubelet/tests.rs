//! Merging, defaults and refusals of the kubelet's configuration.

use std::time::Duration;

use super::document::parse_file;
use super::{Flags, load, read};
use crate::core::model::Release;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

fn flags() -> Flags {
    Flags { node_name: "N1".into(), ..Flags::default() }
}

/// Loads a file with that text, named config.yaml; returns the faults as one text.
pub(super) fn load_text(text: &str, given: Flags) -> Result<crate::core::model::KubeletSpec, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, text).expect("written");
    load(&Flags { config: Some(file), node_name: "n1".into(), ..given }).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_upstreams() {
    let spec = load(&flags()).expect("defaults are valid");
    assert_eq!(spec.node_name, "n1");
    assert_eq!(spec.server.port, 10250);
    assert_eq!(spec.eviction.hard["nodefs.available"], "10%");
    assert_eq!(spec.pods.max_restart_backoff, Duration::from_secs(300));
    assert_eq!(spec.images.max_parallel, Some(1));
    assert_eq!(spec.effective["kind"], "KubeletConfiguration");
    assert_eq!(spec.effective["authentication"]["webhook"]["cacheTTL"], "2m0s");
}

#[test]
fn flags_win_over_drop_ins_and_drop_ins_over_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, format!("{HEAD}maxPods: 10\npodsPerCore: 3\nhealthzPort: 0\nstaticPodPath: pods\n"))
        .expect("written");
    let drop_ins = dir.path().join("d");
    std::fs::create_dir(&drop_ins).expect("made");
    std::fs::write(drop_ins.join("20.conf"), format!("{HEAD}maxPods: 20\nevictionHard: {{memory.available: 1Mi}}\n"))
        .expect("written");
    std::fs::write(drop_ins.join("10.conf"), format!("{HEAD}maxPods: 15\n")).expect("written");
    std::fs::write(drop_ins.join("99.txt"), "garbage").expect("written");
    let mut flags = Flags { config: Some(file), config_dir: Some(drop_ins), ..flags() };
    flags.fields.insert("pods-per-core".into(), "7".into());
    let spec = load(&flags).expect("valid");
    assert_eq!((spec.node.max_pods, spec.node.pods_per_core), (20, 7));
    assert_eq!(spec.server.healthz_port, 0, "an explicit zero of a pointer field stays");
    assert_eq!(spec.eviction.hard.len(), 1, "a given map replaces all defaults");
    assert_eq!(spec.sources.path, Some(dir.path().join("pods")), "relative to the file");
}

#[test]
fn every_fault_is_reported_with_its_place() {
    let text = format!("{HEAD}maxPod: 3\nport: no\nauthentication:\n  webhook:\n    cacheTTL: 5\n");
    let faults = parse_file("c.yaml", text.as_bytes()).expect_err("three faults");
    assert_eq!(
        faults,
        [
            "c.yaml:7:5: authentication.webhook.cacheTTL: want a duration such as \"1m30s\", got a number",
            "c.yaml:3:1: unknown field \"maxPod\"",
            "c.yaml:4:1: port: want a whole number, got true or false",
        ]
    );
    assert!(parse_file("c.yaml", b"kind: Pod\n").is_err());
    assert!(parse_file("c.yaml", b"").is_err());
}

#[test]
fn reserved_processors_stand_in_place_of_reserved_amounts_of_cpu() {
    let with = |list: &str| {
        let mut flags = flags();
        flags.fields.insert("reserved-cpus".into(), list.into());
        flags.fields.insert("kube-reserved".into(), "cpu=100m,memory=1Gi".into());
        load(&flags).map(|spec| spec.eviction)
    };
    let eviction = with("0-2,2,7").expect("a sound list");
    assert_eq!(eviction.system_reserved["cpu"], "4");
    assert_eq!(eviction.kube_reserved.keys().collect::<Vec<_>>(), ["memory"]);
    for bad in ["2-1", "a", "0-99999999", "1,,2"] {
        let error = with(bad).expect_err(bad).to_string();
        assert!(error.contains("reservedSystemCPUs"), "{error}");
    }
}

#[test]
fn reservations_are_quantities_that_are_not_negative() {
    for (bad, name) in [("cpu=-1", "cpu"), ("memory=-9E", "memory"), ("memory=lots", "memory")] {
        for (flag, field) in [("kube-reserved", "kubeReserved"), ("system-reserved", "systemReserved")] {
            let mut flags = flags();
            flags.fields.insert(flag.into(), bad.into());
            let error = load(&flags).expect_err(bad).to_string();
            assert!(error.contains(&format!("{field}: {name}")), "{error}");
        }
    }
}

#[test]
fn a_link_among_the_drop_ins_leads_to_no_other_folder() {
    let dir = tempfile::tempdir().expect("a directory");
    let drop_ins = dir.path().join("d");
    std::fs::create_dir_all(drop_ins.join("inner")).expect("made");
    std::fs::write(drop_ins.join("inner/10.conf"), "garbage: [").expect("written");
    for name in ["up", "inner/up"] {
        std::os::unix::fs::symlink(&drop_ins, drop_ins.join(name)).expect("linked");
    }
    let flags = Flags { config_dir: Some(drop_ins), ..flags() };
    let faults = load(&flags).expect_err("garbage").0;
    assert_eq!(faults.iter().filter(|fault| fault.contains("10.conf")).count(), 1, "{faults:?}");
}

#[test]
fn a_word_that_decides_on_security_is_known_or_a_fault() {
    for (flag, word, known) in [
        ("tls-min-version", "VersionTLS13", true),
        ("tls-min-version", "VersionTLS1.3", false),
        ("tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", true),
        ("tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA348", false),
        ("authorization-mode", "AlwaysAllow", true),
        ("authorization-mode", "alwaysAllow", false),
    ] {
        let mut flags = flags();
        flags.fields.insert(flag.into(), word.into());
        assert_eq!(load(&flags).is_ok(), known, "--{flag}={word}");
    }
    for (line, known) in [
        ("memorySwap: {swapBehavior: NoSwap}", true),
        ("memorySwap: {swapBehavior: noSwap}", false),
        ("imagePullCredentialsVerificationPolicy: AlwaysVerify", true),
        ("imagePullCredentialsVerificationPolicy: Always", false),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, format!("{HEAD}{line}\n")).expect("written");
        assert_eq!(load(&Flags { config: Some(file), ..flags() }).is_ok(), known, "{line}");
    }
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    for (line, named) in [
        ("containerLogMaxSize: 10MB", "containerLogMaxSize"),
        ("containerLogMaxSize: \"-1\"", "containerLogMaxSize"),
        ("userNamespaces: {idsPerPod: 65537}", "userNamespaces.idsPerPod"),
        ("userNamespaces: {idsPerPod: 1152921504606846976}", "userNamespaces.idsPerPod"),
        ("userNamespaces: {idsPerPod: -65536}", "userNamespaces.idsPerPod"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, format!("{HEAD}{line}\n")).expect("written");
        let error = load(&Flags { config: Some(file), ..flags() }).expect_err(line).to_string();
        assert!(error.contains(named), "{line}: {error}");
    }
}

#[test]
fn what_a_file_means_depends_on_the_version_that_is_claimed() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("config.yaml");
    let head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    std::fs::write(&file, format!("{head}kubernetesVersion: v1.36.5\n")).expect("written");
    let given = Flags { config: Some(file.clone()), ..flags() };
    assert_eq!(read(&given).configured().map(|version| version.to_string()), Some("v1.36.5".to_owned()));
    for (release, factor) in Release::all().into_iter().zip([Some(0.9), Some(0.9), None]) {
        let spec = read(&given).finish(release).expect("valid");
        assert_eq!((spec.release, spec.warnings), (release, Vec::new()));
        assert_eq!(
            spec.effective.get("memoryThrottlingFactor").and_then(serde_json::Value::as_f64),
            factor,
            "{release:?}"
        );
        assert!(spec.effective.get("kubernetesVersion").is_none(), "no field of upstream's");
    }
    let mut with_flag = flags();
    with_flag.others.insert("container-hints".into(), "/a".into());
    let [_, v36, v37] = Release::all();
    assert!(read(&with_flag).finish(v36).is_ok());
    let refusal = read(&with_flag).finish(v37).expect_err("removed").to_string();
    assert_eq!(refusal, "--container-hints: v1.37 removed this flag; leave it out");
    std::fs::write(&file, format!("{head}kubernetesVersion: soon\n")).expect("written");
    let refusal = read(&given).finish(v37).expect_err("no version").to_string();
    assert!(refusal.contains("config.yaml:3:1: kubernetesVersion: want a version such as"), "{refusal}");
}
