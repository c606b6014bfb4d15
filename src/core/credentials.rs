//! Certificate requests of the kubelet (docs/contract.md, kubelet 7.1): their content, their result, and the time of
//! the next one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

use crate::core::model::credentials::CertificateUse;
use crate::core::model::pki::Subject;

/// The subject of the client and the serving certificate.
pub fn derive_subject(node_name: &str) -> Subject {
    Subject { common_name: format!("system:node:{node_name}"), organizations: vec!["system:nodes".into()] }
}

/// The request object. Its name is derived from the public key, so that a restarted kubelet finds its request again.
pub fn render_request(
    use_: CertificateUse,
    node_name: &str,
    csr_pem: &str,
    public_key: &str,
) -> CertificateSigningRequest {
    let (prefix, signer, usage) = match use_ {
        CertificateUse::Client => ("node-csr-", "kubernetes.io/kube-apiserver-client-kubelet", "client auth"),
        CertificateUse::Serving => ("csr-", "kubernetes.io/kubelet-serving", "server auth"),
    };
    let digest = Sha256::digest(format!("{signer}\n{node_name}\n{public_key}").as_bytes());
    // Names of requests are path segments, so any letter is allowed; upstream's have upper case too.
    let name = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(digest));
    CertificateSigningRequest {
        metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(csr_pem.as_bytes().to_vec()),
            signer_name: signer.into(),
            usages: Some(vec!["digital signature".into(), usage.into()]),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    }
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Neither approved nor denied, or not signed yet.
    Waiting,
    /// Signed; the certificate in PEM.
    Issued(String),
    /// Denied or failed; the message.
    Refused(String),
}

/// Derives the result from the request's status.
pub fn read_answer(request: &CertificateSigningRequest) -> Answer {
    let Some(status) = &request.status else { return Answer::Waiting };
    let refused = status.conditions.iter().flatten().find(|c| ["Denied", "Failed"].contains(&c.type_.as_str()));
    if let Some(condition) = refused {
        let message = condition.message.clone().or_else(|| condition.reason.clone()).unwrap_or_default();
        return Answer::Refused(message);
    }
    match &status.certificate {
        Some(bytes) if !bytes.0.is_empty() => match String::from_utf8(bytes.0.clone()) {
            Ok(pem) => Answer::Issued(pem),
            Err(_) => Answer::Refused("the issued certificate is no PEM text".into()),
        },
        Some(_) | None => Answer::Waiting,
    }
}

/// When to request the next certificate: between 70 and 90 % of its lifetime, chosen by `dice` (0 to 1).
pub fn derive_rotation(not_before: Timestamp, not_after: Timestamp, dice: f64) -> Timestamp {
    let life = not_after.duration_since(not_before).as_secs_f64().max(0.0);
    let share = 0.7 + 0.2 * dice.clamp(0.0, 1.0);
    not_before.checked_add(SignedDuration::try_from_secs_f64(life * share).unwrap_or_default()).unwrap_or(not_after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn asks_what_the_signers_accept() {
        let client = render_request(CertificateUse::Client, "n1", "csr", "key");
        assert_eq!(client.spec.signer_name, "kubernetes.io/kube-apiserver-client-kubelet");
        assert_eq!(client.spec.usages, Some(vec!["digital signature".into(), "client auth".into()]));
        assert!(client.metadata.name.as_deref().is_some_and(|n| n.starts_with("node-csr-")));
        let subject = derive_subject("n1");
        assert_eq!(
            (subject.common_name.as_str(), subject.organizations[0].as_str()),
            ("system:node:n1", "system:nodes")
        );
    }

    #[test]
    fn understands_every_answer() {
        let answer = |status: serde_json::Value| {
            let spec = json!({"request": "", "signerName": "s"});
            read_answer(&from_value(json!({"spec": spec, "status": status})).expect("a request"))
        };
        assert_eq!(answer(json!({})), Answer::Waiting);
        assert_eq!(answer(json!({"certificate": "UEVN"})), Answer::Issued("PEM".into()));
        let denied = json!({"conditions": [{"type": "Denied", "status": "True", "message": "no"}]});
        assert_eq!(answer(denied), Answer::Refused("no".into()));
    }

    #[test]
    fn rotates_within_the_window() {
        let at = |s| Timestamp::from_second(s).expect("a time");
        assert_eq!(derive_rotation(at(0), at(1000), 0.0), at(700));
        assert_eq!(derive_rotation(at(0), at(1000), 1.0), at(900));
    }
}
