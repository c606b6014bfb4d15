//! Certificates as read by openssl and by this program.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::core::model::pki::{KeyPairFiles, Usage};

const YEAR: Duration = Duration::from_secs(365 * 86400);

fn files(name: &str) -> KeyPairFiles {
    KeyPairFiles::named("/pki".as_ref(), name)
}

fn authority() -> Authority {
    Authority { files: files("ca"), common_name: "kubernetes".to_owned(), life: 10 * YEAR }
}

fn leaf() -> Leaf {
    Leaf {
        signer: files("ca"),
        subject: Subject::in_group("kubernetes-admin", "kubeadm:cluster-admins"),
        usage: Usage::Both,
        sans: BTreeSet::from([San::parse("n1"), San::parse("10.0.0.1"), San::parse("::1")]),
        life: YEAR,
    }
}

fn openssl(arguments: &[&str], folder: &std::path::Path) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_leaf_is_what_was_asked_for_and_openssl_verifies_it() {
    let now = Timestamp::now();
    let ca = X509.make_authority(&authority(), now).unwrap();
    let pair = X509.issue(&leaf(), &ca.public, ca.key.reveal(), now).unwrap();
    let seen = X509.inspect(&pair.public, Some(pair.key.reveal()), Some(&ca.public)).unwrap();
    assert_eq!(leaf().check(&seen, now), Ok(()));
    assert!(!seen.is_ca);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), &ca.public).unwrap();
    std::fs::write(folder.path().join("leaf.crt"), &pair.public).unwrap();
    assert_eq!(openssl(&["verify", "-x509_strict", "-CAfile", "ca.crt", "leaf.crt"], folder.path()), "leaf.crt: OK\n");
}

#[test]
fn a_leaf_never_outlives_its_authority() {
    let now = Timestamp::now();
    let short = Authority { life: Duration::from_secs(3600), ..authority() };
    let ca = X509.make_authority(&short, now).unwrap();
    let pair = X509.issue(&leaf(), &ca.public, ca.key.reveal(), now).unwrap();
    let end = X509.inspect(&pair.public, None, None).unwrap().not_after;
    assert_eq!(end, X509.inspect(&ca.public, None, None).unwrap().not_after);
}

#[test]
fn a_leaf_with_a_short_life_is_not_due_when_it_is_made() {
    let now = Timestamp::now();
    let ca = X509.make_authority(&authority(), now).unwrap();
    let short = Leaf { life: Duration::from_secs(120), ..leaf() };
    let pair = X509.issue(&short, &ca.public, ca.key.reveal(), now).unwrap();
    let seen = X509.inspect(&pair.public, Some(pair.key.reveal()), Some(&ca.public)).unwrap();
    assert_eq!(short.check(&seen, now), Ok(()));
}

#[test]
fn a_foreign_signer_and_a_foreign_key_are_noticed() {
    let now = Timestamp::now();
    let ca = X509.make_authority(&authority(), now).unwrap();
    let other = X509.make_authority(&authority(), now).unwrap();
    let pair = X509.issue(&leaf(), &ca.public, ca.key.reveal(), now).unwrap();
    let seen = X509.inspect(&pair.public, Some(other.key.reveal()), Some(&other.public)).unwrap();
    assert_eq!((seen.signed, seen.key_matches), (Some(false), Some(false)));
}

#[test]
fn an_authority_of_the_users_own_signs_whatever_its_key_is() {
    let folder = tempfile::tempdir().unwrap();
    let keys: [&[&str]; 3] = [
        &["genrsa", "-traditional", "-out", "ca.key", "2048"],
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out", "ca.key"],
        &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key"],
    ];
    for make_key in keys {
        openssl(make_key, folder.path());
        openssl(
            &["req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=mine", "-days", "900", "-out", "ca.crt"],
            folder.path(),
        );
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let (cert, key) = (read("ca.crt"), read("ca.key"));
        let now = Timestamp::now();
        let seen = X509.inspect(&cert, Some(&key), None).unwrap();
        assert_eq!(authority().check(&seen, now), Ok(()));
        let pair = X509.issue(&leaf(), &cert, &key, now).unwrap();
        let seen = X509.inspect(&pair.public, Some(pair.key.reveal()), Some(&cert)).unwrap();
        assert_eq!(leaf().check(&seen, now), Ok(()), "{make_key:?}");
        std::fs::write(folder.path().join("leaf.crt"), &pair.public).unwrap();
        assert_eq!(openssl(&["verify", "-CAfile", "ca.crt", "leaf.crt"], folder.path()), "leaf.crt: OK\n");
    }
}
