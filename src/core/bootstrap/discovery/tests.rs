//! Discovery against valid clusters, and against clusters with one fault each.

use super::*;
use crate::core::bootstrap::objects::render_cluster_info;

const CA: &str = include_str!("ca.crt");
/// By `openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum`.
const PIN: &str = "sha256:6e340208f4f9d3f15d8e7e2853cd1644832d2adcdbe25ce84c35f7dd3697e4ca";

fn token() -> Token {
    "abcdef.0123456789abcdef".parse().unwrap()
}

fn pins() -> Vec<CaPin> {
    vec![PIN.parse().unwrap()]
}

fn signed_data() -> BTreeMap<String, String> {
    let map = &render_cluster_info("10.0.0.1:6443", CA)[0];
    let kubeconfig = map["data"]["kubeconfig"].as_str().unwrap().to_owned();
    let signature = jws::sign(&kubeconfig, token().id(), token().secret());
    BTreeMap::from([("kubeconfig".to_owned(), kubeconfig), ("jws-kubeconfig-abcdef".to_owned(), signature)])
}

#[test]
fn a_signed_cluster_with_the_pinned_ca_is_trusted() {
    let trusted = verify_cluster_info(&signed_data(), &token(), &pins()).unwrap();
    assert_eq!(trusted.server, "https://10.0.0.1:6443");
    assert_eq!(trusted.ca, CA);
    assert_eq!(verify_second_reading(&trusted, &signed_data()), Ok(()));
}

#[test]
fn pins_are_hashes_of_the_public_key() {
    assert_eq!(CaPin::of_pem(CA.as_bytes()).unwrap()[0].to_string(), PIN);
    for wrong in
        ["", "sha256:", "sha256:zz", &PIN[7..], &PIN.replace("sha256", "sha512"), &format!("sha256:{}", "é".repeat(32))]
    {
        assert_eq!(wrong.parse::<CaPin>(), Err(Error::InvalidPin), "{wrong}");
    }
}

#[test]
fn each_fault_has_its_own_message() {
    let unknown = "zzzzzz.0123456789abcdef".parse().unwrap();
    assert!(matches!(verify_cluster_info(&signed_data(), &unknown, &pins()), Err(Error::UnknownToken { .. })));

    let wrong_secret = "abcdef.aaaaaaaaaaaaaaaa".parse().unwrap();
    assert!(matches!(verify_cluster_info(&signed_data(), &wrong_secret, &pins()), Err(Error::WrongSignature { .. })));

    let other = vec![format!("sha256:{}", "0".repeat(64)).parse().unwrap()];
    assert!(matches!(verify_cluster_info(&signed_data(), &token(), &other), Err(Error::WrongCa { .. })));
    assert!(matches!(verify_cluster_info(&signed_data(), &token(), &[]), Err(Error::WrongCa { .. })));

    assert_eq!(verify_cluster_info(&BTreeMap::new(), &token(), &pins()), Err(Error::NoKubeconfig));
}

#[test]
fn a_pinned_ca_brings_no_other_one_along() {
    let key = rcgen::KeyPair::generate().unwrap();
    let stranger = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    let both = format!("{CA}{stranger}");
    let map = &render_cluster_info("10.0.0.1:6443", &both)[0];
    let kubeconfig = map["data"]["kubeconfig"].as_str().unwrap().to_owned();
    let signature = jws::sign(&kubeconfig, token().id(), token().secret());
    let data = BTreeMap::from([("kubeconfig".to_owned(), kubeconfig), ("jws-kubeconfig-abcdef".to_owned(), signature)]);
    let Err(Error::WrongCa { found, .. }) = verify_cluster_info(&data, &token(), &pins()) else {
        panic!("the CA without a pin was believed");
    };
    let other = CaPin::of_pem(stranger.as_bytes()).unwrap()[0];
    assert_eq!(found, other.to_string());
    assert_eq!(verify_cluster_info(&data, &token(), &[pins()[0], other]).unwrap().ca, both);
}

#[test]
fn what_was_changed_on_the_way_is_not_believed() {
    let mut data = signed_data();
    let trusted = verify_cluster_info(&data, &token(), &pins()).unwrap();
    data.entry("kubeconfig".into()).and_modify(|text| *text = text.replace("10.0.0.1", "10.6.6.6"));
    assert!(matches!(verify_cluster_info(&data, &token(), &pins()), Err(Error::WrongSignature { .. })));
    assert_eq!(verify_second_reading(&trusted, &data), Err(Error::Differs));
}

#[test]
fn a_signed_kubeconfig_must_still_be_usable() {
    for kubeconfig in
        ["[", "clusters: []", "clusters: [{cluster: {server: 'http://x', certificate-authority-data: ''}}]"]
    {
        let signature = jws::sign(kubeconfig, token().id(), token().secret());
        let data = BTreeMap::from([
            ("kubeconfig".to_owned(), kubeconfig.to_owned()),
            ("jws-kubeconfig-abcdef".to_owned(), signature),
        ]);
        assert!(matches!(verify_cluster_info(&data, &token(), &pins()), Err(Error::Malformed { .. })), "{kubeconfig}");
    }
}
