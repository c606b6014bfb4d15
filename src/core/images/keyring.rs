//! Registry credentials: from docker configurations, those that apply to an image (upstream
//! `pkg/credentialprovider/keyring.go`).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::glob;
use super::records::{PullCredentials, RecordedAccount, RecordedSecret};

/// Origin of credentials. Credentials without one are the node's, which every pod may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// A pull secret; its hash is still empty.
    Secret(RecordedSecret),
    /// A plugin that received a token of this service account.
    Account(RecordedAccount),
}

/// A user name and password. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// User name, sent to the registry.
    pub username: String,
    /// Password or token, sent to the registry.
    pub password: String,
    /// No longer used by registries, but part of the hash.
    pub email: String,
    /// Where it came from; `None` for the node's own.
    pub source: Option<CredentialSource>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("username", &self.username)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Credential {
    /// The record for an image that was pulled with this credential.
    pub fn recorded(&self) -> PullCredentials {
        match &self.source {
            None => PullCredentials { node_pods_accessible: true, ..PullCredentials::default() },
            Some(CredentialSource::Secret(secret)) => {
                let secret = RecordedSecret { credential_hash: self.hash(), ..secret.clone() };
                PullCredentials { kubernetes_secrets: vec![secret], ..PullCredentials::default() }
            }
            Some(CredentialSource::Account(account)) => {
                PullCredentials { kubernetes_service_accounts: vec![account.clone()], ..PullCredentials::default() }
            }
        }
    }

    /// SHA-256 of its JSON form, byte for byte as upstream.
    fn hash(&self) -> String {
        #[derive(Serialize)]
        struct AuthConfig<'a> {
            #[serde(skip_serializing_if = "str::is_empty")]
            username: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            password: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            email: &'a str,
        }
        let form = AuthConfig { username: &self.username, password: &self.password, email: &self.email };
        let json = serde_json::to_vec(&form).unwrap_or_default();
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Credentials by registry or repository, as in docker's `config.json`.
pub type DockerConfig = BTreeMap<String, Credential>;

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    auth: String,
}

/// Why a docker configuration cannot be used. The messages continue a sentence that begins with the file or secret, and
/// contain nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DockerConfigError {
    /// Not the JSON of a `config.json`.
    #[error("is not a docker configuration")]
    Config,
    /// Not the JSON of a `.dockercfg`.
    #[error("is not a dockercfg file")]
    Legacy,
    /// `auth` is not the base64 of `user:password`.
    #[error("has an auth field for {registry} that cannot be read")]
    Auth {
        /// Key of the entry in the document.
        registry: String,
    },
}

/// Parses `~/.docker/config.json` or a secret's `.dockerconfigjson`.
///
/// # Errors
/// The JSON is malformed; the text never quotes the content.
pub fn parse_docker_config(json: &[u8], source: Option<&CredentialSource>) -> Result<DockerConfig, DockerConfigError> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        auths: BTreeMap<String, Entry>,
    }
    let file: File = serde_json::from_slice(json).map_err(|_| DockerConfigError::Config)?;
    read_entries(file.auths, source)
}

/// Parses the older format, `.dockercfg`.
///
/// # Errors
/// As [`parse_docker_config`].
pub fn parse_dockercfg(json: &[u8], source: Option<&CredentialSource>) -> Result<DockerConfig, DockerConfigError> {
    let entries = serde_json::from_slice(json).map_err(|_| DockerConfigError::Legacy)?;
    read_entries(entries, source)
}

fn read_entries(
    entries: BTreeMap<String, Entry>,
    source: Option<&CredentialSource>,
) -> Result<DockerConfig, DockerConfigError> {
    let mut config = DockerConfig::new();
    for (registry, entry) in entries {
        let (username, password) = match entry.auth.is_empty() {
            true => (entry.username, entry.password),
            false => decode_auth(&entry.auth).ok_or_else(|| DockerConfigError::Auth { registry: registry.clone() })?,
        };
        config.insert(registry, Credential { username, password, email: entry.email, source: source.cloned() });
    }
    Ok(config)
}

fn decode_auth(auth: &str) -> Option<(String, String)> {
    let engine = if auth.trim().ends_with('=') { STANDARD } else { STANDARD_NO_PAD };
    let text = String::from_utf8(engine.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// Credentials of one kind of source by pattern; more specific patterns come first.
#[derive(Clone, Debug, Default)]
pub struct Keyring(BTreeMap<String, Vec<Credential>>);

const DOCKER_HUB: &str = "index.docker.io";

impl Keyring {
    /// Adds the credentials of a configuration.
    pub fn add(&mut self, config: DockerConfig) {
        for (location, credential) in config {
            let location = location.strip_prefix("https://").or(location.strip_prefix("http://")).unwrap_or(&location);
            // The path of a URL, without query and fragment.
            let location = location.split(['?', '#']).next().unwrap_or_default();
            let (host, path) = split_path(location);
            let path =
                path.strip_prefix("/v1").or(path.strip_prefix("/v2")).filter(|p| p.starts_with('/')).unwrap_or(path);
            let key = if path == "/" { host.to_owned() } else { format!("{host}{path}") };
            self.0.entry(key).or_default().push(credential);
        }
    }

    /// Removes credentials that do not apply to a repository.
    pub fn keep_fitting(&mut self, repository: &str) {
        self.0.retain(|pattern, _| pattern == DOCKER_HUB || fits(pattern, repository));
    }

    /// Credentials for a repository such as `r.io/team/app`, in the order in which to try them.
    pub fn lookup(&self, repository: &str) -> Vec<Credential> {
        let fitting: Vec<Credential> =
            self.0.iter().rev().filter(|(pattern, _)| fits(pattern, repository)).flat_map(|(_, c)| c.clone()).collect();
        if fitting.is_empty() && is_docker_hub(repository) {
            return self.0.get(DOCKER_HUB).cloned().unwrap_or_default();
        }
        fitting
    }
}

/// True if a pattern covers a repository: wildcards match text within one label of the host, the ports are equal, and
/// the path begins with the pattern's (upstream `URLsMatch`).
pub(super) fn fits(pattern: &str, repository: &str) -> bool {
    let ((pattern_host, pattern_path), (host, path)) = (split_path(pattern), split_path(repository));
    let ((pattern_host, pattern_port), (host, port)) = (split_port(pattern_host), split_port(host));
    let labels = |host: &str| host.split('.').count();
    pattern_port == port
        && labels(pattern_host) == labels(host)
        && path.starts_with(pattern_path)
        && pattern_host.split('.').zip(host.split('.')).all(|(glob, label)| glob::matches(glob, label))
}

fn split_path(location: &str) -> (&str, &str) {
    location.find('/').and_then(|end| location.split_at_checked(end)).unwrap_or((location, ""))
}

/// Like Go's `net.SplitHostPort`; text that it rejects has no port.
fn split_port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((name, port)) => match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(address) => (address, port),
            None if !name.contains([':', '[', ']']) && !port.contains(']') => (name, port),
            None => (host, ""),
        },
        None => (host, ""),
    }
}

