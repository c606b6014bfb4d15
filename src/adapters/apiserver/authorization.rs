//! The credentials of each request: the header `Authorization` from a token, a token file, a password or a
//! credential plugin.
//! The client library supports this too, but runs plugins and reads files on the runtime's thread, and depends on a
//! query language for a provider that Kubernetes removed in v1.26.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use secrecy::ExposeSecret;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

use super::tls::{Identity, TlsError};
use crate::adapters::program::answer_of;
use crate::core::exec_credential::{ExecCredential, ExecError, derive_interactive, parse_answer, render_request};

/// How long a token is used before its file is read again (client-go `transport/token_source.go`).
const REREAD: Duration = Duration::from_secs(50);

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file of a token cannot be read.
    #[error("read the token in {path}")]
    File { path: PathBuf, source: io::Error },
    /// The credential contains line breaks or control characters.
    #[error("the token or the password contains characters that are not allowed in an HTTP header")]
    Header(#[from] InvalidHeaderValue),
    /// The kubeconfig has an `auth-provider`.
    #[error(
        "auth provider \"{0}\": Kubernetes has none since v1.26; a credential plugin (`exec`) takes its place, such as kubelogin or gke-gcloud-auth-plugin"
    )]
    Provider(String),
    /// Two kinds of credentials at once (client-go rejects it too).
    #[error("both username and token are set; set only one of them")]
    Two,
    #[error("credential plugin: command is missing")]
    NoCommand,
    /// The plugin cannot be run, or its answer is invalid.
    #[error("credential plugin {command}")]
    Plugin { command: String, source: ExecError },
    /// The plugin does not start, or fails.
    #[error("credential plugin {command}: {message}{}", hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
    Run {
        command: String,
        /// The plugin's output to standard error.
        message: String,
        hint: Option<String>,
    },
    #[error("the certificate of a credential plugin")]
    Certificate(#[from] TlsError),
}

/// Provides the value of the header. Clones share it.
#[derive(Clone)]
pub struct Authorization(Arc<Source>);

enum Source {
    Nobody,
    Fixed(HeaderValue),
    File { path: PathBuf, held: Mutex<(HeaderValue, Instant)> },
    Plugin { plugin: Box<ExecConfig>, held: Mutex<Held> },
}

/// The last answer of a plugin.
struct Held {
    header: Option<HeaderValue>,
    expires: Option<Timestamp>,
    /// True if the server rejected it.
    refused: bool,
}

impl Authorization {
    /// Without credentials: no header.
    pub fn nobody() -> Self {
        Self(Arc::new(Source::Nobody))
    }

    /// With a bearer token.
    ///
    /// # Errors
    /// It contains characters that a header cannot have.
    pub fn bearer(token: &str) -> Result<Self, CredentialError> {
        Ok(Self(Arc::new(Source::Fixed(bearer(token)?))))
    }

