//! Exec credential plugins: for which images they run, their input, and their output (KEP-2133, KEP-4412).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;

use sha2::{Digest, Sha256};

use super::keyring::{Credential, CredentialSource, DockerConfig, fits};
use super::records::RecordedAccount;
use crate::core::model::json::put;

/// Why a configuration or an answer is rejected; answers are never quoted, because they contain passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The configuration file is invalid.
    #[error("credential provider configuration: {0}")]
    Config(
        /// What is wrong, with the plugin and field.
        String,
    ),
    /// The plugin's answer cannot be parsed.
    #[error("error decoding credential provider plugin response from stdout")]
    Answer,
    /// The plugin returned the token as a password; the password would be cached longer than the token is valid.
    #[error(
        "credential provider plugin returned the service account token as the password which is not allowed when \
         service account cache type is not set to 'Token'"
    )]
    Echo,
    /// The answer has another API version than the request.
    #[error(
        "apiVersion from credential plugin response did not match expected apiVersion:{expected}, actual apiVersion:{actual}"
    )]
    Version {
        /// The configured API version.
        expected: String,
        /// The API version of the answer.
        actual: String,
    },
}

/// How widely an answer to a token is cached (`cacheType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TokenCache {
    /// For all pods of the service account, until the account or its annotations change.
    ServiceAccount,
    /// Only for this token, which belongs to one pod.
    Token,
}

/// A plugin's configuration of service account tokens (`tokenAttributes`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAttributes {
    /// Audience of the requested token.
    pub audience: String,
    /// How widely answers are cached.
    pub cache: TokenCache,
    /// True if the plugin is skipped for pods without a service account.
    pub require_service_account: bool,
    /// Annotations of the service account without which the plugin is skipped.
    pub required_annotations: Vec<String>,
    /// Annotations that are passed to it if they exist.
    pub optional_annotations: Vec<String>,
}

impl TokenAttributes {
    /// The account's annotations for the plugin; `None` if a required one is missing.
    pub fn annotations_of(&self, account: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
        if !self.required_annotations.iter().all(|key| account.contains_key(key)) {
            return None;
        }
        let keys = self.required_annotations.iter().chain(&self.optional_annotations);
        Some(keys.filter_map(|key| Some((key.clone(), account.get(key)?.clone()))).collect())
    }
}

/// The pod's service account, as passed to a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginAccount {
    /// Namespace, name and uid of the account.
    pub account: RecordedAccount,
    /// A token bound to the pod, for the plugin's audience.
    pub token: String,
    /// The annotations that the plugin may see.
    pub annotations: BTreeMap<String, String>,
}

impl PluginAccount {
    /// The identity under which answers are cached.
    pub fn cache_key(&self, cache: TokenCache) -> AccountKey {
        let token = (cache == TokenCache::Token).then(|| Sha256::digest(&self.token).to_vec());
        AccountKey { account: self.account.clone(), annotations: self.annotations.clone(), token }
    }
}

/// Identity of a cached answer; contains only a digest of the token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountKey {
    account: RecordedAccount,
    annotations: BTreeMap<String, String>,
    token: Option<Vec<u8>>,
}

/// Configuration of one credential plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialPlugin {
    /// File name of its binary in the plugin directory.
    pub name: String,
    /// Patterns of the images for which it runs.
    pub match_images: Vec<String>,
    /// Cache duration for answers that do not have one.
    pub default_cache: Duration,
    /// API version of request and answer.
    pub api_version: String,
    /// Command-line arguments, without the program's name.
    pub args: Vec<String>,
    /// Environment variables in addition to the kubelet's.
    pub env: Vec<(String, String)>,
    /// Which tokens it receives; `None` if it needs none.
    pub token: Option<TokenAttributes>,
}

impl CredentialPlugin {
    /// True if it runs for images of a repository.
    pub fn serves(&self, repository: &str) -> bool {
        self.match_images.iter().any(|pattern| fits(pattern, repository))
    }
}

/// The images for which a cached answer is valid (`cacheKeyType`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CacheKey {
    /// Only this image, without tag and digest.
    Image(String),
    /// All images of this registry.
    Registry(String),
    /// All images that the plugin serves.
    Global,
}

