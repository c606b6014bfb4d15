//! Credential plugins of kubeconfigs: the request and its answer (client-go `plugin/pkg/client/auth/exec`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::core::model::Secret;
use crate::core::model::json::{at, put};
use crate::core::yaml;

const GROUP: &str = "client.authentication.k8s.io/";

/// The credential in a plugin's answer.
#[derive(Debug)]
pub struct ExecCredential {
    /// Bearer token for the header `Authorization`; `None` if it gave a certificate.
    pub token: Option<Secret<String>>,
    /// Client certificate and its key, both PEM; `None` if it gave a token.
    pub certificate: Option<(String, Secret<String>)>,
    /// When the plugin must be asked again; `None`: when the server rejects the credential.
    pub expires: Option<Timestamp>,
}

/// Why a plugin cannot be run, or its answer is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// The kubeconfig names an unsupported `apiVersion`.
    #[error("apiVersion {0:?} is neither {GROUP}v1 nor {GROUP}v1beta1")]
    Version(String),
    /// The kubeconfig has no `interactiveMode`, which has no default in v1.
    #[error("interactiveMode must be given for {GROUP}v1")]
    Mode,
    /// The plugin needs a terminal and there is none.
    #[error("it is interactive, but standard input is not a terminal")]
    NoTerminal,
    /// The answer is neither YAML nor JSON; the parser's message.
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
    /// The answer has another version or kind.
    #[error("its answer is {found}, expected {wanted}")]
    Other {
        /// `apiVersion, kind` of the answer.
        found: String,
        /// The `apiVersion, kind` that were requested.
        wanted: String,
    },
    /// The answer contains no credential.
    #[error("its answer has neither status.token nor a certificate with its key")]
    Empty,
    /// The answer contains a certificate without a key, or a key without a certificate.
    #[error("its answer has only one of status.clientCertificateData and status.clientKeyData")]
    Half,
    /// The expiry is not an RFC 3339 time.
    #[error("its status.expirationTimestamp {0:?} is not a time")]
    Time(String),
}

/// Whether the plugin may use the terminal, from `interactiveMode` and whether there is one.
///
/// # Errors
/// A version or mode that client-go rejects, or a plugin that requires a terminal.
pub fn derive_interactive(version: &str, mode: Option<&str>, terminal: bool) -> Result<bool, ExecError> {
    match (version.strip_prefix(GROUP), mode) {
        (Some("v1"), None) => Err(ExecError::Mode),
        (Some("v1" | "v1beta1"), Some("Never")) => Ok(false),
        (Some("v1" | "v1beta1"), Some("Always")) if !terminal => Err(ExecError::NoTerminal),
        (Some("v1" | "v1beta1"), _) => Ok(terminal),
        _ => Err(ExecError::Version(version.to_owned())),
    }
}

/// The value of `KUBERNETES_EXEC_INFO`. `cluster` is the kubeconfig's cluster, if the plugin requests it.
pub fn render_request(version: &str, interactive: bool, cluster: Option<&Value>) -> String {
    let mut request =
        json!({ "apiVersion": version, "kind": "ExecCredential", "spec": { "interactive": interactive } });
    if let Some(cluster) = cluster {
        put(&mut request, &["spec", "cluster"], cluster.clone());
    }
    request.to_string()
}

