//! Requests that are right, and that are wrong in one thing each.

use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::*;

fn pem(common_name: &str, organization: &str, dns: &[&str], addresses: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, organization);
    for name in dns {
        params.subject_alt_names.push(SanType::DnsName((*name).try_into().unwrap()));
    }
    for address in addresses {
        params.subject_alt_names.push(SanType::IpAddress(address.parse().unwrap()));
    }
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap().into_bytes()
}

fn request(pem: Vec<u8>) -> ServingRequest {
    ServingRequest {
        username: "system:node:n2".into(),
        groups: vec!["system:nodes".into(), "system:authenticated".into()],
        usages: vec!["digital signature".into(), "server auth".into()],
        pem,
    }
}

fn node() -> NodeNames {
    NodeNames { dns: vec!["n2".into()], addresses: vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()] }
}

fn good() -> ServingRequest {
    request(pem("system:node:n2", "system:nodes", &["n2"], &["10.0.0.2", "fd00::2"]))
}

#[test]
fn a_node_gets_a_certificate_for_its_own_names() {
    assert_eq!(judge(&good(), &node()), Ok(()));
    assert_eq!(node_of(&good()), Ok("n2"));
}

#[test]
fn names_of_others_are_refused() {
    for (dns, addresses) in [(&["n1"], &["10.0.0.2"]), (&["n2"], &["10.0.0.1"]), (&["kubernetes"], &["10.0.0.2"])] {
        let request = request(pem("system:node:n2", "system:nodes", dns, addresses));
        assert!(matches!(judge(&request, &node()), Err(Refusal::ForeignName(_))), "{dns:?} {addresses:?}");
    }
    assert_eq!(judge(&request(pem("system:node:n2", "system:nodes", &[], &[])), &node()), Err(Refusal::NoNames));
}

#[test]
fn a_request_for_another_subject_is_refused() {
    for (name, organization) in
        [("system:node:n1", "system:nodes"), ("system:node:n2", "system:masters"), ("admin", "system:nodes")]
    {
        let request = request(pem(name, organization, &["n2"], &[]));
        assert!(matches!(judge(&request, &node()), Err(Refusal::Subject { .. })), "{name} {organization}");
    }
}

#[test]
fn only_nodes_may_ask_and_only_for_server_certificates() {
    let stranger = ServingRequest { username: "jane".into(), ..good() };
    assert!(matches!(judge(&stranger, &node()), Err(Refusal::NotANode(_))));
    let outside = ServingRequest { groups: vec!["system:authenticated".into()], ..good() };
    assert!(matches!(judge(&outside, &node()), Err(Refusal::NotANode(_))));
    let client = ServingRequest { usages: vec!["client auth".into(), "server auth".into()], ..good() };
    assert!(matches!(judge(&client, &node()), Err(Refusal::Usages(_))));
}

#[test]
fn hostile_bytes_are_refused_without_a_panic() {
    let twice = [good().pem, good().pem].concat();
    let truncated = good().pem[..120].to_vec();
    for pem in [Vec::new(), b"-----BEGIN CERTIFICATE REQUEST-----\n".to_vec(), twice, truncated, vec![0xff; 4096]] {
        assert!(matches!(judge(&request(pem), &node()), Err(Refusal::Malformed(_))));
    }
}
