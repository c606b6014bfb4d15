//! The table against upstream's constants, and the claim of a kubelet.

use super::*;

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

/// `cmd/kubeadm/app/constants/constants.go`, `pkg/probe/http`, `pkg/kubelet/lifecycle` of each version.
#[test]
fn each_version_has_the_names_that_upstream_has() {
    for (release, number, etcd, coredns, pause) in [
        (Release::all()[0], "1.35", "3.6.6-0", "v1.13.1", "3.10.1"),
        (Release::all()[1], "1.36", "3.6.8-0", "v1.14.2", "3.10.2"),
        (Release::all()[2], "1.37", "3.7.0-0", "v1.14.6", "3.10.2"),
    ] {
        assert_eq!(release.name(), format!("v{number}"));
        assert!(release.version.starts_with(&format!("v{number}.")), "{release:?}");
        assert_eq!(release.probe_agent, format!("kube-probe/{number}"));
        assert_eq!(release.hook_agent, format!("kube-lifecycle/{number}"));
        let images = [("etcd", etcd, "etcd"), ("coredns", coredns, "coredns/coredns"), ("pause", pause, "pause")];
        for ((component, image), (name, tag, repository)) in release.images.iter().zip(images) {
            assert_eq!((*component, *image), (name, format!("{repository}:{tag}").as_str()));
        }
        assert_eq!(release.runtime_config_from, format!("1.{}.0", release.minor + 1));
        assert!(release.declared_features.is_sorted(), "{release:?}");
        assert!(Release::of(version(release.version)) == Some(release));
    }
    assert_eq!(Release::range(), "v1.35 to v1.37");
    assert_eq!((Release::oldest(), Release::newest()), (Release::all()[0], Release::all()[2]));
}

#[test]
fn gates_are_sorted_and_have_the_state_of_their_version() {
    let [v35, v36, v37] = Release::all();
    for release in Release::all() {
        let names: Vec<&str> = release.gates().map(|(name, _)| name).collect();
        assert!(names.is_sorted() && names.len() > 200, "{release:?}");
        assert!(names.iter().all(|name| release.gate(name).is_some()), "{release:?}");
    }
    let state = |release: &Release, name: &str| release.gate(name).map(|gate| (gate.stage, gate.default, gate.locked));
    for (name, states) in [
        ("MemoryQoS", [(Stage::Alpha, false, false), (Stage::Alpha, false, false), (Stage::Beta, true, false)]),
        (
            "ClusterTrustBundleProjection",
            [(Stage::Beta, false, false), (Stage::Beta, false, false), (Stage::Ga, true, false)],
        ),
        ("NodeDeclaredFeatures", [(Stage::Alpha, false, false), (Stage::Beta, true, false), (Stage::Ga, true, true)]),
    ] {
        assert_eq!([v35, v36, v37].map(|release| state(release, name)), states.map(Some), "{name}");
    }
    assert_eq!(state(v37, "GangScheduling"), None);
    assert_eq!(state(v36, "NoSuchGate"), None);
    assert!(v37.has_outlived("SidecarContainers") && !v36.has_outlived("SidecarContainers"));
    assert!(!v37.has_outlived("NoSuchGate"));
    assert_eq!(v36.why_no_gate("NoSuchGate"), "unknown feature gate");
    assert_eq!(v36.why_no_gate("DefaultPodSysctls"), "unknown feature gate: it comes with v1.37");
    assert_eq!(v37.why_no_gate("GangScheduling"), "unknown feature gate: removed in v1.37");
}

#[test]
fn a_version_belongs_to_its_minor_and_newer_ones_count_as_the_newest() {
    assert_eq!(Release::of(version("v1.36.99")).map(Release::name), Some("v1.36".to_owned()));
    for unsupported in ["v1.34.9", "v1.38.0", "v2.36.0", "v0.36.3"] {
        assert_eq!(Release::of(version(unsupported)), None, "{unsupported}");
    }
    for (given, reached) in
        [("v1.34.9", None), ("v1.35.0", Some(35)), ("v1.36.1", Some(36)), ("v1.40.0", Some(37)), ("v2.0.0", Some(37))]
    {
        assert_eq!(Release::up_to(version(given)).map(|release| release.minor), reached, "{given}");
    }
}

#[test]
fn a_kubelet_claims_the_newest_version_that_is_newer_than_neither_api_server_nor_configuration() {
    let known = |configured: &str, told: &str, kept: &str| {
        let one = |text: &str| text.parse().ok();
        Known { configured: one(configured), told: one(told), kept: one(kept), standalone: false }
    };
    for (configured, told, kept, claimed, warns) in [
        ("", "v1.37.0", "", "v1.37.2", false),
        ("", "v1.36.9", "", "v1.36.3", false),
        ("", "v1.35.0", "v1.37.0", "v1.35.4", false),
        ("", "v1.39.0", "", "v1.37.2", false),
        // The API server does not answer: what it said last counts.
        ("", "", "v1.36.3", "v1.36.3", false),
        ("", "", "", "v1.35.4", true),
        // The configuration is the upper limit, also while some API servers are newer.
        ("v1.36.3", "v1.37.2", "", "v1.36.3", false),
        ("v1.36.3", "", "", "v1.36.3", false),
        ("v1.37.2", "v1.36.3", "", "v1.36.3", true),
        ("v1.37.2", "", "v1.36.3", "v1.36.3", true),
        ("v1.38.1", "v1.38.1", "", "v1.37.2", false),
    ] {
        let claim = decide(&known(configured, told, kept)).expect("a claim");
        let case = format!("configured {configured:?}, told {told:?}, kept {kept:?}");
        assert_eq!((claim.release.version, claim.warning.is_some()), (claimed, warns), "{case}");
    }
    for (configured, told, kept, words) in [
        ("", "v1.34.9", "", "the API server runs v1.34.9, and this kubelet supports v1.35 to v1.37"),
        ("v1.37.2", "", "v1.33.0", "the API server runs v1.33.0"),
        ("v1.34.1", "v1.37.0", "", "kubernetesVersion is v1.34.1, and this kubelet supports"),
    ] {
        let error = decide(&known(configured, told, kept)).expect_err("too old").to_string();
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn a_standalone_kubelet_claims_the_newest_version_unless_it_is_configured() {
    let known = Known { standalone: true, kept: Some(version("v1.35.4")), ..Known::default() };
    let claim = |known: &Known| decide(known).expect("a claim");
    assert_eq!(claim(&known), Claim { release: Release::newest(), warning: None });
    let configured = Known { configured: Some(version("v1.36.0")), ..known };
    assert_eq!(claim(&configured).release.minor, 36);
}
