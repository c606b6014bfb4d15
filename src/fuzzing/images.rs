//! Input that decides which credentials pull which image: pull secrets, image names, credential plugins, pull records.

use serde_json::Value;

use super::input::{first_line, text};
use crate::core::exec_credential::parse_answer;
use crate::core::images::{
    Keyring, PulledRecord, parse_docker_config, parse_dockercfg, parse_name, parse_plugin_answer, parse_plugins,
    with_default_tag, without_tag,
};
use crate::core::yaml;

/// First line: a repository; the rest: the secret. The credentials found are in the secret, and a slow matcher agrees.
pub(super) fn pull_secret(input: &[u8]) {
    let (repository, secret) = first_line(input);
    let Some(repository) = text(repository) else { return };
    for parse in [parse_docker_config, parse_dockercfg] {
        let Ok(config) = parse(secret, None) else { continue };
        let mut keyring = Keyring::default();
        keyring.add(config.clone());
        let found = keyring.lookup(repository);
        assert!(found.len() <= config.len());
        assert!(found.iter().all(|credential| config.values().any(|known| known == credential)));
        assert_eq!(found, keyring.lookup(repository));
        let plain = |pattern: &str| is_plain(pattern) && !repository.contains(['[', ']']) && ports(repository) <= 1;
        for (pattern, credential) in config.iter().filter(|(pattern, _)| plain(pattern)).take(8) {
            let mut one = Keyring::default();
            one.add([(pattern.clone(), credential.clone())].into());
            let expected = covers(pattern, repository);
            assert_eq!(!one.lookup(repository).is_empty(), expected, "{pattern:?} for {repository:?}");
        }
    }
}

fn ports(location: &str) -> usize {
    location.split('/').next().unwrap_or_default().matches(':').count()
}

/// A pattern without a scheme, API version or query to strip, and not the one for Docker Hub.
fn is_plain(pattern: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "*.-:/".contains(c);
    let path = pattern.find('/').map_or("", |at| &pattern[at..]);
    !pattern.is_empty()
        && pattern.chars().all(known)
        && pattern != "index.docker.io"
        && ports(pattern) <= 1
        && !pattern.contains("//")
        && !["/v1", "/v2"].iter().any(|version| path.starts_with(version))
        && !path.ends_with('/')
        && !pattern.starts_with('/')
}

/// The rule, implemented slowly: same port, same number of labels, each label matched by its glob, and the path as a
/// prefix.
fn covers(pattern: &str, repository: &str) -> bool {
    fn cut(location: &str) -> (Vec<&str>, &str, &str) {
        let (host, path) = location.split_at(location.find('/').unwrap_or(location.len()));
        let (host, port) = host.split_once(':').unwrap_or((host, ""));
        (host.split('.').collect(), port, path)
    }
    let ((globs, port, path), (labels, asked_port, asked_path)) = (cut(pattern), cut(repository));
    port == asked_port
        && globs.len() == labels.len()
        && asked_path.starts_with(path)
        && globs.iter().zip(labels).all(|(glob, label)| glob_covers(glob, label))
}

/// `reached[i]`: the glob so far matches the first `i` characters.
fn glob_covers(glob: &str, label: &str) -> bool {
    let label: Vec<char> = label.chars().collect();
    let mut reached: Vec<bool> = (0..=label.len()).map(|i| i == 0).collect();
    for wanted in glob.chars() {
        let mut next = vec![false; label.len() + 1];
        for i in 0..=label.len() {
            next[i] = match wanted {
                '*' => reached[..=i].contains(&true),
                wanted => i > 0 && reached[i - 1] && label[i - 1] == wanted,
            };
        }
        reached = next;
    }
    reached[label.len()]
}

/// The full form of a name parses to itself, contains nothing that leads elsewhere, and a default tag changes nothing
/// else.
pub(super) fn image_name(input: &[u8]) {
    let Some(image) = text(input) else { return };
    let parsed = parse_name(image);
    assert_eq!(parsed.is_ok(), with_default_tag(image).is_ok());
    assert!(image.starts_with(without_tag(image)));
    let Ok(name) = parsed else { return };
    let mut full = name.repository.clone();
    full.extend(name.tag.iter().map(|tag| format!(":{tag}")));
    full.extend(name.digest.iter().map(|digest| format!("@{digest}")));
    assert_eq!(parse_name(&full).as_ref(), Ok(&name), "{full}");
    assert!(name.repository.len() <= 255 && full.is_ascii());
    assert!(!full.contains(|c: char| c.is_whitespace() || c.is_control()) && !name.repository.contains(".."));
    let tagged = with_default_tag(image).expect("a name");
    assert_eq!(with_default_tag(&tagged).as_deref(), Ok(tagged.as_str()));
    let again = parse_name(&tagged).expect("a name");
    assert_eq!(again.repository, name.repository);
    assert!(again.tag.is_some() || again.digest.is_some());
}

/// The answer of a kubeconfig's plugin: a credential in it is complete, and its parts are in the answer.
fn exec_answer(answer: &[u8]) {
    let version = "client.authentication.k8s.io/v1";
    let Ok(given) = parse_answer(answer, version) else { return };
    let said = yaml::parse_document(answer).expect("a document");
    assert_eq!((&said["apiVersion"], &said["kind"]), (&version.into(), &"ExecCredential".into()));
    let status = &said["status"];
    assert!(given.token.is_some() || given.certificate.is_some());
    assert!(given.token.is_none_or(|token| status["token"] == token.reveal().as_str()));
    assert!(given.certificate.is_none_or(|(certificate, key)| {
        status["clientCertificateData"] == certificate.as_str() && status["clientKeyData"] == key.reveal().as_str()
    }));
}

/// The plugin's configuration (YAML) up to a line `---`, then its answer. Plugins are plain file names, an answer
/// contains no more than was given, and pull records can be parsed again.
pub(super) fn credential_plugin(input: &[u8]) {
    let at = input.windows(5).position(|part| part == b"\n---\n");
    let (file, answer) = at.map_or((input, input), |at| (&input[..at], &input[at + 5..]));
    if let Ok(record) = serde_json::from_slice::<PulledRecord>(answer) {
        let written = serde_json::to_vec(&record).expect("JSON");
        assert_eq!(serde_json::from_slice::<PulledRecord>(&written).ok(), Some(record));
    }
    exec_answer(answer);
    let Ok(plugins) = yaml::parse_document(file).map_err(drop).and_then(|file| parse_plugins(&file).map_err(drop))
    else {
        return;
    };
    for (index, plugin) in plugins.iter().enumerate() {
        assert_eq!(std::path::Path::new(&plugin.name).file_name(), Some(plugin.name.as_ref()));
        assert!(plugins[..index].iter().all(|other| other.name != plugin.name));
        let _ = plugin.serves("registry.example/team/app");
        let Ok(parsed) = parse_plugin_answer(plugin, "registry.example/team/app", None, answer) else { continue };
        let said: Value = serde_json::from_slice(answer).expect("JSON");
        assert_eq!(said["apiVersion"], plugin.api_version.as_str());
        assert_eq!(parsed.config.len(), said["auth"].as_object().map_or(0, |auth| auth.len()));
    }
}
