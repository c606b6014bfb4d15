//! Input that decides whom a node trusts: certificates, certificate requests, cluster-info, kubeconfigs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

use super::input::{first_line, text};
use crate::adapters::sealing::{OneTimeKey, SealError, seal};
use crate::adapters::x509::X509;
use crate::core::bootstrap::discovery::{CaPin, parse_cluster, verify_cluster_info, verify_second_reading};
use crate::core::bootstrap::key_handover::{parse_answer, parse_files, parse_request, render_answer, render_files};
use crate::core::bootstrap::kubelet_requests::{CertificateRequest, ClusterNames, NodeNames, judge_serving};
use crate::core::bootstrap::objects::parse_token_secret;
use crate::core::bootstrap::token::Token;
use crate::core::bootstrap::{jws, kubeconfig as file};
use crate::core::model::pki::San;
use crate::ports::node::Pki;

/// PEM or DER: parsing a certificate is deterministic, its pin is a pin, and no request is approved for an unknown
/// node.
pub(super) fn certificate(input: &[u8]) {
    let armored = |label: &str| {
        let lines = STANDARD.encode(input).into_bytes();
        let lines: Vec<_> = lines.chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let given = String::from_utf8_lossy(input);
    for pem in [given.as_ref(), &armored("CERTIFICATE")] {
        let inspect = || X509.inspect(pem, None, Some(pem));
        let seen = inspect();
        assert_eq!(seen.as_ref().ok(), inspect().as_ref().ok());
        if let Ok(seen) = seen {
            assert!(seen.sans.len() <= input.len());
            assert!(seen.sans.iter().all(|san| San::parse(&san.to_string()) == *san || matches!(san, San::Dns(_))));
        }
        for pin in CaPin::of_pem(pem.as_bytes()).unwrap_or_default() {
            assert_eq!(pin.to_string().parse(), Ok(pin));
        }
        let _ = X509.inspect(pem, Some(pem), None);
    }
    for pem in [given.as_ref(), &armored("CERTIFICATE REQUEST")] {
        requested(pem);
        let _ = parse_request(pem.as_bytes());
    }
}

fn cluster() -> ClusterNames {
    let node = |name: &str, address: [u8; 4]| NodeNames {
        name: name.into(),
        dns: vec![name.into()],
        addresses: vec![address.into()],
        ..NodeNames::default()
    };
    ClusterNames {
        nodes: vec![node("n1", [10, 0, 0, 1]), node("n2", [10, 0, 0, 2])],
        control_plane: ["kubernetes", "10.0.0.9"].map(San::parse).into(),
        service_subnets: vec!["10.96.0.0/12".parse().expect("a network")],
        pod_subnets: vec!["10.244.0.0/16".parse().expect("a network")],
        dns_domain: "cluster.local".into(),
        ..ClusterNames::default()
    }
}

fn requested(pem: &str) {
    let request = CertificateRequest {
        username: "system:node:n1".into(),
        groups: vec!["system:nodes".into()],
        usages: vec!["digital signature".into(), "server auth".into()],
        pem: pem.as_bytes().to_vec(),
        ..CertificateRequest::default()
    };
    let judged = judge_serving(&request, &cluster());
    assert_eq!(judged, judge_serving(&request, &cluster()));
    if judged.is_ok() {
        let (_, block) = parse_x509_pem(pem.as_bytes()).expect("PEM");
        let (_, parsed) = X509CertificationRequest::from_der(&block.contents).expect("a request");
        for extension in parsed.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
            let own = |name: &GeneralName<'_>| match name {
                GeneralName::DNSName(name) => *name == "n1",
                GeneralName::IPAddress(bytes) => **bytes == [10, 0, 0, 1],
                _ => false,
            };
            assert!(names.general_names.iter().all(own), "a node got {:?}", names.general_names);
        }
    }
    assert!(judge_serving(&request, &ClusterNames::default()).is_err(), "a node that is not there got a certificate");
    let other = CertificateRequest { groups: Vec::new(), ..request };
    assert!(judge_serving(&other, &cluster()).is_err(), "a user outside of system:nodes got a certificate");
}

const TOKEN: &str = "abcdef.0123456789abcdef";

