//! Gathers the credentials that may open a registry for a pod: its pull secrets, then the node's files and plugins.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use tokio::sync::{Mutex, Semaphore};

use super::ImagePorts;
use crate::core::images::{
    CacheKey, Credential, CredentialPlugin, CredentialSource, DockerConfig, Keyring, RecordedSecret,
    parse_docker_config, parse_dockercfg, parse_name, parse_plugin_answer, render_plugin_request,
};
use crate::core::model::time::Moment;
use crate::ports::{DockerFile, PluginCall, TokenRequest};
use crate::supervise::blocking;

/// Credentials of the node's plugins, kept for as long as they allow.
pub(super) struct Credentials {
    plugins: Vec<CredentialPlugin>,
    /// By plugin. Held while the plugin runs, so that it is asked once for many pods.
    answers: Vec<Mutex<HashMap<CacheKey, (Timestamp, DockerConfig)>>>,
    /// The turn of one pod to have big pull secrets read.
    reading: Semaphore,
}

/// Pull secrets of up to this many bytes together are read on the kubelet's own thread: some milliseconds. Bigger ones (a
/// secret may have 1 MiB, a pod many of them) are read beside it, one pod after the other.
const ON_THE_SPOT: usize = 16 << 10;

/// Lifetime asked for tokens that plugins get, as upstream.
const TOKEN_SECONDS: i64 = 600;

impl Credentials {
    pub(super) fn new(plugins: Vec<CredentialPlugin>) -> Self {
        let answers = plugins.iter().map(|_| Mutex::default()).collect();
        Self { plugins, answers, reading: Semaphore::new(1) }
    }

    /// In the order in which to try them. An error is a pull secret that cannot be read.
    pub(super) async fn of(&self, ports: &ImagePorts, pod: &Arc<Pod>, image: &str) -> Result<Vec<Credential>, String> {
        let repository = parse_name(image).map_err(|error| error.to_string())?.repository;
        let mut found = self.of_secrets(ports, pod, &repository).await?;
        found.extend(node_files(ports).await.lookup(&repository));
        for (index, plugin) in self.plugins.iter().enumerate().filter(|(_, p)| p.serves(&repository)) {
            let mut keyring = Keyring::default();
            match self.ask(ports, pod, index, plugin, &repository).await {
                Ok(config) => keyring.add(config),
                Err(error) => tracing::warn!(plugin = plugin.name, repository, error, "no credentials from a plugin"),
            }
            found.extend(keyring.lookup(&repository));
        }
        Ok(found)
    }

    async fn of_secrets(
        &self,
        ports: &ImagePorts,
        pod: &Arc<Pod>,
        repository: &str,
    ) -> Result<Vec<Credential>, String> {
        let secrets = secrets_of(ports, pod).await;
        let size = secrets.iter().fold(0_usize, |size, secret| size.saturating_add(size_of(secret)));
        if size <= ON_THE_SPOT {
            return fitting(&secrets, repository);
        }
        let _turn = self.reading.acquire().await.map_err(|error| error.to_string())?;
        let repository = repository.to_owned();
        blocking("pull secrets", move || fitting(&secrets, &repository)).await.map_err(|error| error.to_string())?
    }

    async fn ask(
        &self,
        ports: &ImagePorts,
        pod: &Arc<Pod>,
        index: usize,
        plugin: &CredentialPlugin,
        repository: &str,
    ) -> Result<DockerConfig, String> {
        let Some(answers) = self.answers.get(index) else { return Ok(DockerConfig::new()) };
        let mut answers = answers.lock().await;
        let now = (ports.wall)();
        answers.retain(|_, (until, _)| now < *until);
        // Answers to a pod's token are that pod's own and are not kept.
        if plugin.token.is_none()
            && let Some((_, config)) = CacheKey::candidates(repository).iter().find_map(|key| answers.get(key))
        {
            return Ok(config.clone());
        }
        let token = match token_for(ports, pod, plugin).await? {
            Wish::Nothing => None,
            Wish::Token(token) => Some(token),
            Wish::NotForThisPod => return Ok(DockerConfig::new()),
        };
        let call = PluginCall {
            name: plugin.name.clone(),
            args: plugin.args.clone(),
            env: plugin.env.clone(),
            input: render_plugin_request(plugin, repository, token.as_deref()),
        };
        let output = ports.node.run_plugin(call).await?;
        let answer = parse_plugin_answer(plugin, repository, &output).map_err(|error| error.to_string())?;
        if plugin.token.is_none() && !answer.cache.is_zero() {
            let until = now.later(answer.cache);
            answers.insert(answer.key, (until, answer.config.clone()));
        }
        Ok(answer.config)
    }
}

