//! Parses a certificate.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use rcgen::PublicKeyData;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::keys::parse_key;
use crate::core::model::pki::{ObservedCertificate, San, Subject};
use crate::ports::node::PkiError;

/// Parses the first certificate and compares it with its key and its signer.
pub fn inspect(cert: &str, key: Option<&str>, signer: Option<&str>) -> Result<ObservedCertificate, PkiError> {
    let pem = first_pem(cert)?;
    let cert = parse(&pem)?;
    let signed = match signer {
        None => None,
        Some(signer) => {
            let pem = first_pem(signer)?;
            let signer = parse(&pem)?;
            Some(cert.issuer() == signer.subject() && cert.verify_signature(Some(signer.public_key())).is_ok())
        }
    };
    let key_matches = match key {
        None => None,
        Some(key) => Some(parse_key(key)?.subject_public_key_info() == cert.public_key().raw),
    };
    Ok(ObservedCertificate {
        subject: subject(cert.subject()),
        sans: sans(&cert)?,
        not_before: moment(cert.validity().not_before.timestamp())?,
        not_after: moment(cert.validity().not_after.timestamp())?,
        is_ca: cert.is_ca(),
        signed,
        key_matches,
    })
}

/// When a certificate in DER expires; `None` if it is none.
pub fn expires_at(der: &[u8]) -> Option<Timestamp> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    moment(cert.validity().not_after.timestamp()).ok()
}

fn first_pem(text: &str) -> Result<Pem, PkiError> {
    parse_x509_pem(text.as_bytes()).map(|(_, pem)| pem).map_err(|error| PkiError::Certificate(error.to_string()))
}

fn parse(pem: &Pem) -> Result<X509Certificate<'_>, PkiError> {
    pem.parse_x509().map_err(|error| PkiError::Certificate(error.to_string()))
}

fn moment(second: i64) -> Result<Timestamp, PkiError> {
    Timestamp::from_second(second).map_err(|error| PkiError::Certificate(error.to_string()))
}

fn subject(name: &X509Name<'_>) -> Subject {
    let text =
        |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().unwrap_or_default().to_owned();
    Subject {
        common_name: name.iter_common_name().map(text).next().unwrap_or_default(),
        organizations: name.iter_organization().map(text).collect(),
    }
}

fn sans(cert: &X509Certificate<'_>) -> Result<BTreeSet<San>, PkiError> {
    let extension = cert.subject_alternative_name().map_err(|error| PkiError::Certificate(error.to_string()))?;
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    Ok(names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(San::Dns((*name).to_owned())),
            GeneralName::IPAddress(bytes) => address(bytes).map(San::Ip),
            _ => None,
        })
        .collect())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
