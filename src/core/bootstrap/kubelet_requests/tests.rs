//! Valid requests, and requests with one fault each.

use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::*;
use crate::core::bootstrap::key_handover::TOKEN_GROUP;
use crate::core::bootstrap::objects::BOOTSTRAP_GROUP;

fn pem_of(key: &KeyPair, common_name: &str, organization: &str, dns: &[&str], addresses: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, organization);
    for name in dns {
        params.subject_alt_names.push(SanType::DnsName((*name).try_into().unwrap()));
    }
    for address in addresses {
        params.subject_alt_names.push(SanType::IpAddress(address.parse().unwrap()));
    }
    params.serialize_request(key).unwrap().pem().unwrap().into_bytes()
}

fn pem(common_name: &str, organization: &str, dns: &[&str], addresses: &[&str]) -> Vec<u8> {
    pem_of(&KeyPair::generate().unwrap(), common_name, organization, dns, addresses)
}

fn serving(dns: &[&str], addresses: &[&str]) -> CertificateRequest {
    CertificateRequest {
        signer: SERVING_SIGNER.into(),
        username: "system:node:n2".into(),
        groups: vec!["system:nodes".into(), "system:authenticated".into()],
        usages: vec!["digital signature".into(), "server auth".into()],
        pem: pem("system:node:n2", "system:nodes", dns, addresses),
    }
}

fn node(name: &str, addresses: &[&str], registered: i64) -> NodeNames {
    NodeNames {
        name: name.into(),
        dns: vec![name.into()],
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        registered: Timestamp::from_second(registered).unwrap(),
        ..NodeNames::default()
    }
}

/// n1 is the control plane, n2 makes the request. Everything that n2 requests is also in its Node object.
fn cluster(claimed: &NodeNames) -> ClusterNames {
    let first = NodeNames {
        control_plane: true,
        pod_subnets: vec!["10.244.1.0/24".parse().unwrap()],
        ..node("n1", &["10.0.0.1"], 100)
    };
    let names = ["kubernetes", "kubernetes.default", "lb.example.org", "10.0.0.1", "10.0.0.100", "n1"];
    ClusterNames {
        nodes: vec![first, node("n0", &["10.0.0.9"], 50), node("n3", &["10.0.0.3"], 900), claimed.clone()],
        control_plane: names.into_iter().map(San::parse).collect(),
        service_subnets: vec!["10.96.0.0/12".parse().unwrap()],
        service_addresses: ["172.20.0.7".parse().unwrap()].into(),
        pod_subnets: vec!["10.244.0.0/16".parse().unwrap()],
        dns_domain: "cluster.local".into(),
        cloud: false,
    }
}

fn own() -> NodeNames {
    node("n2", &["10.0.0.2", "fd00::2"], 500)
}

/// The decision about a request whose names are all in the node's status.
fn judge_claimed(dns: &[&str], addresses: &[&str], cloud: bool) -> Result<(), Refusal> {
    let mut claimed = node("n2", addresses, 500);
    claimed.dns.extend(dns.iter().map(|name| (*name).to_owned()));
    judge_serving(&serving(dns, addresses), &ClusterNames { cloud, ..cluster(&claimed) })
}

#[test]
fn a_node_gets_a_certificate_for_its_own_names() {
    assert_eq!(judge_serving(&serving(&["n2"], &["10.0.0.2", "fd00::2"]), &cluster(&own())), Ok(()));
    assert_eq!(judge_claimed(&["n2"], &["192.0.2.7"], false), Ok(()));
    assert_eq!(judge_claimed(&["n2", "ip-10-0-0-2.ec2.internal"], &[], true), Ok(()));
}