enum Wish {
    Nothing,
    Token(String),
    NotForThisPod,
}

/// Plugins that need annotations of the service account are left out: that object is not read here.
async fn token_for(ports: &ImagePorts, pod: &Arc<Pod>, plugin: &CredentialPlugin) -> Result<Wish, String> {
    let Some(wanted) = &plugin.token else { return Ok(Wish::Nothing) };
    let account = pod.spec.as_ref().and_then(|s| s.service_account_name.as_deref()).unwrap_or_default();
    if account.is_empty() {
        return Ok(if wanted.require_service_account { Wish::NotForThisPod } else { Wish::Nothing });
    }
    if !wanted.required_service_account_annotation_keys.is_empty() {
        return Ok(Wish::NotForThisPod);
    }
    let request = TokenRequest {
        audiences: vec![wanted.service_account_token_audience.clone()],
        expiration_seconds: TOKEN_SECONDS,
    };
    let (token, _) = ports.objects.token(pod, &request).await.map_err(|error| error.to_string())?;
    Ok(Wish::Token(token))
}

/// Secrets that are missing are left out; the worker has recorded `FailedToRetrieveImagePullSecret` for them.
async fn secrets_of(ports: &ImagePorts, pod: &Arc<Pod>) -> Vec<Arc<Secret>> {
    let mut secrets = Vec::new();
    let mut known = BTreeSet::new();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for reference in pod.spec.iter().flat_map(|s| s.image_pull_secrets.iter().flatten()) {
        if !known.insert(&reference.name) {
            continue;
        }
        match ports.objects.secret(namespace, &reference.name).await {
            Ok(secret) => secrets.push(secret),
            Err(error) => tracing::warn!(namespace, secret = reference.name, %error, "no image pull secret"),
        }
    }
    secrets
}

fn size_of(secret: &Secret) -> usize {
    secret.data.iter().flatten().fold(0, |size, (_, value)| size.saturating_add(value.0.len()))
}

/// The credentials for a repository, in the order in which to try them.
fn fitting(secrets: &[Arc<Secret>], repository: &str) -> Result<Vec<Credential>, String> {
    let mut keyring = Keyring::default();
    for secret in secrets {
        let name = |part: &Option<String>| part.clone().unwrap_or_default();
        let meta = &secret.metadata;
        let config = read_secret(secret);
        keyring.add(config.map_err(|error| format!("secret {}/{} {error}", name(&meta.namespace), name(&meta.name)))?);
        keyring.keep_fitting(repository);
    }
    Ok(keyring.lookup(repository))
}

fn read_secret(secret: &Secret) -> Result<DockerConfig, String> {
    let meta = &secret.metadata;
    let source = CredentialSource::Secret(RecordedSecret {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        credential_hash: String::new(),
    });
    let data = |key: &str| secret.data.as_ref().and_then(|d| d.get(key)).filter(|b| !b.0.is_empty());
    match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => {
            data(".dockerconfigjson").map_or(Ok(DockerConfig::new()), |b| parse_docker_config(&b.0, Some(&source)))
        }
        Some("kubernetes.io/dockercfg") => {
            data(".dockercfg").map_or(Ok(DockerConfig::new()), |b| parse_dockercfg(&b.0, Some(&source)))
        }
        _ => Ok(DockerConfig::new()),
    }
}

async fn node_files(ports: &ImagePorts) -> Keyring {
    let mut keyring = Keyring::default();
    let config = match ports.node.docker_file().await {
        Some(DockerFile::Config(bytes)) => parse_docker_config(&bytes, None),
        Some(DockerFile::Legacy(bytes)) => parse_dockercfg(&bytes, None),
        None => Ok(DockerConfig::new()),
    };
    match config {
        Ok(config) => keyring.add(config),
        Err(error) => tracing::warn!(error, "the node's docker configuration is ignored"),
    }
    keyring
}
