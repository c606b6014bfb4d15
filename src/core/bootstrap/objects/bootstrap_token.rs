//! Bootstrap tokens as Secrets (`k8s.io/cluster-bootstrap`, and `bootstraptoken/v1` in kubeadm).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::rbac::BOOTSTRAP_GROUP;
use crate::core::bootstrap::key_handover::TOKEN_GROUP;
use crate::core::bootstrap::token::Token;

/// The Secret of a token that may join nodes until `expires` (`None`: forever). Only a token for control planes
/// receives the cluster's keys.
pub fn render_token_secret(
    token: &Token,
    expires: Option<Timestamp>,
    description: Option<&str>,
    control_plane: bool,
) -> Value {
    let groups = if control_plane { format!("{BOOTSTRAP_GROUP},{TOKEN_GROUP}") } else { BOOTSTRAP_GROUP.to_owned() };
    let mut data = BTreeMap::from([
        ("token-id", token.id().to_owned()),
        ("token-secret", token.secret().to_owned()),
        ("usage-bootstrap-authentication", "true".to_owned()),
        ("usage-bootstrap-signing", "true".to_owned()),
        ("auth-extra-groups", groups),
    ]);
    if let Some(expires) = expires {
        data.insert("expiration", whole_seconds(expires));
    }
    if let Some(description) = description {
        data.insert("description", description.to_owned());
    }
    let data: BTreeMap<_, _> = data.into_iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": format!("bootstrap-token-{}", token.id()), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "data": data,
    })
}

/// RFC 3339 without fractional seconds, as upstream's controllers expect it.
fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A token read from its Secret, without the secret half.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ObservedToken {
    /// The six characters before the dot.
    pub id: String,
    /// Expiry, RFC 3339; `None` if it never expires.
    pub expires: Option<String>,
    /// Allowed usages: `signing`, `authentication`.
    pub usages: Vec<String>,
    /// Groups of its bearer.
    pub groups: Vec<String>,
    /// Free text by whoever created it, shown by `bootstrap token list`.
    pub description: Option<String>,
}

/// Parses the decoded data of a token Secret; `None` if it is not a token.
pub fn parse_token_secret(data: &BTreeMap<String, Vec<u8>>) -> Option<ObservedToken> {
    let text = |key: &str| data.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let prefix = "usage-bootstrap-";
    let usages = data.iter().filter(|(_, value)| value.as_slice() == b"true");
    Some(ObservedToken {
        id: text("token-id")?,
        expires: text("expiration"),
        usages: usages.filter_map(|(key, _)| key.strip_prefix(prefix)).map(str::to_owned).collect(),
        groups: text("auth-extra-groups")
            .unwrap_or_default()
            .split(',')
            .filter(|group| !group.is_empty())
            .map(str::to_owned)
            .collect(),
        description: text("description"),
    })
}