    /// With the credentials of a user in a kubeconfig. A plugin is run immediately; it may return a certificate
    /// instead, which is the second value, with its expiry.
    ///
    /// # Errors
    /// A configured credential cannot be obtained.
    pub async fn of(user: &AuthInfo) -> Result<(Self, Option<(Identity, Option<Timestamp>)>), CredentialError> {
        if let Some(provider) = &user.auth_provider {
            return Err(CredentialError::Provider(provider.name.clone()));
        }
        let given = user.token.as_ref().map(ExposeSecret::expose_secret).filter(|token| !token.is_empty());
        let token = given.map(bearer).transpose()?;
        let file = user.token_file.as_ref().filter(|file| !file.is_empty());
        let source = match (&user.username, &user.password, token, file) {
            (Some(_), _, Some(_), _) | (Some(_), _, _, Some(_)) => return Err(CredentialError::Two),
            (Some(name), password, None, None) => {
                let password = password.as_ref().map_or("", ExposeSecret::expose_secret);
                Source::Fixed(sensitive(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))?)
            }
            (None, _, token, Some(file)) => {
                let path = PathBuf::from(file);
                let header = match (read_token(&path).await, token) {
                    (Ok(header), _) | (Err(_), Some(header)) => header,
                    (Err(error), None) => return Err(error),
                };
                Source::File { path, held: Mutex::new((header, Instant::now())) }
            }
            (None, _, Some(token), None) => Source::Fixed(token),
            (None, _, None, None) => match &user.exec {
                None => Source::Nobody,
                Some(plugin) => return Self::of_plugin(plugin).await,
            },
        };
        Ok((Self(Arc::new(source)), None))
    }

    async fn of_plugin(plugin: &ExecConfig) -> Result<(Self, Option<(Identity, Option<Timestamp>)>), CredentialError> {
        let answer = run_plugin(plugin).await?;
        let certificate = match &answer.certificate {
            Some((chain, key)) => Some(Identity::from_pem(chain.as_bytes(), key.reveal().as_bytes())?),
            None => None,
        };
        let held = Mutex::new(Held::new(&answer)?);
        let source = Source::Plugin { plugin: Box::new(plugin.clone()), held };
        Ok((Self(Arc::new(source)), certificate.map(|identity| (identity, answer.expires))))
    }

    async fn header(&self) -> Result<Option<HeaderValue>, CredentialError> {
        match &*self.0 {
            Source::Nobody => Ok(None),
            Source::Fixed(header) => Ok(Some(header.clone())),
            Source::File { path, held } => {
                let mut held = held.lock().await;
                if held.1.elapsed() >= REREAD {
                    // If the file is missing, the last token stays in use (kubernetes/kubernetes#68164).
                    if let Ok(header) = read_token(path).await {
                        held.0 = header;
                    }
                    held.1 = Instant::now();
                }
                Ok(Some(held.0.clone()))
            }
            Source::Plugin { plugin, held } => {
                let mut held = held.lock().await;
                let over = held.expires.is_some_and(|end| Timestamp::now() >= end);
                if held.header.is_some() && (held.refused || over) {
                    *held = Held::new(&run_plugin(plugin).await?)?;
                }
                Ok(held.header.clone())
            }
        }
    }

    /// The server rejected `sent`: a plugin is run again before the next request.
    async fn refused(&self, sent: Option<&HeaderValue>) {
        if let Source::Plugin { held, .. } = &*self.0 {
            let mut held = held.lock().await;
            // Unless the rejected one is older than the current one.
            held.refused |= held.header.as_ref() == sent;
        }
    }
}

impl Held {
    fn new(answer: &ExecCredential) -> Result<Self, CredentialError> {
        let header = answer.token.as_ref().map(|token| bearer(token.reveal())).transpose()?;
        Ok(Self { header, expires: answer.expires, refused: false })
    }
}

fn sensitive(text: String) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut header = HeaderValue::try_from(text)?;
    header.set_sensitive(true);
    Ok(header)
}

fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    sensitive(format!("Bearer {token}"))
}

async fn read_token(path: &PathBuf) -> Result<HeaderValue, CredentialError> {
    let failed = |source| CredentialError::File { path: path.clone(), source };
    let text = tokio::fs::read_to_string(path).await.map_err(failed)?;
    match text.trim() {
        "" => Err(failed(io::Error::other("it is empty"))),
        token => Ok(bearer(token)?),
    }
}

