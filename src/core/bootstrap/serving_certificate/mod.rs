//! Which certificate requests of kubelet servers are to be approved.
//!
//! The form is that of the signer `kubernetes.io/kubelet-serving`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/>); upstream approves none by
//! itself, because only an installer can know which names belong to a node. Ours: those in its Node object.

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// The signer of kubelet serving certificates.
pub const SIGNER: &str = "kubernetes.io/kubelet-serving";

/// A request as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServingRequest {
    /// Who made it, as the API server authenticated them.
    pub username: String,
    /// The groups of that user.
    pub groups: Vec<String>,
    /// Wanted usages.
    pub usages: Vec<String>,
    /// The PEM text of the PKCS#10 request.
    pub pem: Vec<u8>,
}

/// The names by which a registered node may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeNames {
    /// The node's name and its addresses of the types Hostname, InternalDNS and ExternalDNS.
    pub dns: Vec<String>,
    /// Its addresses of the types InternalIP and ExternalIP.
    pub addresses: Vec<IpAddr>,
}

/// Why a request is left for a person to decide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was not made by a kubelet.
    #[error("user \"{0}\" is not a node")]
    NotANode(String),
    /// It asks for more than a server certificate.
    #[error("usages {0:?} are not those of a server certificate")]
    Usages(Vec<String>),
    /// The request cannot be read.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// The subject is not the node's.
    #[error("subject \"{found}\" is not that of {expected}")]
    Subject {
        /// The subject in the request.
        found: String,
        /// The user that made it.
        expected: String,
    },
    /// A name that does not belong to the node.
    #[error("name \"{0}\" does not belong to the node")]
    ForeignName(String),
    /// The request names nothing.
    #[error("it names neither a DNS name nor an address")]
    NoNames,
}

/// The node on whose behalf a request was made, if its user is one.
pub fn node_of(request: &ServingRequest) -> Result<&str, Refusal> {
    let name = request.username.strip_prefix("system:node:").filter(|name| !name.is_empty());
    match name {
        Some(name) if request.groups.iter().any(|group| group == "system:nodes") => Ok(name),
        _ => Err(Refusal::NotANode(request.username.clone())),
    }
}

/// Approves (`Ok`) when the request asks for a server certificate of the node itself, under names of the node only.
pub fn judge(request: &ServingRequest, node: &NodeNames) -> Result<(), Refusal> {
    node_of(request)?;
    judge_usages(&request.usages)?;
    let malformed = |error: &dyn std::fmt::Display| Refusal::Malformed(error.to_string());
    let (rest, pem) = x509_parser::pem::parse_x509_pem(&request.pem).map_err(|error| malformed(&error))?;
    if pem.label != "CERTIFICATE REQUEST" || Pem::iter_from_buffer(rest).next().is_some() {
        return Err(Refusal::Malformed("it is not exactly one CERTIFICATE REQUEST".into()));
    }
    let (_, parsed) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| malformed(&error))?;
    judge_subject(&parsed, request)?;
    judge_names(&parsed, node)
}

fn judge_usages(usages: &[String]) -> Result<(), Refusal> {
    let allowed = ["digital signature", "key encipherment", "server auth"];
    let known = usages.iter().all(|usage| allowed.contains(&usage.as_str()));
    if known && usages.iter().any(|usage| usage == "server auth") {
        Ok(())
    } else {
        Err(Refusal::Usages(usages.to_vec()))
    }
}

fn judge_subject(parsed: &X509CertificationRequest<'_>, request: &ServingRequest) -> Result<(), Refusal> {
    let subject = &parsed.certification_request_info.subject;
    let mut names = subject.iter_common_name().map(|name| name.as_str().unwrap_or_default());
    let mut organizations = subject.iter_organization().map(|name| name.as_str().unwrap_or_default());
    let right = (names.next(), names.next()) == (Some(request.username.as_str()), None)
        && (organizations.next(), organizations.next()) == (Some("system:nodes"), None);
    if right {
        Ok(())
    } else {
        Err(Refusal::Subject { found: subject.to_string(), expected: request.username.clone() })
    }
}

fn judge_names(parsed: &X509CertificationRequest<'_>, node: &NodeNames) -> Result<(), Refusal> {
    let mut named = false;
    for extension in parsed.requested_extensions().into_iter().flatten() {
        let names = match extension {
            ParsedExtension::SubjectAlternativeName(names) => &names.general_names,
            // What the request says of its own usages is replaced by the signer.
            ParsedExtension::KeyUsage(_) | ParsedExtension::ExtendedKeyUsage(_) => continue,
            ParsedExtension::BasicConstraints(constraints) if !constraints.ca => continue,
            _ => return Err(Refusal::Malformed("it asks for an unexpected extension".into())),
        };
        for name in names {
            named = true;
            let known = match name {
                GeneralName::DNSName(name) => node.dns.iter().any(|known| known == name),
                GeneralName::IPAddress(bytes) => parse_address(bytes).is_some_and(|ip| node.addresses.contains(&ip)),
                _ => false,
            };
            if !known {
                return Err(Refusal::ForeignName(show(name)));
            }
        }
    }
    if named { Ok(()) } else { Err(Refusal::NoNames) }
}

fn parse_address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn show(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => parse_address(bytes).map_or_else(|| "?".to_owned(), |ip| ip.to_string()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
