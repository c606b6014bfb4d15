//! The configuration of credential plugins (`CredentialProviderConfig`), with upstream's validation
//! (`pkg/credentialprovider/plugin/config.go`).

use std::collections::BTreeSet;

use serde::Deserialize;

use super::plugin::{CredentialPlugin, PluginError, TokenAttributes, TokenCache, parse_duration};
use crate::core::manifest::is_qualified_name;

/// API versions of requests to plugins. Only the first one supports tokens.
const PROTOCOLS: [&str; 3] = [
    "credentialprovider.kubelet.k8s.io/v1",
    "credentialprovider.kubelet.k8s.io/v1beta1",
    "credentialprovider.kubelet.k8s.io/v1alpha1",
];
/// API versions of the file. Only the first one supports tokens.
const VERSIONS: [&str; 3] =
    ["kubelet.config.k8s.io/v1", "kubelet.config.k8s.io/v1beta1", "kubelet.config.k8s.io/v1alpha1"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    kind: String,
    api_version: String,
    #[serde(default)]
    providers: Vec<Provider>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Provider {
    name: String,
    #[serde(default)]
    match_images: Vec<String>,
    default_cache_duration: Option<String>,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<Variable>,
    token_attributes: Option<Token>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Token {
    #[serde(default)]
    service_account_token_audience: String,
    cache_type: Option<String>,
    require_service_account: Option<bool>,
    #[serde(default)]
    required_service_account_annotation_keys: Vec<String>,
    #[serde(default)]
    optional_service_account_annotation_keys: Vec<String>,
}

/// Parses one configuration file, given as a JSON value (YAML is converted first).
///
/// # Errors
/// A field is missing, unknown or invalid, or names repeat.
pub fn parse_plugins(file: &serde_json::Value) -> Result<Vec<CredentialPlugin>, PluginError> {
    let file = File::deserialize(file).map_err(|error| PluginError::Config(error.to_string()))?;
    if file.kind != "CredentialProviderConfig" {
        return Err(PluginError::Config(format!("{:?} is no CredentialProviderConfig", file.kind)));
    }
    if !VERSIONS.contains(&file.api_version.as_str()) {
        return Err(PluginError::Config(format!(
            "apiVersion {:?} is none of {}",
            file.api_version,
            VERSIONS.join(", ")
        )));
    }
    let with_tokens = file.api_version == VERSIONS[0];
    let plugins: Vec<_> = file.providers.into_iter().map(|p| plugin(p, with_tokens)).collect::<Result<_, _>>()?;
    check_names(&plugins)?;
    Ok(plugins)
}

/// Combines the plugins of several files, in the order of the files.
///
/// # Errors
/// There is no plugin, or two have the same name.
pub fn join_plugins(files: Vec<Vec<CredentialPlugin>>) -> Result<Vec<CredentialPlugin>, PluginError> {
    let plugins: Vec<_> = files.into_iter().flatten().collect();
    if plugins.is_empty() {
        return Err(PluginError::Config("providers: at least one is required".into()));
    }
    check_names(&plugins)?;
    Ok(plugins)
}

fn check_names(plugins: &[CredentialPlugin]) -> Result<(), PluginError> {
    let mut known = BTreeSet::new();
    match plugins.iter().find(|plugin| !known.insert(&plugin.name)) {
        Some(twice) => Err(PluginError::Config(format!("{} is listed twice", twice.name))),
        None => Ok(()),
    }
}

fn plugin(provider: Provider, with_tokens: bool) -> Result<CredentialPlugin, PluginError> {
    let name = provider.name;
    if name.is_empty() || name.contains(['/', ' ']) || name == "." || name == ".." {
        return Err(PluginError::Config(format!("name {name:?} is not a file name")));
    }
    let fault = |text: String| PluginError::Config(format!("{name}: {text}"));
    if !PROTOCOLS.contains(&provider.api_version.as_str()) {
        let all = PROTOCOLS.join(", ");
        return Err(fault(format!("apiVersion {:?} is none of {all}", provider.api_version)));
    }
    if provider.match_images.is_empty() {
        return Err(fault("matchImages: at least one is required".into()));
    }
    if let Some(odd) = provider.match_images.iter().find(|pattern| !is_pattern(pattern)) {
        return Err(fault(format!("matchImages: {odd:?} is not an image")));
    }
    let duration = provider.default_cache_duration.ok_or_else(|| fault("defaultCacheDuration is required".into()))?;
    let default_cache = parse_duration(&duration)
        .ok_or_else(|| fault(format!("defaultCacheDuration {duration:?} is not a duration of zero or more")))?;
    if provider.token_attributes.is_some() && !(with_tokens && provider.api_version == PROTOCOLS[0]) {
        let (file, protocol) = (VERSIONS[0], PROTOCOLS[0]);
        return Err(fault(format!(
            "tokenAttributes are only in apiVersion {file} with plugins of apiVersion {protocol}"
        )));
    }
    let token =
        provider.token_attributes.map(token).transpose().map_err(|text| fault(format!("tokenAttributes: {text}")))?;
    Ok(CredentialPlugin {
        name: name.clone(),
        match_images: provider.match_images,
        default_cache,
        api_version: provider.api_version,
        args: provider.args,
        env: provider.env.into_iter().map(|v| (v.name, v.value)).collect(),
        token,
    })
}

/// True for what can be a URL without its scheme.
fn is_pattern(pattern: &str) -> bool {
    let host = pattern.split('/').next().unwrap_or_default();
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    !pattern.is_empty()
        && !pattern.chars().any(|c| c.is_whitespace() || c.is_control())
        && (port.chars().all(|c| c.is_ascii_digit()) || host.ends_with(']'))
}

fn token(token: Token) -> Result<TokenAttributes, String> {
    if token.service_account_token_audience.is_empty() {
        return Err("serviceAccountTokenAudience is required".into());
    }
    let require_service_account = token.require_service_account.ok_or("requireServiceAccount is required")?;
    let cache = match token.cache_type.as_deref() {
        Some("ServiceAccount") => TokenCache::ServiceAccount,
        Some("Token") => TokenCache::Token,
        Some(other) => return Err(format!("cacheType {other:?} is neither ServiceAccount nor Token")),
        None => return Err("cacheType is required: ServiceAccount or Token".into()),
    };
    let (required, optional) =
        (token.required_service_account_annotation_keys, token.optional_service_account_annotation_keys);
    if !require_service_account && !required.is_empty() {
        return Err("requireServiceAccount cannot be false with requiredServiceAccountAnnotationKeys".into());
    }
    let mut known = BTreeSet::new();
    for key in required.iter().chain(&optional) {
        if !is_qualified_name(&key.to_lowercase()) {
            return Err(format!("{key:?} is not an annotation key"));
        }
        if !known.insert(key) {
            return Err(format!("annotation key {key} is listed twice"));
        }
    }
    Ok(TokenAttributes {
        audience: token.service_account_token_audience,
        cache,
        require_service_account,
        required_annotations: required,
        optional_annotations: optional,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn file(change: impl FnOnce(&mut Value)) -> Value {
        let mut file = json!({"kind": "CredentialProviderConfig", "apiVersion": VERSIONS[0], "providers": [{
            "name": "ecr", "matchImages": ["*.ecr.io:5000/x"], "defaultCacheDuration": "1h", "apiVersion": PROTOCOLS[0],
            "tokenAttributes": {"serviceAccountTokenAudience": "a", "cacheType": "Token", "requireServiceAccount": true,
                "requiredServiceAccountAnnotationKeys": ["Example.com/Role"],
                "optionalServiceAccountAnnotationKeys": ["region"]}}]});
        change(&mut file);
        file
    }

    #[test]
    fn a_plugin_name_cannot_leave_its_directory() {
        for name in ["../sh", "", ".", "..", "a b"] {
            assert!(parse_plugins(&file(|f| f["providers"][0]["name"] = json!(name))).is_err(), "{name:?}");
        }
    }

    /// If an unknown word were ignored, pulls would run without credentials.
    #[test]
    fn what_is_unknown_missing_or_against_itself_is_refused_by_name() {
        let plugins = parse_plugins(&file(|_| ())).expect("a configuration");
        let token = plugins[0].token.clone().expect("a wish");
        assert_eq!((token.cache, token.required_annotations.len()), (TokenCache::Token, 1));
        let provider = |key: &'static str, value: Value| (key, file(move |f| f["providers"][0][key] = value));
        let token =
            |key: &'static str, value: Value| (key, file(move |f| f["providers"][0]["tokenAttributes"][key] = value));
        for (named, file) in [
            ("kind", file(|f| f["kind"] = json!("KubeletConfiguration"))),
            ("apiVersion", file(|f| f["apiVersion"] = json!("v1"))),
            ("tokenAttributes", file(|f| f["apiVersion"] = json!(VERSIONS[1]))),
            provider("matchImage", json!(["r.io"])),
            provider("matchImages", json!([])),
            provider("matchImages", json!(["r.io:port/x"])),
            provider("defaultCacheDuration", json!("-1s")),
            provider("apiVersion", json!("v1")),
            ("tokenAttributes", file(|f| f["providers"][0]["apiVersion"] = json!(PROTOCOLS[1]))),
            token("cacheType", json!("Pod")),
            token("cacheType", Value::Null),
            token("requireServiceAccount", Value::Null),
            token("requireServiceAccount", json!(false)),
            token("serviceAccountTokenAudience", json!("")),
            token("expirationSeconds", json!(60)),
            (
                "annotation key",
                file(|f| {
                    f["providers"][0]["tokenAttributes"]["optionalServiceAccountAnnotationKeys"] = json!(["a b"]);
                }),
            ),
            (
                "twice",
                file(|f| {
                    f["providers"][0]["tokenAttributes"]["optionalServiceAccountAnnotationKeys"] =
                        json!(["Example.com/Role"]);
                }),
            ),
        ] {
            let said = parse_plugins(&file).map(drop).expect_err(named).to_string();
            assert!(said.contains(named) || said.contains("is no CredentialProviderConfig"), "{named}: {said}");
        }
    }

    #[test]
    fn files_are_joined_and_a_name_is_one_plugins() {
        let one = || parse_plugins(&file(|_| ())).expect("a configuration");
        let two = parse_plugins(&file(|f| f["providers"][0]["name"] = json!("acr"))).expect("a configuration");
        let names = |plugins: Vec<CredentialPlugin>| plugins.into_iter().map(|p| p.name).collect::<Vec<_>>();
        assert_eq!(names(join_plugins(vec![one(), two]).expect("both")), ["ecr", "acr"]);
        assert!(join_plugins(vec![one(), one()]).is_err());
        assert!(join_plugins(Vec::new()).is_err());
    }
}