#[test]
fn what_a_node_writes_of_itself_gives_it_no_name_of_others() {
    let service = |name: &str| Refusal::Service(name.into());
    let machine = |name: &str| Refusal::NotAMachine(name.into());
    let plane = |name: &str| Refusal::ControlPlane(name.into());
    let other = |name: &str, node: &str| Refusal::OtherNode(name.into(), node.into());
    for cloud in [false, true] {
        for (name, refusal) in [
            ("kubernetes.default.svc", service("kubernetes.default.svc")),
            ("kubernetes.default.svc.cluster.local", service("kubernetes.default.svc.cluster.local")),
            ("metrics.monitoring.svc", service("metrics.monitoring.svc")),
            ("anything.cluster.local", service("anything.cluster.local")),
            ("cluster.local", service("cluster.local")),
            ("kubernetes", plane("kubernetes")),
            ("kubernetes.default", plane("kubernetes.default")),
            ("lb.example.org", plane("lb.example.org")),
            ("n1", plane("n1")),
            ("n3", other("n3", "n3")),
            ("*.example.org", machine("*.example.org")),
            ("localhost", machine("localhost")),
            ("a.localhost", machine("a.localhost")),
            ("N2", machine("N2")),
            ("n2.", machine("n2.")),
            ("10.96.0.1", machine("10.96.0.1")),
        ] {
            assert_eq!(judge_claimed(&[name], &[], cloud), Err(refusal), "{name}");
        }
        for (address, refusal) in [
            ("10.96.0.1", service("10.96.0.1")),
            ("::ffff:10.96.0.1", service("10.96.0.1")),
            ("172.20.0.7", service("172.20.0.7")),
            ("10.0.0.1", plane("10.0.0.1")),
            ("10.0.0.100", plane("10.0.0.100")),
            ("10.0.0.9", other("10.0.0.9", "n0")),
            ("10.244.1.17", Refusal::Pod("10.244.1.17".into(), "n1".into())),
            ("127.0.0.1", machine("127.0.0.1")),
            ("::1", machine("::1")),
            ("169.254.169.254", machine("169.254.169.254")),
            ("fe80::1", machine("fe80::1")),
            ("224.0.0.1", machine("224.0.0.1")),
            ("0.0.0.0", machine("0.0.0.0")),
            ("255.255.255.255", machine("255.255.255.255")),
        ] {
            assert_eq!(judge_claimed(&["n2"], &[address], cloud), Err(refusal), "{address}");
        }
    }
    assert_eq!(judge_claimed(&["other.example.org"], &[], false), Err(Refusal::Foreign("other.example.org".into())));
}

#[test]
fn of_two_nodes_with_an_address_the_control_plane_or_the_older_one_has_it() {
    // n3 is younger: writing n2's address into its own status does not take it over.
    assert_eq!(judge_claimed(&["n2"], &["10.0.0.3"], false), Ok(()));
    let late = NodeNames { registered: Timestamp::from_second(950).unwrap(), ..node("n2", &["10.0.0.3"], 0) };
    let refused = judge_serving(&serving(&["n2"], &["10.0.0.3"]), &cluster(&late));
    assert_eq!(refused, Err(Refusal::OtherNode("10.0.0.3".into(), "n3".into())));
    // A control plane may use the names of its API server.
    let further = NodeNames { control_plane: true, ..node("n2", &["10.0.0.100"], 500) };
    assert_eq!(judge_serving(&serving(&["n2"], &["10.0.0.100"]), &cluster(&further)), Ok(()));
}

#[test]
fn a_name_that_the_node_does_not_have_is_waited_for() {
    for request in [serving(&["n2"], &["10.0.0.77"]), serving(&["n7"], &["10.0.0.2"])] {
        let refusal = judge_serving(&request, &cluster(&own())).unwrap_err();
        assert!(matches!(refusal, Refusal::Foreign(_)) && refusal.may_pass(), "{refusal}");
    }
    let stranger = judge_serving(&serving(&["n2"], &[]), &ClusterNames::default()).unwrap_err();
    assert!(stranger.may_pass(), "{stranger}");
    assert_eq!(judge_serving(&serving(&[], &[]), &cluster(&own())), Err(Refusal::NoNames));
}

