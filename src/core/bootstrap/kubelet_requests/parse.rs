//! A kubelet's PKCS#10 request: subject, names, public key.

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use super::request::Refusal;
use crate::core::model::pki::San;

/// The group (O) in a kubelet's certificate.
pub(super) const NODES: &str = "system:nodes";
/// Prefix of a node's user name, followed by the node's name.
pub(super) const NODE_USER: &str = "system:node:";

/// The contents of a request.
pub(super) struct Parsed {
    /// The CN, of which there is exactly one.
    pub common_name: String,
    /// The subject as text.
    pub subject: String,
    /// True if the subject is one CN and one O, `system:nodes`, and nothing else.
    pub is_of_node: bool,
    /// The subject alternative names; `Err` for one that is neither a DNS name nor an address.
    pub names: Vec<Result<San, String>>,
    /// DER of the public key.
    pub public_key: Vec<u8>,
}

/// Parses exactly one PEM block that is signed by its own key. Only names and usages are accepted as extensions.
pub(super) fn parse(text: &[u8]) -> Result<Parsed, Refusal> {
    let malformed = |error: &dyn std::fmt::Display| Refusal::Malformed(error.to_string());
    let (rest, pem) = x509_parser::pem::parse_x509_pem(text).map_err(|error| malformed(&error))?;
    if pem.label != "CERTIFICATE REQUEST" || Pem::iter_from_buffer(rest).next().is_some() {
        return Err(Refusal::Malformed("it does not consist of exactly one CERTIFICATE REQUEST".into()));
    }
    let (rest, parsed) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| malformed(&error))?;
    if !rest.is_empty() {
        return Err(Refusal::Malformed("there is trailing data after the request".into()));
    }
    parsed.verify_signature().map_err(|error| malformed(&error))?;
    let info = &parsed.certification_request_info;
    let subject = &info.subject;
    let mut common_names = subject.iter_common_name().map(|name| name.as_str().unwrap_or_default());
    let mut organizations = subject.iter_organization().map(|name| name.as_str().unwrap_or_default());
    let common_name = common_names.next().unwrap_or_default().to_owned();
    let is_of_node = common_names.next().is_none()
        && (organizations.next(), organizations.next()) == (Some(NODES), None)
        && subject.iter_attributes().count() == 2;
    let mut names = Vec::new();
    let mut asks = 0_u32;
    for attribute in info.iter_attributes() {
        // Upstream's signer reads every attribute, so a second one must not hide anything.
        let ParsedCriAttribute::ExtensionRequest(request) = attribute.parsed_attribute() else {
            return Err(Refusal::Malformed("it has an unexpected attribute".into()));
        };
        asks = asks.saturating_add(1);
        for extension in &request.extensions {
            read_extension(extension.parsed_extension(), &mut names)?;
        }
    }
    if asks > 1 {
        return Err(Refusal::Malformed("it asks for extensions twice".into()));
    }
    let public_key = info.subject_pki.raw.to_vec();
    Ok(Parsed { common_name, subject: subject.to_string(), is_of_node, names, public_key })
}

fn read_extension(extension: &ParsedExtension<'_>, names: &mut Vec<Result<San, String>>) -> Result<(), Refusal> {
    match extension {
        ParsedExtension::SubjectAlternativeName(asked) => names.extend(asked.general_names.iter().map(read_name)),
        // The signer replaces the usages in the request itself.
        ParsedExtension::KeyUsage(_) | ParsedExtension::ExtendedKeyUsage(_) => {}
        ParsedExtension::BasicConstraints(constraints) if !constraints.ca => {}
        _ => return Err(Refusal::Malformed("it asks for an unexpected extension".into())),
    }
    Ok(())
}

fn read_name(name: &GeneralName<'_>) -> Result<San, String> {
    match name {
        GeneralName::DNSName(name) => Ok(San::Dns((*name).to_owned())),
        // Go's verifiers treat an IPv4-mapped IPv6 address as the IPv4 address.
        GeneralName::IPAddress(bytes) => parse_address(bytes)
            .map(|address| San::Ip(address.to_canonical()))
            .ok_or_else(|| "an address of a wrong length".to_owned()),
        other => Err(other.to_string()),
    }
}

fn parse_address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