fn is_docker_hub(repository: &str) -> bool {
    let (first, rest) = split_path(repository);
    match first {
        "" => false,
        "docker.io" | DOCKER_HUB => true,
        _ => rest.is_empty() || !first.contains(['.', ':']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(config: serde_json::Value) -> Keyring {
        let mut keyring = Keyring::default();
        keyring.add(parse_docker_config(config.to_string().as_bytes(), None).expect("a configuration"));
        keyring
    }

    fn users(keyring: &Keyring, repository: &str) -> Vec<String> {
        keyring.lookup(repository).into_iter().map(|c| c.username).collect()
    }

    #[test]
    fn the_most_specific_pattern_comes_first() {
        let auth = |user: &str| serde_json::json!({"username": user, "password": "p"});
        let keyring = keyring(serde_json::json!({"auths": {
            "r.io": auth("host"), "r.io/team": auth("team"), "https://r.io:5000/v2/": auth("port"),
            "*.s.io": auth("glob"), "https://index.docker.io/v1/": auth("hub")}}));
        assert_eq!(users(&keyring, "r.io/team/app"), ["team", "host"]);
        assert_eq!(users(&keyring, "r.io/other"), ["host"]);
        assert_eq!(users(&keyring, "r.io:5000/x"), ["port"]);
        assert_eq!(users(&keyring, "a.s.io/x"), ["glob"]);
        assert!(users(&keyring, "a.b.s.io/x").is_empty());
        assert_eq!(users(&keyring, "docker.io/library/busybox"), ["hub"]);
        assert!(users(&keyring, "q.io/x").is_empty());
    }

    #[test]
    fn ports_paths_and_wildcards_fit_as_upstream() {
        for (pattern, repository, expected) in [
            ("*.r.io", "a.r.io/x", true),
            ("*.r.io", "a.b.r.io/x", false),
            ("*.*.r.io", "a.b.r.io/x", true),
            ("a*.r.io", "abc.r.io/x", true),
            ("r[0-9].io", "r7.io/x", true),
            ("r[0-9].io", "rx.io/x", false),
            ("r.io:5000", "r.io/x", false),
            ("r.io", "r.io:5000/x", false),
            ("r.io:*", "r.io:5000/x", false),
            ("r.io/*", "r.io/x", false),
            ("r.io/te", "r.io/team/x", true),
            ("[2001:db8::1]:5000", "[2001:db8::1]:5000/x", true),
            ("[2001:db8::1]:5000", "[2001:db8::1]:6000/x", false),
        ] {
            assert_eq!(fits(pattern, repository), expected, "{pattern} and {repository}");
        }
        let keyring = keyring(serde_json::json!({"auths": {"https://r.io/v2/?a=b": {"username": "u"}}}));
        assert_eq!(users(&keyring, "r.io/x"), ["u"]);
    }

    #[test]
    fn a_pattern_of_many_stars_is_answered() {
        // A matcher that backtracks to every star would multiply its time with each one.
        let label = "a".repeat(63);
        for stars in 1..=12 {
            let pattern = format!("{}b.r.io", "*a".repeat(stars));
            assert!(!fits(&pattern, &format!("{label}.r.io/x")), "{stars}");
        }
    }

    #[test]
    fn the_auth_field_wins_padded_or_not() {
        for auth in ["dXNlcjpwYXNz", "dXNlcjpwYXNzMQ==", "dXNlcjpwYXNzMQ"] {
            let keyring = keyring(serde_json::json!({"auths": {"r.io": {"username": "x", "auth": auth}}}));
            let found = keyring.lookup("r.io/a");
            assert_eq!(found[0].username, "user");
            assert!(found[0].password.starts_with("pass"));
        }
        let broken = serde_json::json!({"auths": {"r.io": {"auth": "!"}}}).to_string();
        assert!(parse_docker_config(broken.as_bytes(), None).is_err());
        assert!(parse_dockercfg(b"[", None).is_err());
    }

    #[test]
    fn passwords_are_not_shown_and_hashes_are_upstreams() {
        let config = parse_dockercfg(br#"{"r.io": {"username": "user", "password": "hidden"}}"#, None).expect("a file");
        let credential = &config["r.io"];
        assert!(!format!("{credential:?}").contains("hidden"));
        let expected = Sha256::digest(br#"{"username":"user","password":"hidden"}"#);
        assert_eq!(credential.hash(), expected.iter().map(|b| format!("{b:02x}")).collect::<String>());
    }
}