#[test]
fn a_serving_request_of_another_subject_or_user_or_use_is_refused() {
    let good = serving(&["n2"], &[]);
    for (name, organization) in
        [("system:node:n1", "system:nodes"), ("system:node:n2", "system:masters"), ("admin", "system:nodes")]
    {
        let request = CertificateRequest { pem: pem(name, organization, &["n2"], &[]), ..good.clone() };
        let refused = judge_serving(&request, &cluster(&own()));
        assert!(matches!(refused, Err(Refusal::Subject { .. })), "{name} {organization}");
    }
    let refused = |request: CertificateRequest| judge_serving(&request, &cluster(&own())).unwrap_err();
    let stranger = CertificateRequest { username: "jane".into(), ..good.clone() };
    assert!(matches!(refused(stranger), Refusal::NotANode(_)));
    let outside = CertificateRequest { groups: vec!["system:authenticated".into()], ..good.clone() };
    assert!(matches!(refused(outside), Refusal::NotANode(_)));
    for usages in [vec!["client auth".into(), "server auth".into()], vec!["server auth".into(), "any".into()], vec![]] {
        assert!(matches!(refused(CertificateRequest { usages, ..good.clone() }), Refusal::Usages(_)));
    }
}

#[test]
fn hostile_bytes_are_refused_without_a_panic() {
    let good = serving(&["n2"], &[]).pem;
    let twice = [good.clone(), good.clone()].concat();
    let truncated = good[..120].to_vec();
    for pem in [Vec::new(), b"-----BEGIN CERTIFICATE REQUEST-----\n".to_vec(), twice, truncated, vec![0xff; 4096]] {
        let refused = judge_serving(&CertificateRequest { pem, ..serving(&["n2"], &[]) }, &cluster(&own()));
        assert!(matches!(refused, Err(Refusal::Malformed(_))));
    }
}

/// A bootstrap token's request for the client certificate of a node.
fn client(name: &str, version: u64, pem: Vec<u8>) -> ObservedRequest {
    ObservedRequest {
        name: name.into(),
        uid: format!("uid of {name}"),
        resource_version: version.to_string(),
        request: CertificateRequest {
            signer: CLIENT_SIGNER.into(),
            username: "system:bootstrap:abcdef".into(),
            groups: vec![BOOTSTRAP_GROUP.into(), "system:bootstrappers".into()],
            usages: vec!["digital signature".into(), "client auth".into()],
            pem,
        },
        decision: Decision::Undecided,
    }
}

fn begin(node: &str) -> ObservedRequest {
    client("r", 10, pem(&format!("system:node:{node}"), "system:nodes", &[], &[]))
}

fn judge_alone(request: &ObservedRequest) -> Result<(), Refusal> {
    judge_client(request, std::slice::from_ref(request), &cluster(&own()), Timestamp::UNIX_EPOCH)
}

#[test]
fn a_token_begins_a_new_node_and_becomes_none_that_is_there() {
    assert_eq!(judge_alone(&begin("n4")), Ok(()));
    for there in ["n0", "n1", "n2", "n3"] {
        let refusal = judge_alone(&begin(there)).unwrap_err();
        assert_eq!(refusal, Refusal::NodeExists(there.into()));
        assert!(refusal.to_string().contains(&format!("kubectl delete node {there}")) && !refusal.may_pass());
    }
}

