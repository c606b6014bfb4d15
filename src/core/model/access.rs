//! Requests for access to the kubelet's server.

use std::collections::BTreeMap;

/// An authenticated user, as in TokenReview and SubjectAccessReview.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserInfo {
    /// User name; the CN of a certificate.
    pub name: String,
    /// Uid; empty if the authenticator has none.
    pub uid: String,
    /// Groups; the O values of a certificate.
    pub groups: Vec<String>,
    /// Additional data of the authenticator.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A SubjectAccessReview for `nodes/<subresource>` of this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessQuestion {
    /// Name of this node.
    pub node: String,
    /// API verb, e.g. `get`.
    pub verb: &'static str,
    /// Subresource of `nodes`, e.g. `proxy`, `stats`.
    pub subresource: &'static str,
}
