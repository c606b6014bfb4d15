//! Who asks the kubelet's server for what.

use std::collections::BTreeMap;

/// An authenticated user, as the API server names users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserInfo {
    /// Name; of a certificate its CN.
    pub name: String,
    /// Uid, empty where there is none.
    pub uid: String,
    /// Groups; of a certificate its O values.
    pub groups: Vec<String>,
    /// Whatever else the authenticator said.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// `get nodes/<subresource>` and the like; the name is always this node's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessQuestion {
    /// Name of the node.
    pub node: String,
    /// API verb.
    pub verb: &'static str,
    /// Subresource of `nodes`.
    pub subresource: &'static str,
}
