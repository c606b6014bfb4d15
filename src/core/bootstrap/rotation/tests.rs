//! Every stage and every gate, as tables.

use super::*;

fn authority(bundle: &str, former: Option<&str>, next: Option<&str>) -> ObservedAuthority {
    let text = |part: Option<&str>| part.map(str::to_owned);
    ObservedAuthority {
        cert: "/pki/ca.crt".into(),
        bundle: Some(bundle.to_owned()),
        former: text(former),
        next: text(next),
        key: true,
        next_key: next.is_some(),
    }
}

fn of(authorities: &[ObservedAuthority]) -> Rotation {
    Rotation { authorities: authorities.to_vec(), receive: None }
}

#[test]
fn files_tell_how_far_a_node_is() {
    let (f, n) = (Some("F"), Some("N"));
    let cases = [
        ("F\n", None, None, Standing::Settled),
        ("F\n", None, n, Standing::Begun),
        ("F", f, n, Standing::Begun),
        ("F\nN\n", f, n, Standing::Prepared),
        ("N\nF\n", f, n, Standing::Switched),
        ("N\n", f, n, Standing::Finished),
        ("N\n", None, n, Standing::Finished),
    ];
    for (bundle, former, next, standing) in cases {
        assert_eq!(authority(bundle, former, next).standing(), Ok(standing), "{bundle} {former:?} {next:?}");
    }
    for (bundle, next) in [("X\n", n), ("F\nX\n", n), ("F\n", None)] {
        assert!(authority(bundle, f, next).standing().is_err(), "{bundle} {next:?}");
    }
}

#[test]
fn a_node_is_as_far_as_the_authority_that_is_behind() {
    let settled = authority("F", None, None);
    let [begun, prepared, switched, finished] =
        ["F", "F\nN", "N\nF", "N"].map(|bundle| authority(bundle, Some("F"), Some("N")));
    let standing =
        |all: &[&ObservedAuthority]| of(&all.iter().map(|one| (*one).clone()).collect::<Vec<_>>()).standing();
    assert_eq!(standing(&[&begun, &settled]), Ok(Standing::Settled));
    assert_eq!(standing(&[&prepared, &begun]), Ok(Standing::Begun));
    assert_eq!(standing(&[&switched, &prepared]), Ok(Standing::Prepared));
    assert_eq!(standing(&[&finished, &switched]), Ok(Standing::Switched));
    assert_eq!(standing(&[&settled, &finished]), Ok(Standing::Finished), "the first one's files are gone already");
}

#[test]
fn what_components_are_started_with_is_named_only_meanwhile_and_differs_at_each_stage() {
    let rotation = |bundle| of(&[authority(bundle, Some("F"), Some("N"))]);
    let names = ["F\nN", "N\nF"].map(|bundle| rotation(bundle).trust().unwrap());
    assert_ne!(names[0], names[1]);
    assert_eq!(of(&[authority("N", None, Some("N"))]).trust(), None);
    assert_eq!(of(&[authority("F", None, None)]).trust(), None);
    // The file that contains only the signing certificate.
    let signer = |bundle| rotation(bundle).signer().map(|path| path.display().to_string());
    assert_eq!(signer("F\nN").as_deref(), Some("/pki/ca-former.crt"));
    assert_eq!(signer("N\nF").as_deref(), Some("/pki/ca-next.crt"));
    assert_eq!(signer("N"), None);
}

/// Certificates with real keys, for their ids.
fn real(count: usize) -> Vec<String> {
    use crate::adapters::x509::X509;
    use crate::core::model::pki::Authority;
    use crate::ports::node::Pki;
    let wanted = Authority {
        files: KeyPairFiles::named(Path::new("/pki"), "ca"),
        common_name: "kubernetes".to_owned(),
        life: std::time::Duration::from_secs(3600),
    };
    (0..count).map(|_| X509.make_authority(&wanted, jiff::Timestamp::UNIX_EPOCH).unwrap().public).collect()
}

