//! Exec credential plugins: for what they are asked, what is said to them, and what they answer (KEP-2133, KEP-4412).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;

use sha2::{Digest, Sha256};

use super::keyring::{Credential, CredentialSource, DockerConfig, fits};
use super::records::RecordedAccount;
use crate::core::model::json::put;

/// Why a configuration or an answer cannot be used; answers are never quoted, they hold passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The file is not of the right form.
    #[error("credential provider configuration: {0}")]
    Config(
        /// Where and why.
        String,
    ),
    /// The plugin's answer is not of the right form.
    #[error("error decoding credential provider plugin response from stdout")]
    Answer,
    /// The plugin gives the token out as a password, which must not outlive it.
    #[error(
        "credential provider plugin returned the service account token as the password which is not allowed when \
         service account cache type is not set to 'Token'"
    )]
    Echo,
    /// The plugin speaks another version.
    #[error(
        "apiVersion from credential plugin response did not match expected apiVersion:{expected}, actual apiVersion:{actual}"
    )]
    Version {
        /// As configured.
        expected: String,
        /// As answered.
        actual: String,
    },
}

/// For whom an answer to a token is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TokenCache {
    /// For all pods of the service account, until the account or its annotations change.
    ServiceAccount,
    /// For this very token, which is one pod's.
    Token,
}

/// Wish of a plugin for a service account token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAttributes {
    /// Audience of the token.
    pub audience: String,
    /// For whom answers are kept.
    pub cache: TokenCache,
    /// Whether the plugin is of no use to pods without service account.
    pub require_service_account: bool,
    /// Annotations of the service account without which the plugin is not asked.
    pub required_annotations: Vec<String>,
    /// Annotations that it is given if they exist.
    pub optional_annotations: Vec<String>,
}

impl TokenAttributes {
    /// The account's annotations for the plugin; `None` when a required one is missing.
    pub fn annotations_of(&self, account: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
        if !self.required_annotations.iter().all(|key| account.contains_key(key)) {
            return None;
        }
        let keys = self.required_annotations.iter().chain(&self.optional_annotations);
        Some(keys.filter_map(|key| Some((key.clone(), account.get(key)?.clone()))).collect())
    }
}

/// The pod's service account as a plugin gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginAccount {
    /// The account.
    pub account: RecordedAccount,
    /// A token of the pod.
    pub token: String,
    /// Those annotations that the plugin may see.
    pub annotations: BTreeMap<String, String>,
}

impl PluginAccount {
    /// Whose answers are one and the same.
    pub fn cache_key(&self, cache: TokenCache) -> AccountKey {
        let token = (cache == TokenCache::Token).then(|| Sha256::digest(&self.token).to_vec());
        AccountKey { account: self.account.clone(), annotations: self.annotations.clone(), token }
    }
}

/// Whose answer it is; tokens only as a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountKey {
    account: RecordedAccount,
    annotations: BTreeMap<String, String>,
    token: Option<Vec<u8>>,
}

/// One plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialPlugin {
    /// Name of its binary.
    pub name: String,
    /// Images for which it is asked.
    pub match_images: Vec<String>,
    /// How long its answers hold unless they say so themselves.
    pub default_cache: Duration,
    /// Version of request and answer.
    pub api_version: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Environment added to ours.
    pub env: Vec<(String, String)>,
    /// Wish for a token.
    pub token: Option<TokenAttributes>,
}

impl CredentialPlugin {
    /// Whether it is to be asked for an image.
    pub fn serves(&self, repository: &str) -> bool {
        self.match_images.iter().any(|pattern| fits(pattern, repository))
    }
}

/// For which images an answer holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CacheKey {
    /// This image.
    Image(String),
    /// All of this registry.
    Registry(String),
    /// All.
    Global,
}

impl CacheKey {
    /// The keys under which an answer for a repository may be found.
    pub fn candidates(repository: &str) -> [Self; 3] {
        let registry = repository.split('/').next().unwrap_or_default();
        [Self::Image(repository.into()), Self::Registry(registry.into()), Self::Global]
    }
}

/// A plugin's answer.
#[derive(Clone, Debug)]
pub struct PluginAnswer {
    /// The credentials.
    pub config: DockerConfig,
    /// For which images they hold.
    pub key: CacheKey,
    /// For how long; zero means only now.
    pub cache: Duration,
}

/// What is written to the plugin's standard input.
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

/// Reads what the plugin wrote to its standard output.
///
/// # Errors
/// When it is not of the right form or version.
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
    // What a token of an account opened is for pods of that account, not for all of the node.
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