/// Parses the answer to a request of that version. Error texts never contain credentials.
///
/// # Errors
/// An answer that client-go would reject.
pub fn parse_answer(bytes: &[u8], version: &str) -> Result<ExecCredential, ExecError> {
    let answer = yaml::parse_document(bytes).map_err(|error| ExecError::Unreadable(error.message))?;
    let word = |names: &[&str]| at(&answer, names).as_str().unwrap_or_default();
    let (found, kind) = (word(&["apiVersion"]), word(&["kind"]));
    if (found, kind) != (version, "ExecCredential") {
        let (found, wanted) = (format!("{found:?}, {kind:?}"), format!("{version:?}, \"ExecCredential\""));
        return Err(ExecError::Other { found, wanted });
    }
    let given = |field| Some(word(&["status", field])).filter(|text| !text.is_empty()).map(str::to_owned);
    let certificate = match (given("clientCertificateData"), given("clientKeyData")) {
        (Some(certificate), Some(key)) => Some((certificate, Secret::new(key))),
        (None, None) => None,
        _ => return Err(ExecError::Half),
    };
    let token = given("token").map(Secret::new);
    if token.is_none() && certificate.is_none() {
        return Err(ExecError::Empty);
    }
    let time = given("expirationTimestamp");
    let expires = time.map(|text| text.parse().map_err(|_| ExecError::Time(text))).transpose()?;
    Ok(ExecCredential { token, certificate, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    fn answer(status: &str) -> Result<ExecCredential, ExecError> {
        parse_answer(format!("apiVersion: {V1}\nkind: ExecCredential\nstatus: {status}\n").as_bytes(), V1)
    }

    #[test]
    fn modes_are_those_of_client_go() {
        let mode = |mode, terminal| derive_interactive(V1, mode, terminal);
        assert_eq!(mode(Some("Never"), true), Ok(false));
        assert_eq!(mode(Some("IfAvailable"), true), Ok(true));
        assert_eq!(mode(Some("IfAvailable"), false), Ok(false));
        assert_eq!(mode(Some("Always"), true), Ok(true));
        assert_eq!(mode(Some("Always"), false), Err(ExecError::NoTerminal));
        assert_eq!(mode(None, true), Err(ExecError::Mode));
        assert_eq!(derive_interactive("client.authentication.k8s.io/v1beta1", None, true), Ok(true));
        let old = "client.authentication.k8s.io/v1alpha1";
        assert_eq!(derive_interactive(old, Some("Never"), true), Err(ExecError::Version(old.into())));
    }

    #[test]
    fn asks_with_the_cluster_where_that_is_wanted() {
        let plain = r#"{"apiVersion":"v","kind":"ExecCredential","spec":{"interactive":false}}"#;
        assert_eq!(render_request("v", false, None), plain);
        let asked = render_request("v", true, Some(&json!({ "server": "https://h" })));
        assert!(asked.contains(r#""cluster":{"server":"https://h"}"#), "{asked}");
    }

    #[test]
    fn takes_tokens_and_certificates_from_json_and_yaml() {
        let token = answer(r#"{token: t, expirationTimestamp: "2030-01-02T03:04:05Z"}"#).expect("an answer");
        assert_eq!(token.token.expect("a token").reveal(), "t");
        assert_eq!(token.expires, Some("2030-01-02T03:04:05Z".parse().expect("a time")));
        let pair = answer("{clientCertificateData: C, clientKeyData: K}").expect("an answer");
        let (certificate, key) = pair.certificate.expect("a pair");
        assert_eq!((certificate.as_str(), key.reveal().as_str(), pair.expires), ("C", "K", None));
        let json = format!(r#"{{"apiVersion":"{V1}","kind":"ExecCredential","status":{{"token":"t"}}}}"#);
        assert!(parse_answer(json.as_bytes(), V1).is_ok());
    }

    #[test]
    fn refuses_what_client_go_refuses_and_tells_no_secret() {
        assert_eq!(answer("{}").unwrap_err(), ExecError::Empty);
        assert_eq!(answer("{token: ''}").unwrap_err(), ExecError::Empty);
        assert_eq!(answer("null").unwrap_err(), ExecError::Empty);
        assert_eq!(answer("{clientKeyData: SECRET}").unwrap_err(), ExecError::Half);
        assert_eq!(answer("{token: SECRET, expirationTimestamp: soon}").unwrap_err(), ExecError::Time("soon".into()));
        let other = parse_answer(b"{apiVersion: v9, kind: ExecCredential, status: {token: SECRET}}", V1).unwrap_err();
        assert!(matches!(other, ExecError::Other { .. }), "{other}");
        for text in ["SECRET", "{token: SECRET", "- SECRET", "a: SECRET\na: SECRET\n"] {
            let error = parse_answer(text.as_bytes(), V1).unwrap_err().to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}