#[test]
fn a_token_gets_no_node_that_is_called_as_somebody_else() {
    for name in ["kubernetes.default.svc", "a.cluster.local", "localhost", "10.96.0.1", "N4", "n4..x", "-n4", ""] {
        let refused = judge_alone(&begin(name));
        assert!(matches!(refused, Err(Refusal::Service(_) | Refusal::NotAMachine(_))), "{name}: {refused:?}");
    }
    assert_eq!(judge_alone(&begin("lb.example.org")), Err(Refusal::ControlPlane("lb.example.org".into())));
    // Nodes may be named by their addresses.
    assert_eq!(judge_alone(&begin("10.0.0.4")), Ok(()));
    assert_eq!(judge_alone(&begin("10.0.0.3")), Err(Refusal::OtherNode("10.0.0.3".into(), "n3".into())));
    assert_eq!(judge_alone(&begin("10.0.0.100")), Err(Refusal::ControlPlane("10.0.0.100".into())));
    let mut plane = begin("lb.example.org");
    plane.request.groups.push(TOKEN_GROUP.into());
    assert_eq!(judge_alone(&plane), Ok(()), "settings may name control planes that are to come");
}

#[test]
fn a_client_request_of_another_form_is_refused() {
    let of = |common_name, organization, dns: &[&str]| client("r", 10, pem(common_name, organization, dns, &[]));
    for request in [
        of("system:node:n4", "system:masters", &[]),
        of("admin", "system:nodes", &[]),
        of("system:node:n4", "system:nodes", &["n4"]),
    ] {
        let refused = judge_alone(&request);
        assert!(matches!(refused, Err(Refusal::Subject { .. } | Refusal::ClientNames(_))), "{refused:?}");
    }
    let mut server = begin("n4");
    server.request.usages.push("server auth".into());
    assert!(matches!(judge_alone(&server), Err(Refusal::Usages(_))));
    for (username, group) in [
        ("jane", BOOTSTRAP_GROUP),
        ("system:node:n4", "system:nodes"),
        ("system:bootstrap:abcdef", "system:authenticated"),
    ] {
        let mut stranger = begin("n4");
        (stranger.request.username, stranger.request.groups) = (username.into(), vec![group.into()]);
        assert!(!claims_of(&stranger.request), "{username} is decided by somebody else");
    }
}

#[test]
fn of_two_tokens_that_claim_one_name_the_first_one_gets_it() {
    let key = KeyPair::generate().unwrap();
    let again = |name, version| client(name, version, pem_of(&key, "system:node:n4", "system:nodes", &[], &[]));
    let (first, second) = (again("first", 10), client("second", 11, begin("n4").request.pem));
    let names = cluster(&own());
    let judge = |own: &ObservedRequest, all: &[ObservedRequest], second: i64| {
        judge_client(own, all, &names, Timestamp::from_second(second).unwrap())
    };
    let both = [second.clone(), first.clone()];
    assert_eq!(judge(&first, &both, 1000), Ok(()));
    let before = judge(&second, &both, 1000).unwrap_err();
    assert!(matches!(before, Refusal::AskedBefore { .. }) && before.may_pass(), "{before}");

    let at = Timestamp::from_second(1000).unwrap();
    let approved = ObservedRequest { decision: Decision::Approved(at), resource_version: "12".into(), ..first.clone() };
    let claimed = judge(&second, &[approved.clone(), second.clone()], 1001).unwrap_err();
    assert_eq!(claimed, Refusal::Claimed { node: "n4".into(), request: "first".into() });
    assert!(!claimed.may_pass());
    assert_eq!(judge(&second, &[approved.clone(), second.clone()], 1000 + 3600), Ok(()), "nobody came");
    assert_eq!(judge(&again("third", 20), &[approved.clone(), again("third", 20)], 1001), Ok(()), "the same key");
    let refused = ObservedRequest { decision: Decision::Refused, ..first };
    assert_eq!(judge(&second, &[refused, second.clone()], 1001), Ok(()));

    // It did register, and its Node was deleted later.
    let mut served = serving(&["n4"], &[]);
    served.username = "system:node:n4".into();
    let served = ObservedRequest { request: served, decision: Decision::Approved(at), ..ObservedRequest::default() };
    assert_eq!(judge(&second, &[approved, served, second.clone()], 1001), Ok(()));
}
