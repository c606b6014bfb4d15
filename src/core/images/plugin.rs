//! Exec credential plugins: their configuration and what is said to them (`CredentialProviderConfig`, KEP-2133).

use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;

use super::keyring::{Credential, DockerConfig, fits};
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

/// Wish of a plugin for a service account token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenAttributes {
    /// Audience of the token.
    pub service_account_token_audience: String,
    /// Whether the plugin is of no use to pods without service account.
    #[serde(default)]
    pub require_service_account: bool,
    /// Annotations without which the plugin is not called.
    #[serde(default)]
    pub required_service_account_annotation_keys: Vec<String>,
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

/// Reads the configuration from JSON values (a YAML file is read into them first).
///
/// # Errors
/// When a field is missing or has the wrong form, or when names repeat.
pub fn parse_plugins(file: &serde_json::Value) -> Result<Vec<CredentialPlugin>, PluginError> {
    #[derive(Deserialize)]
    struct File {
        providers: Vec<Provider>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Provider {
        name: String,
        match_images: Vec<String>,
        default_cache_duration: String,
        api_version: String,
        #[serde(default)]
        args: Vec<String>,
        #[serde(default)]
        env: Vec<Variable>,
        token_attributes: Option<TokenAttributes>,
    }
    #[derive(Deserialize)]
    struct Variable {
        name: String,
        value: String,
    }
    let config = |text: String| PluginError::Config(text);
    let file: File = File::deserialize(file).map_err(|error| config(error.to_string()))?;
    let mut plugins: Vec<CredentialPlugin> = Vec::new();
    for provider in file.providers {
        let name = provider.name;
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err(config(format!("name {name:?} is no file name")));
        }
        if plugins.iter().any(|p| p.name == name) {
            return Err(config(format!("{name} stands there twice")));
        }
        let default_cache = parse_duration(&provider.default_cache_duration).ok_or_else(|| {
            config(format!("{name}: defaultCacheDuration {:?} is no duration", provider.default_cache_duration))
        })?;
        plugins.push(CredentialPlugin {
            name,
            match_images: provider.match_images,
            default_cache,
            api_version: provider.api_version,
            args: provider.args,
            env: provider.env.into_iter().map(|v| (v.name, v.value)).collect(),
            token: provider.token_attributes,
        });
    }
    Ok(plugins)
}

/// What is written to the plugin's standard input.
pub fn render_plugin_request(plugin: &CredentialPlugin, image: &str, token: Option<&str>) -> Vec<u8> {
    let mut request = json!({
        "kind": "CredentialProviderRequest",
        "apiVersion": plugin.api_version,
        "image": image,
    });
    if let Some(token) = token {
        put(&mut request, &["serviceAccountToken"], token);
    }
    request.to_string().into_bytes()
}

/// Reads what the plugin wrote to its standard output.
///
/// # Errors
/// When it is not of the right form or version.
pub fn parse_plugin_answer(plugin: &CredentialPlugin, image: &str, output: &[u8]) -> Result<PluginAnswer, PluginError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        api_version: String,
        cache_key_type: String,
        cache_duration: Option<String>,
        #[serde(default)]
        auth: std::collections::BTreeMap<String, Login>,
    }
    #[derive(Deserialize)]
    struct Login {
        username: String,
        password: String,
    }
    let answer: Answer = serde_json::from_slice(output).map_err(|_| PluginError::Answer)?;
    if answer.api_version != plugin.api_version {
        return Err(PluginError::Version { expected: plugin.api_version.clone(), actual: answer.api_version });
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
    let login =
        |l: Login| Credential { username: l.username, password: l.password, email: String::new(), source: None };
    let config = answer.auth.into_iter().map(|(pattern, l)| (pattern, login(l))).collect();
    Ok(PluginAnswer { config, key, cache })
}

/// A Go duration such as `12h` or `1m30s`.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    text.parse::<SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> CredentialPlugin {
        let file = json!({"kind": "CredentialProviderConfig", "providers": [{
            "name": "ecr", "matchImages": ["*.ecr.io", "r.io/team"], "defaultCacheDuration": "1h30m0s",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "env": [{"name": "A", "value": "b"}]}]});
        parse_plugins(&file).expect("a configuration").remove(0)
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
                r#"{{"apiVersion": "{version}", "cacheKeyType": "{key}", "cacheDuration": {duration},
                    "auth": {{"*.ecr.io": {{"username": "u", "password": "p"}}}}}}"#
            );
            parse_plugin_answer(&plugin, "x.ecr.io/a", text.as_bytes())
                .map(|a| (a.key, a.cache.as_secs(), a.config.len()))
        };
        let v1 = "credentialprovider.kubelet.k8s.io/v1";
        assert_eq!(answer(v1, "Registry", "\"10m\""), Ok((CacheKey::Registry("x.ecr.io".into()), 600, 1)));
        assert_eq!(answer(v1, "Image", "null"), Ok((CacheKey::Image("x.ecr.io/a".into()), 5400, 1)));
        assert_eq!(answer(v1, "Other", "null"), Err(PluginError::Answer));
        assert!(matches!(answer("v2", "Image", "null"), Err(PluginError::Version { .. })));
        assert!(parse_plugin_answer(&plugin, "a", b"secret").is_err_and(|e| !e.to_string().contains("secret")));
    }

    #[test]
    fn a_plugin_name_cannot_leave_its_directory() {
        let file = json!({"providers": [{"name": "../sh", "matchImages": [], "defaultCacheDuration": "0",
            "apiVersion": "v1"}]});
        assert!(parse_plugins(&file).is_err());
    }
}
