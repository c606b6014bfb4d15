//! Collects the credentials for pulling a pod's image: its pull secrets, then the node's files and plugins.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use tokio::sync::{Mutex, Semaphore};

use super::ports::ImagePorts;
use crate::core::images::{
    AccountKey, CacheKey, Credential, CredentialPlugin, CredentialSource, DockerConfig, DockerConfigError, Keyring,
    PluginAccount, RecordedAccount, RecordedSecret, parse_docker_config, parse_dockercfg, parse_name,
    parse_plugin_answer, render_plugin_request,
};
use crate::core::model::time::Moment;
use crate::core::model::with_causes;
use crate::ports::kubelet::{DockerFile, PluginCall, TokenRequest};
use crate::supervise::blocking;

/// Cached answers with their expiry, by the images and the service account that they are for.
type Answers = HashMap<(CacheKey, Option<AccountKey>), (Timestamp, DockerConfig)>;

/// Credentials of the node's plugins, cached for as long as they allow.
pub(super) struct Credentials {
    plugins: Vec<CredentialPlugin>,
    /// By plugin. Locked while the plugin runs, so that it runs once for many pods.
    answers: Vec<Mutex<Answers>>,
    /// Serializes the parsing of large pull secrets.
    reading: Semaphore,
}

/// Pull secrets of up to this many bytes in total are parsed on the runtime's thread, in a few milliseconds. Larger
/// ones (a Secret may have 1 MiB, and a pod many of them) are parsed on another thread, one pod at a time.
const ON_THE_SPOT: usize = 16 << 10;

/// Requested lifetime of tokens for plugins: the API server's default, as upstream.
const TOKEN_SECONDS: i64 = 3600;

impl Credentials {
    pub(super) fn new(plugins: Vec<CredentialPlugin>) -> Self {
        let answers = plugins.iter().map(|_| Mutex::default()).collect();
        Self { plugins, answers, reading: Semaphore::new(1) }
    }

    /// The credentials, in the order in which to try them. The error is about a pull secret that cannot be parsed.
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
        let account = match account_for(ports, pod, plugin).await? {
            AccountUse::Nothing => None,
            AccountUse::Account(account) => Some(account),
            AccountUse::NotForThisPod => return Ok(DockerConfig::new()),
        };
        let whose = account.as_ref().zip(plugin.token.as_ref()).map(|(account, token)| account.cache_key(token.cache));
        let Some(answers) = self.answers.get(index) else { return Ok(DockerConfig::new()) };
        let mut answers = answers.lock().await;
        let now = (ports.wall)();
        answers.retain(|_, (until, _)| now < *until);
        let kept = CacheKey::candidates(repository).into_iter().find_map(|key| answers.get(&(key, whose.clone())));
        if let Some((_, config)) = kept {
            return Ok(config.clone());
        }
        let call = PluginCall {
            name: plugin.name.clone(),
            args: plugin.args.clone(),
            env: plugin.env.clone(),
            input: render_plugin_request(plugin, repository, account.as_ref()),
        };
        let output = ports.node.run_plugin(call).await?;
        let answer = parse_plugin_answer(plugin, repository, account.as_ref(), &output);
        let answer = answer.map_err(|error| error.to_string())?;
        if !answer.cache.is_zero() {
            let until = now.later(answer.cache);
            answers.insert((answer.key, whose), (until, answer.config.clone()));
        }
        Ok(answer.config)
    }
}

enum AccountUse {
    Nothing,
    Account(PluginAccount),
    NotForThisPod,
}

/// The pod's service account, for the plugin's input.
async fn account_for(ports: &ImagePorts, pod: &Arc<Pod>, plugin: &CredentialPlugin) -> Result<AccountUse, String> {
    let Some(wanted) = &plugin.token else { return Ok(AccountUse::Nothing) };
    let name = pod.spec.as_ref().and_then(|s| s.service_account_name.as_deref()).unwrap_or_default();
    if name.is_empty() {
        return Ok(if wanted.require_service_account { AccountUse::NotForThisPod } else { AccountUse::Nothing });
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let found = ports.objects.service_account(namespace, name).await.map_err(|error| error.to_string())?;
    let of_account = found.metadata.annotations.clone().unwrap_or_default();
    // Workloads opt in by annotations.
    let Some(annotations) = wanted.annotations_of(&of_account) else { return Ok(AccountUse::NotForThisPod) };
    let request = TokenRequest { audiences: vec![wanted.audience.clone()], expiration_seconds: TOKEN_SECONDS };
    let (token, _) = ports.objects.token(pod, &request).await.map_err(|error| error.to_string())?;
    let uid = found.metadata.uid.clone().unwrap_or_default();
    let account = RecordedAccount { namespace: namespace.to_owned(), name: name.to_owned(), uid };
    Ok(AccountUse::Account(PluginAccount { account, token, annotations }))
}

/// Missing Secrets are skipped; the worker has recorded `FailedToRetrieveImagePullSecret` for them.
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
            Err(error) => {
                tracing::warn!(namespace, secret = reference.name, error = with_causes(&error), "no image pull secret")
            }
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

fn read_secret(secret: &Secret) -> Result<DockerConfig, DockerConfigError> {
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
        Err(error) => tracing::warn!(error = with_causes(&error), "the node's docker configuration is ignored"),
    }
    keyring
}
