//! Trust of a joining node: `cluster-info` is accepted only if the token signed it and the key of its CA is pinned
//! (`cmd/kubeadm/app/discovery/token`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, Pem, X509Certificate};

use super::jws;
use super::token::Token;

/// Why the cluster is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The ConfigMap contains no kubeconfig.
    #[error("configmap kube-public/cluster-info has no kubeconfig: this cluster is not set up for joining with tokens")]
    NoKubeconfig,
    /// `cluster-info` has no signature by this token.
    #[error(
        "token {id} is unknown to the cluster or has expired; create a new one on a control-plane node with `bootstrap token create --print-join-command`"
    )]
    UnknownToken {
        /// Id of the token, its public half.
        id: String,
    },
    /// There is a signature by this token id, made with a different secret.
    #[error(
        "cluster-info is not signed by token {id}: the secret half of the token is wrong, or something between this node and the API server impersonates it"
    )]
    WrongSignature {
        /// Id of the token, its public half.
        id: String,
    },
    /// The kubeconfig in it cannot be used.
    #[error("the kubeconfig in configmap kube-public/cluster-info is malformed: {reason}")]
    Malformed {
        /// The message of the YAML parser.
        reason: String,
    },
    /// The key of a CA is not pinned.
    #[error(
        "the cluster has a CA with hash {found}, but the pinned hash is {expected}: check --ca-hash and the endpoint; during a CA rotation every CA has to be pinned, as `bootstrap token create --print-join-command` prints it"
    )]
    WrongCa {
        /// Hashes of the CA certificates that are not pinned.
        found: String,
        /// The pinned hashes, separated by commas.
        expected: String,
    },
    /// The response over verified TLS differs from the first one.
    #[error(
        "cluster-info differs between the first, unverified request and the one over verified TLS: something between this node and the API server changes it"
    )]
    Differs,
    /// The text is not a pin.
    #[error("invalid CA hash: write sha256: followed by 64 hexadecimal digits")]
    InvalidPin,
}

/// A pin: SHA-256 of a CA's public key (DER SubjectPublicKeyInfo), written `sha256:HEX`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CaPin([u8; 32]);

impl CaPin {
    /// The pin of a DER certificate.
    pub fn of_certificate(der: &[u8]) -> Result<Self, Error> {
        let malformed = |error: &dyn fmt::Display| Error::Malformed { reason: format!("CA certificate: {error}") };
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
        Ok(Self(Sha256::digest(certificate.tbs_certificate.subject_pki.raw).into()))
    }

    /// The pins of all certificates in a PEM text.
    pub fn of_pem(pem: &[u8]) -> Result<Vec<Self>, Error> {
        let mut pins = Vec::new();
        for block in Pem::iter_from_buffer(pem) {
            let block = block.map_err(|error| Error::Malformed { reason: format!("CA certificate: {error}") })?;
            pins.push(Self::of_certificate(&block.contents)?);
        }
        if pins.is_empty() {
            Err(Error::Malformed { reason: "it contains no CA certificate".into() })
        } else {
            Ok(pins)
        }
    }
}

impl FromStr for CaPin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text
            .strip_prefix("sha256:")
            .filter(|digits| digits.len() == 64 && digits.is_ascii())
            .ok_or(Error::InvalidPin)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| Error::InvalidPin)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| Error::InvalidPin)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a node trusts after discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedCluster {
    /// URL of the API, `https://host:port`.
    pub server: String,
    /// The cluster's CA certificates, PEM; several during a CA rotation.
    pub ca: String,
    /// The signed kubeconfig, to compare with the second response.
    pub kubeconfig: String,
}

/// Checks the data of `cluster-info`: the signature first, then every CA against the pins. (kubeadm accepts a bundle
/// with one pinned CA, `cmd/kubeadm/app/util/pubkeypin`, and would then trust all of it.)
pub fn verify_cluster_info(
    data: &BTreeMap<String, String>,
    token: &Token,
    pins: &[CaPin],
) -> Result<TrustedCluster, Error> {
    let kubeconfig = data.get("kubeconfig").filter(|text| !text.is_empty()).ok_or(Error::NoKubeconfig)?;
    let unknown = || Error::UnknownToken { id: token.id().to_owned() };
    let signature = data.get(&format!("jws-kubeconfig-{}", token.id())).ok_or_else(unknown)?;
    if !jws::is_signed(kubeconfig, signature, token.id(), token.secret()) {
        return Err(Error::WrongSignature { id: token.id().to_owned() });
    }
    let (server, ca) = parse_cluster(kubeconfig)?;
    let mut strangers = CaPin::of_pem(ca.as_bytes())?;
    strangers.retain(|pin| !pins.contains(pin));
    if !strangers.is_empty() {
        let list = |pins: &[CaPin]| pins.iter().map(CaPin::to_string).collect::<Vec<_>>().join(", ");
        return Err(Error::WrongCa { found: list(&strangers), expected: list(pins) });
    }
    Ok(TrustedCluster { server, ca, kubeconfig: kubeconfig.clone() })
}

/// Checks that the response over verified TLS is identical, byte for byte.
pub fn verify_second_reading(first: &TrustedCluster, data: &BTreeMap<String, String>) -> Result<(), Error> {
    if data.get("kubeconfig") == Some(&first.kubeconfig) { Ok(()) } else { Err(Error::Differs) }
}

/// The API's URL and CA (PEM) in a kubeconfig with one cluster.
pub fn parse_cluster(kubeconfig: &str) -> Result<(String, String), Error> {
    #[derive(Deserialize)]
    struct Kubeconfig {
        clusters: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        cluster: Cluster,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Cluster {
        server: String,
        certificate_authority_data: String,
    }
    let malformed = |reason: String| Error::Malformed { reason };
    let parsed: Kubeconfig = serde_saphyr::from_str(kubeconfig).map_err(|error| malformed(error.to_string()))?;
    let [Named { cluster }] = parsed.clusters.as_slice() else {
        return Err(malformed(format!("it names {} clusters instead of one", parsed.clusters.len())));
    };
    if !cluster.server.starts_with("https://") {
        return Err(malformed(format!("server \"{}\" does not begin with https://", cluster.server)));
    }
    let ca = STANDARD.decode(&cluster.certificate_authority_data).map_err(|error| malformed(error.to_string()))?;
    let ca = String::from_utf8(ca).map_err(|_| malformed("the CA is not PEM".into()))?;
    Ok((cluster.server.clone(), ca))
}

#[cfg(test)]
mod tests;
