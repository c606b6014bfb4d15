//! Reads a kubeconfig file into the client library's type.
//!
//! The library's own reader includes a second, typed YAML parser of half a megabyte, and its messages quote the lines
//! around a fault, which may contain a private key.

use std::io;
use std::path::Path;

use kube::config::Kubeconfig;

use crate::core::model::json;
use crate::core::yaml;

/// Why a file is not a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// It does not exist, or cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is not a single YAML document.
    #[error("{}{message}", .place.map(|at| format!("line {}, column {}: ", at.line, at.column)).unwrap_or_default())]
    Yaml {
        /// What is wrong, without quoting the text.
        message: String,
        place: Option<yaml::Place>,
    },
    /// A field has another type.
    #[error(transparent)]
    Shape(#[from] json::Unfit),
}

/// Reads the file. As in kubectl, paths in it are relative to its own folder, and so is a plugin's command if it
/// contains a slash (client-go `tools/clientcmd/loader.go`, `GetAuthInfoFileReferences`).
///
/// # Errors
/// It cannot be read, or is not a kubeconfig.
#[expect(clippy::disallowed_methods, reason = "callers are on a thread of offload::Lanes")]
pub fn read_kubeconfig(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let text = std::fs::read(path)?;
    let document = yaml::parse_document(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text))
        .map_err(|error| KubeconfigError::Yaml { message: error.message, place: error.place })?;
    let mut config = if document.is_null() { Kubeconfig::default() } else { json::read::<Kubeconfig>(&document)? };
    let beside = |file: &mut Option<String>| {
        let Some(name) = file.as_deref().filter(|name| Path::new(name).is_relative()) else { return };
        let whole = path.parent().and_then(|folder| folder.join(name).to_str().map(str::to_owned));
        *file = whole.or_else(|| file.take());
    };
    for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        beside(&mut cluster.certificate_authority);
    }
    for user in config.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        beside(&mut user.client_certificate);
        beside(&mut user.client_key);
        beside(&mut user.token_file);
        if let Some(plugin) =
            user.exec.as_mut().filter(|plugin| plugin.command.as_deref().is_some_and(|c| c.contains('/')))
        {
            beside(&mut plugin.command);
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: 'https://h:6443', certificate-authority: pki/ca.crt}}]
users: [{name: u, user: {client-certificate: /abs/crt, client-key: key, tokenFile: token, exec: {command: ./plug}}}]
";

    #[test]
    fn is_what_the_library_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in [("plain", TEXT.to_owned()), ("empty", String::new()), ("mark", format!("\u{feff}{TEXT}"))]
        {
            let path = dir.path().join(name);
            std::fs::write(&path, &text).expect("written");
            let (ours, theirs) = (read_kubeconfig(&path).expect("read"), Kubeconfig::read_from(&path).expect("read"));
            let fields = |config| serde_json::to_value(config).expect("fields");
            assert_eq!(fields(ours), fields(theirs), "{name}");
        }
    }

    #[test]
    fn a_fault_is_told_without_the_text_around_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config");
        for text in
            ["users:\n- name: u\n  user: {client-key-data: SECRET\n", "users: SECRET\n", "a: SECRET\na: SECRET\n"]
        {
            std::fs::write(&path, text).expect("written");
            let error = read_kubeconfig(&path).expect_err("a fault").to_string();
            assert!(!error.contains("SECRET\n") && !error.contains('\n'), "{error}");
        }
        assert!(matches!(read_kubeconfig(&dir.path().join("none")), Err(KubeconfigError::Read(_))));
    }
}