/// First line: a signature; the rest: the kubeconfig. Only what the token signed is accepted, and only if the CA is
/// pinned.
pub(super) fn cluster_info(input: &[u8]) {
    let (signature, kubeconfig) = first_line(input);
    let (Some(signature), Some(kubeconfig)) = (text(signature), text(kubeconfig)) else { return };
    let token: Token = TOKEN.parse().expect("a token");
    let of = |signature: &str| {
        BTreeMap::from([
            ("kubeconfig".to_owned(), kubeconfig.to_owned()),
            (format!("jws-kubeconfig-{}", token.id()), signature.to_owned()),
        ])
    };
    let own = jws::sign(kubeconfig, token.id(), token.secret());
    assert!(jws::is_signed(kubeconfig, &own, token.id(), token.secret()));
    let forged = jws::is_signed(kubeconfig, signature, token.id(), token.secret());
    // Headers may be written in other ways, but the last part is a signature of 32 bytes that depends on header and
    // content.
    assert!(!forged || signature == own || signature.split('.').next() != own.split('.').next(), "{signature}");
    assert!(verify_cluster_info(&of(&own), &token, &[]).is_err(), "believed without a pin");
    let pins = parse_cluster(kubeconfig).ok().and_then(|(_, ca)| CaPin::of_pem(ca.as_bytes()).ok()).unwrap_or_default();
    let believed = verify_cluster_info(&of(&own), &token, &pins);
    assert_eq!(believed.is_ok(), !pins.is_empty());
    if let Ok(trusted) = believed {
        assert!(trusted.server.starts_with("https://"));
        assert_eq!(verify_second_reading(&trusted, &of("")), Ok(()));
        let changed = BTreeMap::from([("kubeconfig".to_owned(), format!("{kubeconfig} "))]);
        assert!(verify_second_reading(&trusted, &changed).is_err());
    }
    if !forged {
        assert!(verify_cluster_info(&of(signature), &token, &pins).is_err(), "believed without a signature");
    }
    if let Ok(token) = signature.parse::<Token>() {
        assert_eq!(token.reveal(), signature);
        assert!(!format!("{token:?}").contains(token.secret()));
    }
    if let Ok(pin) = signature.parse::<CaPin>() {
        assert!(pin.to_string().eq_ignore_ascii_case(signature), "{signature}");
    }
    let data = signature.split('&').filter_map(|pair| pair.split_once('='));
    let data: BTreeMap<_, _> = data.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).collect();
    if let Some(seen) = parse_token_secret(&data) {
        assert!(seen.usages.len() <= data.len());
    }
}

/// A kubeconfig that is changed to another server has that server, and the same user.
pub(super) fn kubeconfig(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let seen = file::parse(text);
    assert_eq!(seen, file::parse(text));
    let moved = file::point(text, "https://192.0.2.1:6443", "authority");
    let Some(before) = seen else { return };
    let moved = moved.expect("what can be read can be pointed elsewhere");
    let after = file::parse(&moved).expect("it is still a kubeconfig");
    assert_eq!(after.server, "https://192.0.2.1:6443");
    assert_eq!(after.ca.as_deref(), Some("authority"));
    assert_eq!(after.client_certificate, before.client_certificate);
    assert_eq!(after.client_key, before.client_key);
    assert_eq!(after.client_certificate_path, before.client_certificate_path);
}

/// Files that control planes share are read back unchanged, names cannot lead elsewhere, and nothing opens that was not
/// sealed.
pub(super) fn key_handover(input: &[u8]) {
    let key = OneTimeKey::generate().expect("a key");
    assert_eq!(key.open("request", input), Err(SealError));
    if let Ok(files) = parse_files(input) {
        assert!(files.keys().all(|name| !name.contains("..") && !name.starts_with('/')));
        assert_eq!(parse_files(&render_files(&files)).as_ref(), Ok(&files));
    }
    let answer = render_answer(input, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----");
    assert_eq!(parse_answer(answer.as_bytes()).as_deref(), Ok(input));
    if let Ok(sealed) = parse_answer(input) {
        assert!(sealed.len() <= input.len());
    }
    let key = OneTimeKey::generate().expect("a key");
    let sealed = seal(key.public(), "request", input).expect("sealed");
    assert_eq!(key.open("request", &sealed).as_deref(), Ok(input));
}
