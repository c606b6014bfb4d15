//! Messages for a node whose client certificate request was denied.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::parse::{NODE_USER, parse};
use super::request::CLIENT_SIGNER;
use crate::core::model::json::at;

/// Uid and message of each denied request for the client certificate of a node.
pub fn denials(node: &str, requests: &[Value]) -> Vec<(String, String)> {
    let user = format!("{NODE_USER}{node}");
    let of_node = requests.iter().filter(|request| {
        let pem = at(request, &["spec", "request"]).as_str().and_then(|text| STANDARD.decode(text).ok());
        *at(request, &["spec", "signerName"]) == CLIENT_SIGNER
            && pem.and_then(|pem| parse(&pem).ok()).is_some_and(|parsed| parsed.common_name == user)
    });
    let denied = of_node.filter_map(|request| {
        let conditions = at(request, &["status", "conditions"]).as_array()?;
        let refused = conditions.iter().find(|one| matches!(at(one, &["type"]).as_str(), Some("Denied" | "Failed")))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some((text(at(request, &["metadata", "uid"])), text(at(refused, &["message"]))))
    });
    denied.collect()
}