impl CacheKey {
    /// The keys under which an answer for a repository may be cached.
    pub fn candidates(repository: &str) -> [Self; 3] {
        let registry = repository.split('/').next().unwrap_or_default();
        [Self::Image(repository.into()), Self::Registry(registry.into()), Self::Global]
    }
}

/// A plugin's parsed answer.
#[derive(Clone, Debug)]
pub struct PluginAnswer {
    /// Credentials by registry or repository.
    pub config: DockerConfig,
    /// The images for which they are valid.
    pub key: CacheKey,
    /// How long to cache them; zero for not at all.
    pub cache: Duration,
}

/// The JSON for the plugin's standard input.
pub fn render_plugin_request(plugin: &CredentialPlugin, image: &str, account: Option<&PluginAccount>) -> Vec<u8> {
    let mut request = json!({
        "kind": "CredentialProviderRequest",
        "apiVersion": plugin.api_version,
        "image": image,
    });
    if let Some(account) = account {
        put(&mut request, &["serviceAccountToken"], account.token.as_str());
        if !account.annotations.is_empty() {
            put(&mut request, &["serviceAccountAnnotations"], json!(account.annotations));
        }
    }
    request.to_string().into_bytes()
}

/// Parses the plugin's standard output.
///
/// # Errors
/// It is malformed or has another version.
pub fn parse_plugin_answer(
    plugin: &CredentialPlugin,
    image: &str,
    account: Option<&PluginAccount>,
    output: &[u8],
) -> Result<PluginAnswer, PluginError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        kind: String,
        api_version: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Answer {
        #[serde(rename = "kind")]
        _kind: String,
        #[serde(rename = "apiVersion")]
        _api_version: String,
        cache_key_type: String,
        cache_duration: Option<String>,
        #[serde(default)]
        auth: BTreeMap<String, Login>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        username: String,
        password: String,
    }
    let kind: Kind = serde_json::from_slice(output).map_err(|_| PluginError::Answer)?;
    if kind.api_version != plugin.api_version {
        return Err(PluginError::Version { expected: plugin.api_version.clone(), actual: kind.api_version });
    }
    let answer: Answer = serde_json::from_slice(output).map_err(|_| PluginError::Answer)?;
    if kind.kind != "CredentialProviderResponse" {
        return Err(PluginError::Answer);
    }
    let is_echo = |account: &PluginAccount| answer.auth.values().any(|login| login.password == account.token);
    let for_account = plugin.token.as_ref().is_some_and(|token| token.cache == TokenCache::ServiceAccount);
    if for_account && account.is_some_and(is_echo) {
        return Err(PluginError::Echo);
    }
    let [of_image, of_registry, global] = CacheKey::candidates(image);
    let key = match answer.cache_key_type.as_str() {
        "Image" => of_image,
        "Registry" => of_registry,
        "Global" => global,
        _ => return Err(PluginError::Answer),
    };
    let cache = match answer.cache_duration {
        Some(text) => parse_duration(&text).ok_or(PluginError::Answer)?,
        None => plugin.default_cache,
    };
    // Credentials obtained by an account's token are for pods of that account, not for the whole node.
    let source = account.map(|account| CredentialSource::Account(account.account.clone()));
    let login = |l: Login| Credential {
        username: l.username,
        password: l.password,
        email: String::new(),
        source: source.clone(),
    };
    let config = answer.auth.into_iter().map(|(pattern, l)| (pattern, login(l))).collect();
    Ok(PluginAnswer { config, key, cache })
}