async fn run_plugin(plugin: &ExecConfig) -> Result<ExecCredential, CredentialError> {
    let command = plugin.command.clone().filter(|command| !command.is_empty()).ok_or(CredentialError::NoCommand)?;
    let refused = |source| CredentialError::Plugin { command: command.clone(), source };
    let version = plugin.api_version.as_deref().unwrap_or_default();
    let mode = plugin.interactive_mode.as_ref().map(|mode| match mode {
        ExecInteractiveMode::Never => "Never",
        ExecInteractiveMode::IfAvailable => "IfAvailable",
        ExecInteractiveMode::Always => "Always",
    });
    let interactive = derive_interactive(version, mode, io::stdin().is_terminal()).map_err(refused)?;
    let cluster = plugin.cluster.as_ref().and_then(|cluster| serde_json::to_value(cluster).ok());
    let variables = plugin.env.iter().flatten().filter_map(|variable| variable.get("name").zip(variable.get("value")));
    let mut program = Command::new(&command);
    program.args(plugin.args.iter().flatten()).envs(variables);
    program.env("KUBERNETES_EXEC_INFO", render_request(version, interactive, cluster.as_ref()));
    if interactive {
        program.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        program.stdin(Stdio::null()).stderr(Stdio::piped());
    }
    let failed =
        |message| CredentialError::Run { command: command.clone(), message, hint: plugin.install_hint.clone() };
    parse_answer(&answer_of(program, &[]).await.map_err(failed)?, version).map_err(refused)
}

impl<S> Layer<S> for Authorization {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorized { inner, authorization: self.clone() }
    }
}

/// A client that adds the header to its requests.
#[derive(Clone)]
pub struct Authorized<S> {
    inner: S,
    authorization: Authorization,
}