#[test]
fn bundles_are_split_and_their_keys_named() {
    let all = real(2);
    let bundle = join(all.iter().map(String::as_str));
    assert_eq!(split(&bundle), [join([all[0].as_str()]), join([all[1].as_str()])]);
    assert_eq!(ids(&bundle), [ids(&all[0]), ids(&all[1])].concat());
    assert_ne!(ids(&all[0]), ids(&all[1]));
    assert_eq!((split(""), ids("")), (Vec::new(), Vec::new()));
}

fn told(stage: Stage, digest: &str) -> Option<ReportedStage> {
    Some(ReportedStage { stage, digest: digest.to_owned() })
}

fn other(told: Option<ReportedStage>) -> Vec<ControlPlane> {
    vec![ControlPlane { name: "n2".to_owned(), told }]
}

#[test]
fn authorities_are_made_once_and_received_by_the_others() {
    let settled = of(&[authority("F", None, None)]);
    let go = |own: &Rotation, others: &[ControlPlane]| source_of_stage(Stage::Prepared, own, None, others, &[]);
    assert_eq!(go(&settled, &other(None)), Ok(StageSource::Own));
    assert_eq!(go(&settled, &other(told(Stage::Finished, "older"))), Ok(StageSource::Own));
    assert_eq!(go(&settled, &other(told(Stage::Prepared, "d"))), Ok(StageSource::Receive("d".to_owned())));
    // The other node is still finishing the rotation that introduced this node's CAs.
    let lagging = go(&settled, &other(told(Stage::Switched, &settled.digest())));
    assert!(matches!(lagging, Err(Refusal::Behind { stage: "finish", .. })), "{lagging:?}");
    // Interrupted: continues with its own CAs, unless they were never announced and the others have moved on.
    let begun = of(&[authority("F", None, Some("N"))]);
    assert_eq!(go(&begun, &other(None)), Ok(StageSource::Own));
    assert_eq!(go(&begun, &other(told(Stage::Prepared, &begun.digest()))), Ok(StageSource::Own));
    assert_eq!(go(&begun, &other(told(Stage::Prepared, "d"))), Ok(StageSource::Receive("d".to_owned())));
    let prepared = of(&[authority("F\nN", Some("F"), Some("N"))]);
    assert_eq!(go(&prepared, &other(told(Stage::Prepared, &prepared.digest()))), Ok(StageSource::Own));
    assert!(matches!(go(&prepared, &other(told(Stage::Prepared, "d"))), Err(Refusal::Other { .. })));
    let switched = of(&[authority("N\nF", Some("F"), Some("N"))]);
    assert_eq!(go(&switched, &[]), Err(Refusal::Past("finish")));
    let mut external = settled.clone();
    external.authorities[0].key = false;
    assert_eq!(go(&external, &[]), Err(Refusal::External("/pki/ca.crt".to_owned())));
}

