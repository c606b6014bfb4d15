//! Kubeconfig files: rendered with all data inline, and parsed as far as needed to check one.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::objects::render_yaml;
use crate::core::model::json::at;
use crate::core::yaml;

/// The kubeconfig with which the node agent approves serving certificates of kubelets.
pub const SERVING_APPROVER_CONF: &str = "serving-approver.conf";

/// The kubeconfig of the cloud controller manager.
pub const CLOUD_CONF: &str = "cloud-controller-manager.conf";

/// Contents of a kubeconfig; the last three are base64 of PEM.
pub struct KubeconfigParts<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// URL of the API server.
    pub server: &'a str,
    /// Name of the user.
    pub user: &'a str,
    /// CA certificates by which the client verifies the API server.
    pub ca: &'a str,
    /// Certificate by which the client authenticates itself.
    pub client_certificate: &'a str,
    /// Private key of that certificate.
    pub client_key: &'a str,
}

/// Renders the kubeconfig as YAML, with the data inline.
pub fn render(parts: &KubeconfigParts<'_>) -> String {
    let context = format!("{}@{}", parts.user, parts.cluster);
    render_yaml(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": parts.cluster,
            "cluster": { "certificate-authority-data": parts.ca, "server": parts.server },
        }],
        "contexts": [{ "name": context, "context": { "cluster": parts.cluster, "user": parts.user } }],
        "current-context": context,
        "preferences": {},
        "users": [{
            "name": parts.user,
            "user": { "client-certificate-data": parts.client_certificate, "client-key-data": parts.client_key },
        }],
    }))
}

/// The current context of a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedKubeconfig {
    /// URL of the API server.
    pub server: String,
    /// The CA in PEM; `None` if it is not inline.
    pub ca: Option<String>,
    /// The client's certificate in PEM; `None` if it is not inline.
    pub client_certificate: Option<String>,
    /// The client's key in PEM; `None` if it is not inline.
    pub client_key: Option<String>,
    /// Path of the client's certificate; `None` if it is inline or missing.
    pub client_certificate_path: Option<PathBuf>,
}

/// Reads a kubeconfig; `None` if the text is not a kubeconfig.
pub fn parse(text: &str) -> Option<ObservedKubeconfig> {
    let value = yaml::parse_document(text.as_bytes()).ok()?;
    let named = |list: &str, name: &str, field: &str| {
        let entries = value.get(list)?.as_array()?;
        entries.iter().find(|entry| at(entry, &["name"]) == name)?.get(field).cloned()
    };
    let context = named("contexts", at(&value, &["current-context"]).as_str()?, "context")?;
    let cluster = named("clusters", at(&context, &["cluster"]).as_str()?, "cluster")?;
    let user = named("users", at(&context, &["user"]).as_str()?, "user")?;
    let decode = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok();
    Some(ObservedKubeconfig {
        server: at(&cluster, &["server"]).as_str()?.to_owned(),
        ca: decode(at(&cluster, &["certificate-authority-data"])),
        client_certificate: decode(at(&user, &["client-certificate-data"])),
        client_key: decode(at(&user, &["client-key-data"])),
        client_certificate_path: at(&user, &["client-certificate"]).as_str().map(PathBuf::from),
    })
}

/// The text with a different server and CA (PEM) for the cluster of its current context; `None` if the text is not a
/// kubeconfig.
pub fn point(text: &str, server: &str, ca: &str) -> Option<String> {
    let mut value = yaml::parse_document(text.as_bytes()).ok()?;
    let current = at(&value, &["current-context"]).as_str()?.to_owned();
    let contexts = at(&value, &["contexts"]).as_array()?;
    let context = contexts.iter().find(|entry| at(entry, &["name"]) == current.as_str())?;
    let name = at(context, &["context", "cluster"]).as_str()?.to_owned();
    let clusters = value.get_mut("clusters")?.as_array_mut()?;
    let cluster =
        clusters.iter_mut().find(|entry| at(entry, &["name"]) == name.as_str())?.get_mut("cluster")?.as_object_mut()?;
    cluster.remove("certificate-authority");
    cluster.insert("certificate-authority-data".to_owned(), STANDARD.encode(ca).into());
    cluster.insert("server".to_owned(), server.into());
    Some(render_yaml(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let [ca, cert, key] = ["ca", "cert", "key"].map(|text| STANDARD.encode(text));
        let text = render(&KubeconfigParts {
            cluster: "kubernetes",
            server: "https://10.0.0.1:6443",
            user: "system:node:n1",
            ca: &ca,
            client_certificate: &cert,
            client_key: &key,
        });
        let seen = parse(&text).unwrap();
        assert_eq!(seen.server, "https://10.0.0.1:6443");
        assert_eq!(
            (seen.ca.as_deref(), seen.client_certificate.as_deref(), seen.client_key.as_deref()),
            (Some("ca"), Some("cert"), Some("key"))
        );
        let moved = parse(&point(&text, "https://10.0.0.2:6443", "another").unwrap()).unwrap();
        assert_eq!((moved.server.as_str(), moved.ca.as_deref()), ("https://10.0.0.2:6443", Some("another")));
        assert_eq!(moved.client_certificate, seen.client_certificate, "the user stays");
        assert_eq!(point("{}", "", ""), None);
        assert_eq!(parse("{}"), None);
        assert_eq!(parse("a: ["), None);
    }
}