impl<S, B, R> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Send,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The instance that reported ready must be called (tower's `Service`).
        let other = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, other);
        let authorization = self.authorization.clone();
        Box::pin(async move {
            let header = authorization.header().await?;
            if let Some(header) = &header {
                request.headers_mut().insert(AUTHORIZATION, header.clone());
            }
            let response = ready.call(request).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                authorization.refused(header.as_ref()).await;
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::core::model::with_causes;

    fn user(fields: serde_json::Value) -> AuthInfo {
        serde_json::from_value(fields).expect("a user")
    }

    /// The header of a request that the server answers with `status`.
    async fn seen(authorization: &Authorization, status: u16) -> Result<String, BoxError> {
        let server = service_fn(move |request: Request<()>| async move {
            let header = request.headers().get(AUTHORIZATION).map(|value| value.to_str().expect("text").to_owned());
            let answer = Response::builder().status(status).body(header.unwrap_or_default());
            answer.map_err(BoxError::from)
        });
        let response = authorization.layer(server).oneshot(Request::new(())).await?;
        Ok(response.into_body())
    }

    async fn of(fields: serde_json::Value) -> Result<Authorization, String> {
        let made = Authorization::of(&user(fields)).await;
        made.map(|(authorization, _)| authorization).map_err(|error| with_causes(&error))
    }

    /// A plugin that returns `token-1`, `token-2`, ... with `rest` appended to its answers.
    fn plugin(dir: &Path, rest: &str) -> serde_json::Value {
        let path = dir.join("plugin");
        let count = dir.join("count").display().to_string();
        let script = format!(
            "#!/bin/sh\necho run >>{count}\nn=$(wc -l <{count})\n\
             echo \"{{apiVersion: client.authentication.k8s.io/v1, kind: ExecCredential, status: {{token: token-$n{rest}}}}}\"\n"
        );
        fs::write(&path, script).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        serde_json::json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": path,
        }})
    }

    #[tokio::test]
    async fn users_are_told_as_kubectl_tells_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("token");
        fs::write(&file, "from-file\n").expect("written");
        let none = dir.path().join("none");
        for (fields, wanted) in [
            (serde_json::json!({}), ""),
            (serde_json::json!({"token": "t"}), "Bearer t"),
            (serde_json::json!({"tokenFile": file}), "Bearer from-file"),
            (serde_json::json!({"token": "t", "tokenFile": file}), "Bearer from-file"),
            (serde_json::json!({"token": "t", "tokenFile": none}), "Bearer t"),
            (serde_json::json!({"username": "u", "password": "p"}), "Basic dTpw"),
        ] {
            let authorization = of(fields.clone()).await.unwrap_or_else(|error| panic!("{fields}: {error}"));
            assert_eq!(seen(&authorization, 200).await.expect("sent"), wanted, "{fields}");
        }
    }

    #[tokio::test]
    async fn what_gives_no_credential_is_refused_with_a_sentence() {
        let dir = tempfile::tempdir().expect("a directory");
        let empty = dir.path().join("empty");
        fs::write(&empty, "\n").expect("written");
        for (fields, wanted) in [
            (serde_json::json!({"tokenFile": empty}), "it is empty"),
            (serde_json::json!({"tokenFile": dir.path().join("none")}), "No such file"),
            (serde_json::json!({"token": "a\nb"}), "not allowed in an HTTP header"),
            (serde_json::json!({"token": "t", "username": "u"}), "set only one of them"),
            (serde_json::json!({"auth-provider": {"name": "gcp", "config": {}}}), "has none since v1.26"),
            (
                serde_json::json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}),
                "neither",
            ),
            (
                serde_json::json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x"}}),
                "interactiveMode",
            ),
            (
                serde_json::json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "roost-none",
                    "installHint": "get it from the shop"}}),
                "credential plugin roost-none: No such file or directory (os error 2) (get it from the shop)",
            ),
            (
                serde_json::json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "sh",
                    "args": ["-c", "echo no ticket >&2; exit 3"]}}),
                "credential plugin sh: exit status: 3: no ticket",
            ),
        ] {
            let error = of(fields.clone()).await.err().unwrap_or_else(|| panic!("{fields} is taken"));
            assert!(error.contains(wanted), "{fields}: {error}");
        }
    }

    #[tokio::test]
    async fn a_plugin_is_asked_again_when_its_token_is_over_or_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let lasting = of(plugin(dir.path(), "")).await.expect("a plugin");
        assert_eq!(seen(&lasting, 200).await.expect("sent"), "Bearer token-1");
        assert_eq!(seen(&lasting, 401).await.expect("sent"), "Bearer token-1");
        assert_eq!(seen(&lasting, 200).await.expect("sent"), "Bearer token-2");
        assert_eq!(seen(&lasting, 403).await.expect("sent"), "Bearer token-2");
        assert_eq!(seen(&lasting, 200).await.expect("sent"), "Bearer token-2");
        let over = of(plugin(dir.path(), ", expirationTimestamp: '2020-01-01T00:00:00Z'")).await.expect("a plugin");
        assert_eq!(seen(&over, 200).await.expect("sent"), "Bearer token-4");
        assert_eq!(seen(&over, 200).await.expect("sent"), "Bearer token-5");
        fs::remove_file(dir.path().join("plugin")).expect("removed");
        assert!(seen(&over, 200).await.is_err(), "a plugin that is gone gives no token");
    }

    #[tokio::test]
    async fn a_plugin_hears_who_asks_and_may_give_a_certificate() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["me".into()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let dir = tempfile::tempdir().expect("a directory");
        let answer = serde_json::json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {
            "clientCertificateData": certificate, "clientKeyData": key.serialize_pem(),
            "expirationTimestamp": "2030-01-02T03:04:05Z",
        }});
        fs::write(dir.path().join("answer"), answer.to_string()).expect("written");
        let user = user(serde_json::json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "IfAvailable", "command": "sh",
            "args": ["-c", "echo $KUBERNETES_EXEC_INFO $WHO >$DIR/asked; cat $DIR/answer"],
            "env": [{"name": "DIR", "value": dir.path()}, {"name": "WHO", "value": "me"}],
        }}));
        let (authorization, certificate) = Authorization::of(&user).await.expect("a credential");
        let (_, end) = certificate.expect("a certificate");
        assert_eq!(end, Some("2030-01-02T03:04:05Z".parse().expect("a time")));
        assert_eq!(seen(&authorization, 200).await.expect("sent"), "");
        let asked = fs::read_to_string(dir.path().join("asked")).expect("read");
        assert!(
            asked.contains(r#""kind":"ExecCredential""#)
                && asked.contains("\"interactive\":")
                && asked.ends_with("me\n")
        );
    }
}
