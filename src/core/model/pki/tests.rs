//! When a certificate on disk can be used.

use std::collections::BTreeSet;

use super::*;

fn wanted() -> Leaf {
    Leaf {
        signer: KeyPairFiles::named("/pki".as_ref(), "ca"),
        subject: Subject::named("kube-apiserver"),
        usage: Usage::Server,
        sans: BTreeSet::from([San::parse("n1"), San::parse("10.0.0.1")]),
        life: Duration::from_secs(9000),
    }
}

fn seen() -> ObservedCertificate {
    ObservedCertificate {
        subject: Subject::named("kube-apiserver"),
        sans: BTreeSet::from([San::parse("n1"), San::parse("10.0.0.1"), San::parse("extra")]),
        not_before: Timestamp::from_second(0).unwrap(),
        not_after: Timestamp::from_second(9000).unwrap(),
        is_ca: false,
        signed: Some(true),
        key_matches: Some(true),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_valid_leaf_with_more_names_is_kept() {
    assert_eq!(wanted().check(&seen(), at(5999)), Ok(()));
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_of_its_life() {
    assert_eq!(wanted().check(&seen(), at(6000)), Err(Unfit::Due(at(9000))));
    assert_eq!(wanted().check(&seen(), at(9000)), Err(Unfit::Expired(at(9000))));
}

#[test]
fn a_leaf_of_another_authority_key_subject_or_address_is_replaced() {
    assert!(matches!(
        wanted().check(&ObservedCertificate { signed: Some(false), ..seen() }, at(1)),
        Err(Unfit::Signer(_))
    ));
    assert_eq!(wanted().check(&ObservedCertificate { key_matches: Some(false), ..seen() }, at(1)), Err(Unfit::Key));
    let other = ObservedCertificate { subject: Subject::in_group("kube-apiserver", "g"), ..seen() };
    assert!(matches!(wanted().check(&other, at(1)), Err(Unfit::Subject { .. })));
    let fewer = ObservedCertificate { sans: BTreeSet::from([San::parse("n1")]), ..seen() };
    assert_eq!(wanted().check(&fewer, at(1)), Err(Unfit::Sans("10.0.0.1".to_owned())));
}

#[test]
fn nothing_counts_before_its_life_begins() {
    let early = ObservedCertificate { not_before: at(100), ..seen() };
    assert_eq!(wanted().check(&early, at(99)), Err(Unfit::Early(at(100))));
    assert_eq!(wanted().check(&early, at(100)), Ok(()));
    let authority =
        Authority { files: wanted().signer, common_name: "kubernetes".to_owned(), life: Duration::from_secs(9000) };
    let early = ObservedCertificate { is_ca: true, ..early };
    assert_eq!(authority.check(&early, at(99)), Err(Unfit::Early(at(100))));
    assert_eq!(authority.check(&early, at(100)), Ok(()));
}
