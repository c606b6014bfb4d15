//! Requests and answers, rendered and parsed.

use rcgen::{CertificateParams, KeyPair, SanType};

use super::*;

#[test]
fn a_token_of_control_planes_gives_keys_to_one_request() {
    let worker = "system:bootstrappers:kubeadm:default-node-token";
    let TokenUse::Fresh(used) = judge_token(&format!("{worker},{TOKEN_GROUP}"), None, "u1") else {
        panic!("an unused token is good");
    };
    assert_eq!(used, format!("{worker},{USED_TOKEN_GROUP}"), "it still joins the node");
    assert_eq!(judge_token(&used, Some("u1"), "u1"), TokenUse::Same);
    for (groups, handed_to) in
        [(used.as_str(), Some("u1")), (TOKEN_GROUP, Some("u1")), (&used, None), (worker, None), ("", None)]
    {
        assert_eq!(judge_token(groups, handed_to, "u2"), TokenUse::Spent, "{groups}");
    }
}

fn request(uris: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap().into_bytes()
}

#[test]
fn the_one_time_key_is_read_from_the_request() {
    let uri = render_key_uri(&[7; 32]);
    assert_eq!(parse_request(&request(&[&uri])), Ok(Asked { key: [7; 32], wanted: Wanted::Shared }));
    for wanted in [Wanted::Next("ab12".to_owned()), Wanted::KubeletServing("ab12".to_owned())] {
        let asked = parse_request(&request(&[&uri, &render_wanted(&wanted).unwrap()]));
        assert_eq!(asked, Ok(Asked { key: [7; 32], wanted }));
    }
    for words in [&["roost:everything:ab12"][..], &["roost:authorities:a", "roost:kubelet-serving:b"]] {
        let uris: Vec<&str> = std::iter::once(uri.as_str()).chain(words.iter().copied()).collect();
        assert!(matches!(parse_request(&request(&uris)), Err(Error::Request(_))), "{words:?} is not all of the keys");
    }
}

#[test]
fn requests_without_exactly_one_key_are_refused() {
    let uri = render_key_uri(&[7; 32]);
    let other = render_key_uri(&[8; 32]);
    let short = "roost:x25519:AAAA";
    for uris in [&[][..], &[uri.as_str(), other.as_str()], &[short], &["roost:x25519:!"], &["https://x"]] {
        assert!(matches!(parse_request(&request(uris)), Err(Error::Request(_))), "{uris:?}");
    }
    assert!(matches!(parse_request(b"hello"), Err(Error::Request(_))));
}

#[test]
fn a_request_changed_after_it_was_signed_is_refused() {
    let pem = String::from_utf8(request(&[&render_key_uri(&[7; 32])])).unwrap();
    let mut der = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
    let place = der.windows(KEY_URI.len()).position(|part| part == KEY_URI.as_bytes()).unwrap() + KEY_URI.len();
    der[place] = if der[place] == b'A' { b'B' } else { b'A' };
    let lines = STANDARD.encode(der);
    let changed = format!("-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n");
    assert!(matches!(parse_request(changed.as_bytes()), Err(Error::Request(_))));
}

#[test]
fn only_tokens_made_for_control_planes_are_answered_at_once() {
    let requester = |user: &str, groups: &[&str]| Requester {
        username: user.into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    };
    let worker = "system:bootstrappers:kubeadm:default-node-token";
    assert!(requester("system:bootstrap:abcdef", &[worker, TOKEN_GROUP]).may_join_control_planes());
    assert!(!requester("system:bootstrap:abcdef", &[worker]).may_join_control_planes());
    assert!(!requester("jane", &[TOKEN_GROUP]).may_join_control_planes());
}

#[test]
fn files_and_answers_read_back() {
    let files = SharedFiles::from([("etcd/ca.key".to_owned(), Secret::new("key".to_owned()))]);
    assert_eq!(parse_files(&render_files(&files)), Ok(files));
    let answer = render_answer(b"sealed", "-----BEGIN CERTIFICATE-----\n");
    assert_eq!(parse_answer(answer.as_bytes()).unwrap(), b"sealed");
    assert!(matches!(parse_answer(b"-----BEGIN CERTIFICATE-----"), Err(Error::Answer(_))));
}

#[test]
fn an_answer_cannot_write_outside_the_shared_files() {
    for name in ["../../etc/passwd", "/etc/passwd", "admin.conf", ""] {
        let bytes = serde_json::to_vec(&BTreeMap::from([(name, "x")])).unwrap();
        assert!(matches!(parse_files(&bytes), Err(Error::Answer(_))), "{name}");
    }
}
