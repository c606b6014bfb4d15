//! Which certificate requests of kubelets are approved, and which are denied.
//!
//! Two signers: `kubernetes.io/kubelet-serving`, for which upstream approves nothing because only an installer knows
//! which names belong to a node, and `kubernetes.io/kube-apiserver-client-kubelet` for requests by bootstrap tokens.
//! Their requirements: <https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/>. A node
//! writes its own Node object, so nothing in it counts if it contradicts another source.

mod client;
mod denials;
mod names;
mod parse;
mod request;
mod serving;

pub use client::{BOOTSTRAP_USER, claims_of, judge_client};
pub use denials::denials;
pub use names::{ClusterNames, NodeNames};
pub use request::{CLIENT_SIGNER, CertificateRequest, Decision, ObservedRequest, Refusal, SERVING_SIGNER};
pub use serving::judge_serving;

use crate::core::model::pki::San;

/// True when all usages are among the signer's and `purpose` is present.
fn are_usages(usages: &[String], purpose: &str) -> bool {
    let allowed = ["digital signature", "key encipherment", purpose];
    usages.iter().all(|usage| allowed.contains(&usage.as_str())) && usages.iter().any(|usage| usage == purpose)
}

/// Formats a name without its type.
fn show(san: &San) -> String {
    san.to_string()
}

#[cfg(test)]
mod tests;