#[test]
fn nothing_is_switched_before_everybody_trusts_nor_finished_before_nobody_needs_the_former() {
    let certs = real(2);
    let (f, n) = (certs[0].as_str(), certs[1].as_str());
    let (former, next) = (ids(f)[0].clone(), ids(n)[0].clone());
    let at = |parts: &[&str]| of(&[authority(&join(parts.iter().copied()), Some(f), Some(n))]);
    let (prepared, switched) = (at(&[f, n]), at(&[n, f]));
    let digest = prepared.digest();
    let kubelet = |trusts: &[&String], signer: &String| {
        let trust = KubeletTrust {
            trusts: trusts.iter().map(|id| (*id).clone()).collect(),
            client: Some(signer.clone()),
            serving: None,
        };
        vec![("w1".to_owned(), Some(trust))]
    };
    let believes = kubelet(&[&former, &next], &former);
    let go = |stage, own: &Rotation, own_report: Stage, others: Option<ReportedStage>, kubelets: &[_]| {
        source_of_stage(stage, own, told(own_report, &digest).as_ref(), &other(others), kubelets)
    };
    let switch = |others, kubelets: &[_]| go(Stage::Switched, &prepared, Stage::Prepared, others, kubelets);
    assert_eq!(switch(told(Stage::Prepared, &digest), &believes), Ok(StageSource::Own));
    assert_eq!(switch(told(Stage::Switched, &digest), &believes), Ok(StageSource::Own));
    for behind in [None, told(Stage::Prepared, "other")] {
        assert!(matches!(switch(behind, &believes), Err(Refusal::Behind { stage: "prepare", .. })));
    }
    for kubelets in [kubelet(&[&former], &former), vec![("w1".to_owned(), None)]] {
        let refused = switch(told(Stage::Prepared, &digest), &kubelets);
        assert_eq!(refused, Err(Refusal::Untrusting("w1".to_owned())));
    }
    // The restart of its own components may not have finished.
    let untold = source_of_stage(Stage::Switched, &prepared, None, &[], &believes);
    assert_eq!(untold, Err(Refusal::First("prepare")));

    let renewed = kubelet(&[&next, &former], &next);
    let finish =
        |own: &Rotation, own_report, others, kubelets: &[_]| go(Stage::Finished, own, own_report, others, kubelets);
    assert_eq!(finish(&switched, Stage::Switched, told(Stage::Switched, &digest), &renewed), Ok(StageSource::Own));
    assert_eq!(finish(&switched, Stage::Switched, told(Stage::Finished, &digest), &renewed), Ok(StageSource::Own));
    let behind = finish(&switched, Stage::Switched, told(Stage::Prepared, &digest), &renewed);
    assert!(matches!(behind, Err(Refusal::Behind { stage: "switch", .. })), "{behind:?}");
    assert_eq!(finish(&prepared, Stage::Prepared, None, &renewed), Err(Refusal::First("switch")));
    assert_eq!(finish(&switched, Stage::Prepared, None, &renewed), Err(Refusal::First("switch")));
    let signed = finish(&switched, Stage::Switched, told(Stage::Switched, &digest), &believes);
    assert_eq!(signed, Err(Refusal::SignedByFormer("w1".to_owned())));
    let mut serving = renewed.clone();
    serving[0].1.as_mut().unwrap().serving = Some(former);
    let signed = finish(&switched, Stage::Switched, told(Stage::Switched, &digest), &serving);
    assert_eq!(signed, Err(Refusal::SignedByFormer("w1".to_owned())));
    // Finished, and repeated.
    let done = of(&[authority(n, None, None)]);
    assert_eq!(done.digest(), digest);
    assert_eq!(finish(&done, Stage::Finished, told(Stage::Finished, &digest), &renewed), Ok(StageSource::Own));
    let never = source_of_stage(Stage::Finished, &done, None, &[], &renewed);
    assert_eq!(never, Err(Refusal::First("prepare")));
}

#[test]
fn what_nodes_tell_reads_back() {
    let said = ReportedStage { stage: Stage::Switched, digest: "ab".to_owned() };
    assert_eq!(said.to_string().parse(), Ok(said.clone()));
    assert!("switched".parse::<ReportedStage>().is_err() && "gone ab".parse::<ReportedStage>().is_err());
    let trust = KubeletTrust { trusts: vec!["a".to_owned()], client: Some("a".to_owned()), serving: None };
    let node = serde_json::json!({
        "metadata": {
            "labels": { "node-role.kubernetes.io/control-plane": "" },
            "annotations": {
                ROTATION_ANNOTATION: said.to_string(),
                KUBELET_ANNOTATION: serde_json::to_string(&trust).unwrap(),
            },
        },
    });
    assert_eq!((ReportedStage::of(&node), KubeletTrust::of(&node)), (Some(said), Some(trust)));
    assert!(is_control_plane(&node) && !is_control_plane(&serde_json::json!({})));
}
