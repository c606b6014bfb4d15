//! Creates keys, CAs and leaves.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};

use super::keys::parse_key;
use super::read::inspect;
use crate::core::model::Secret;
use crate::core::model::pki::{Authority, BACKDATE, Leaf, ObservedCertificate, San, Subject};
use crate::ports::node::{KeyPairPem, Pki, PkiError};

/// Issues certificates with rcgen.
#[derive(Clone, Copy, Debug, Default)]
pub struct X509;

impl Pki for X509 {
    fn inspect(&self, cert: &str, key: Option<&str>, signer: Option<&str>) -> Result<ObservedCertificate, PkiError> {
        inspect(cert, key, signer)
    }

    fn make_authority(&self, authority: &Authority, now: Timestamp) -> Result<KeyPairPem, PkiError> {
        let key = new_key()?;
        let names = [San::Dns(authority.common_name.clone())];
        let mut params = params(&Subject::named(&authority.common_name), &names, now, authority.life, None)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key).map_err(make_error)?;
        Ok(KeyPairPem { public: cert.pem(), key: Secret::new(key.serialize_pem()) })
    }

    fn issue(&self, leaf: &Leaf, signer_cert: &str, signer_key: &str, now: Timestamp) -> Result<KeyPairPem, PkiError> {
        let signer_end = inspect(signer_cert, None, None)?.not_after;
        let issuer = Issuer::from_ca_cert_pem(signer_cert, parse_key(signer_key)?).map_err(make_error)?;
        let key = new_key()?;
        let names: Vec<_> = leaf.sans.iter().cloned().collect();
        let mut params = params(&leaf.subject, &names, now, leaf.life, Some(signer_end))?;
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if leaf.usage.client() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        if leaf.usage.server() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let cert = params.signed_by(&key, &issuer).map_err(make_error)?;
        Ok(KeyPairPem { public: cert.pem(), key: Secret::new(key.serialize_pem()) })
    }

    fn generate_key(&self) -> Result<KeyPairPem, PkiError> {
        let key = new_key()?;
        Ok(KeyPairPem { public: key.public_key_pem(), key: Secret::new(key.serialize_pem()) })
    }

    fn request(&self, subject: &Subject, names: &[San], key: &str) -> Result<String, PkiError> {
        let key = parse_key(key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished(subject);
        params.subject_alt_names = alternative(names)?;
        params.serialize_request(&key).and_then(|request| request.pem()).map_err(make_error)
    }

    fn public_of(&self, key: &str) -> Result<String, PkiError> {
        Ok(parse_key(key)?.public_key_pem())
    }
}

fn make_error(error: rcgen::Error) -> PkiError {
    PkiError::Make(error.to_string())
}

fn new_key() -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(make_error)
}

fn params(
    subject: &Subject,
    names: &[San],
    now: Timestamp,
    life: Duration,
    latest: Option<Timestamp>,
) -> Result<CertificateParams, PkiError> {
    let wrong = |what: &str| PkiError::Make(what.to_owned());
    let mut params = CertificateParams::default();
    // For a short lifetime at most a tenth of it: a leaf must not be due for renewal when it is issued.
    let start = now
        .checked_sub(BACKDATE.min(life.checked_div(10).unwrap_or_default()))
        .map_err(|_| wrong("the clock is wrong"))?;
    let end = now.checked_add(life).map_err(|_| wrong("the lifetime is too long"))?;
    params.not_before = SystemTime::from(start).into();
    params.not_after = SystemTime::from(latest.map_or(end, |latest| end.min(latest))).into();
    params.distinguished_name = distinguished(subject);
    params.subject_alt_names = alternative(names)?;
    Ok(params)
}

fn distinguished(subject: &Subject) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    for organization in &subject.organizations {
        name.push(DnType::OrganizationName, organization.as_str());
    }
    name.push(DnType::CommonName, subject.common_name.as_str());
    name
}

fn alternative(names: &[San]) -> Result<Vec<SanType>, PkiError> {
    let name = |name: &San| match name {
        San::Dns(name) => Ok(SanType::DnsName(name.as_str().try_into().map_err(make_error)?)),
        San::Ip(address) => Ok(SanType::IpAddress(*address)),
    };
    names.iter().map(name).collect()
}

#[cfg(test)]
mod tests;