/// A Go duration such as `12h` or `1m30s`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    text.parse::<SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> CredentialPlugin {
        let file = json!({"kind": "CredentialProviderConfig", "apiVersion": "kubelet.config.k8s.io/v1", "providers": [{
            "name": "ecr", "matchImages": ["*.ecr.io", "r.io/team"], "defaultCacheDuration": "1h30m0s",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "env": [{"name": "A", "value": "b"}]}]});
        super::super::parse_plugins(&file).expect("a configuration").remove(0)
    }

    #[test]
    fn plugins_are_asked_for_their_images() {
        let plugin = plugin();
        assert_eq!(plugin.default_cache, Duration::from_secs(5400));
        assert!(plugin.serves("x.ecr.io/a") && plugin.serves("r.io/team/a"));
        assert!(!plugin.serves("r.io/other") && !plugin.serves("ecr.io/a"));
        let request: serde_json::Value =
            serde_json::from_slice(&render_plugin_request(&plugin, "r.io/a", None)).expect("JSON");
        assert_eq!(request["image"], "r.io/a");
    }

    #[test]
    fn answers_say_for_what_and_how_long_they_hold() {
        let plugin = plugin();
        let answer = |version: &str, key: &str, duration: &str| {
            let text = format!(
                r#"{{"kind": "CredentialProviderResponse", "apiVersion": "{version}", "cacheKeyType": "{key}", "cacheDuration": {duration},
                    "auth": {{"*.ecr.io": {{"username": "u", "password": "p"}}}}}}"#
            );
            parse_plugin_answer(&plugin, "x.ecr.io/a", None, text.as_bytes())
                .map(|a| (a.key, a.cache.as_secs(), a.config.len()))
        };
        let v1 = "credentialprovider.kubelet.k8s.io/v1";
        assert_eq!(answer(v1, "Registry", "\"10m\""), Ok((CacheKey::Registry("x.ecr.io".into()), 600, 1)));
        assert_eq!(answer(v1, "Image", "null"), Ok((CacheKey::Image("x.ecr.io/a".into()), 5400, 1)));
        assert_eq!(answer(v1, "Other", "null"), Err(PluginError::Answer));
        assert!(matches!(answer("v2", "Image", "null"), Err(PluginError::Version { .. })));
        assert!(parse_plugin_answer(&plugin, "a", None, b"secret").is_err_and(|e| !e.to_string().contains("secret")));
    }

    #[test]
    fn an_answer_to_a_token_is_for_pods_of_its_account_and_is_not_the_token() {
        let token = |cache| TokenAttributes {
            audience: "registry".into(),
            cache,
            require_service_account: true,
            required_annotations: vec!["role".into()],
            optional_annotations: vec!["region".into()],
        };
        let attributes = token(TokenCache::ServiceAccount);
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(attributes.annotations_of(&of(&[("region", "x")])), None, "not for this account");
        let annotations = attributes.annotations_of(&of(&[("role", "r"), ("region", "x"), ("other", "o")])).unwrap();
        assert_eq!(annotations, of(&[("role", "r"), ("region", "x")]));
        let recorded = RecordedAccount { namespace: "n".into(), name: "a".into(), uid: "1".into() };
        let account = PluginAccount { account: recorded, token: "t".into(), annotations };

        let mut plugin = CredentialPlugin { token: Some(attributes), ..plugin() };
        let request = render_plugin_request(&plugin, "x.ecr.io/a", Some(&account));
        let request: serde_json::Value = serde_json::from_slice(&request).expect("JSON");
        assert_eq!(request["serviceAccountAnnotations"], json!({"role": "r", "region": "x"}));
        assert_eq!(request["serviceAccountToken"], "t");
        let answer = |plugin: &CredentialPlugin, password: &str, extra: &str| {
            let text = format!(
                r#"{{"kind": "CredentialProviderResponse", "apiVersion": "{}", "cacheKeyType": "Image"{extra},
                    "auth": {{"*.ecr.io": {{"username": "u", "password": "{password}"}}}}}}"#,
                plugin.api_version
            );
            parse_plugin_answer(plugin, "x.ecr.io/a", Some(&account), text.as_bytes())
        };
        let config = answer(&plugin, "p", "").expect("an answer").config;
        assert_eq!(config["*.ecr.io"].source, Some(CredentialSource::Account(account.account.clone())));
        assert_eq!(answer(&plugin, "t", "").unwrap_err(), PluginError::Echo);
        assert_eq!(answer(&plugin, "p", r#", "cacheTime": "1m""#).unwrap_err(), PluginError::Answer);
        plugin.token = Some(token(TokenCache::Token));
        assert!(answer(&plugin, "t", "").is_ok());

        let other = PluginAccount { token: "t2".into(), ..account.clone() };
        let same = |cache| account.cache_key(cache) == other.cache_key(cache);
        assert!(same(TokenCache::ServiceAccount) && !same(TokenCache::Token));
        let mut other = account.clone();
        other.annotations.insert("role".into(), "admin".into());
        assert!(account.cache_key(TokenCache::ServiceAccount) != other.cache_key(TokenCache::ServiceAccount));
    }
}
