//! The node's docker configuration files and exec credential plugins.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use tokio::process::Command;

use crate::adapters::program::answer_of;
use crate::core::model::with_causes;
use crate::ports::kubelet::{DockerFile, NodeCredentials, PluginCall};

/// How to parse the bytes of a file.
type Form = fn(Vec<u8>) -> DockerFile;

/// Credentials on the node's disk.
#[derive(Clone, Debug)]
pub struct DiskCredentials {
    /// The kubelet's root directory, which is searched first.
    pub root: PathBuf,
    pub home: Option<PathBuf>,
    /// Directory of the plugins.
    pub plugins: PathBuf,
}

impl DiskCredentials {
    /// Candidates in upstream's order (`pkg/credentialprovider/config.go`), without the working directory.
    fn candidates(&self) -> Vec<(PathBuf, Form)> {
        let home = |below: &str| self.home.as_ref().map(|home| home.join(below));
        let (config, legacy): (Form, Form) = (DockerFile::Config, DockerFile::Legacy);
        let configs =
            [Some(self.root.join("config.json")), home(".docker/config.json"), Some("/.docker/config.json".into())];
        let legacies = [Some(self.root.join(".dockercfg")), home(".dockercfg"), Some("/.dockercfg".into())];
        let configs = configs.into_iter().flatten().map(|path| (path, config));
        configs.chain(legacies.into_iter().flatten().map(|path| (path, legacy))).collect()
    }
}

#[async_trait]
impl NodeCredentials for DiskCredentials {
    async fn docker_file(&self) -> Option<DockerFile> {
        for (path, form) in self.candidates() {
            match tokio::fs::read(&path).await {
                Ok(bytes) => return Some(form(bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), error = with_causes(&error), "docker configuration cannot be read")
                }
            }
        }
        None
    }

    async fn run_plugin(&self, call: PluginCall) -> Result<Vec<u8>, String> {
        let mut command = Command::new(self.plugins.join(&call.name));
        command.args(call.args).envs(call.env).stdin(Stdio::piped()).stderr(Stdio::piped());
        answer_of(command, &call.input).await
    }
}

/// The files of a plugin configuration: the file itself, or those in a folder that end in .json, .yaml or .yml, by name
/// (upstream `readCredentialProviderConfig`).
///
/// # Errors
/// One of them cannot be read, or the folder has none.
#[expect(clippy::disallowed_methods, reason = "once, before anything runs")]
pub fn read_configuration(path: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let named = |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        let has_form = |file: &PathBuf| {
            let form = file.extension().and_then(|form| form.to_str());
            form.is_some_and(|form| matches!(form, "json" | "yaml" | "yml")) && !file.is_dir()
        };
        let entries = std::fs::read_dir(path).map_err(|error| named(path, error))?;
        files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.retain(has_form);
        files.sort();
        if files.is_empty() {
            return Err(io::Error::other(format!("no configuration files found in directory {}", path.display())));
        }
    }
    let read = |file: PathBuf| match std::fs::read(&file) {
        Ok(bytes) => Ok((file, bytes)),
        Err(error) => Err(named(&file, error)),
    };
    files.into_iter().map(read).collect()
}

/// Checks that the plugins exist and are executable.
///
/// # Errors
/// The folder or a plugin does not exist or is not executable.
#[expect(clippy::disallowed_methods, reason = "once, before anything runs")]
pub fn check_binaries<'a>(folder: &Path, names: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if !folder.is_dir() {
        return Err(io::Error::other(format!("plugin binary directory {} did not exist", folder.display())));
    }
    for name in names {
        let path = folder.join(name);
        let can_run =
            std::fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        if !can_run {
            return Err(io::Error::other(format!("plugin binary executable {} did not exist", path.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn node(root: &std::path::Path) -> DiskCredentials {
        DiskCredentials { root: root.into(), home: Some(root.join("home")), plugins: root.into() }
    }

    #[tokio::test]
    async fn the_newest_form_in_the_first_place_wins() {
        let directory = tempfile::tempdir().expect("a directory");
        let (root, node) = (directory.path(), node(directory.path()));
        let put = |path: &str| std::fs::write(root.join(path), path).expect("a file");
        put(".dockercfg");
        assert!(node.docker_file().await == Some(DockerFile::Legacy(b".dockercfg".to_vec())));
        std::fs::create_dir_all(root.join("home/.docker")).expect("a directory");
        put("home/.docker/config.json");
        assert!(node.docker_file().await == Some(DockerFile::Config(b"home/.docker/config.json".to_vec())));
        put("config.json");
        assert!(node.docker_file().await == Some(DockerFile::Config(b"config.json".to_vec())));
    }

    #[test]
    fn a_configuration_is_a_file_or_a_folder_of_them_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let put = |name: &str| std::fs::write(directory.path().join(name), name).expect("a file");
        assert!(read_configuration(directory.path()).is_err(), "no file");
        ["b.yaml", "a.json", "c.yml", "d.txt", "README"].into_iter().for_each(put);
        std::fs::create_dir(directory.path().join("e.yaml")).expect("a folder");
        let read = |path: &Path| {
            let files = read_configuration(path).expect("readable");
            files.into_iter().map(|(_, bytes)| String::from_utf8(bytes).expect("text")).collect::<Vec<_>>()
        };
        assert_eq!(read(directory.path()), ["a.json", "b.yaml", "c.yml"]);
        assert_eq!(read(&directory.path().join("d.txt")), ["d.txt"]);
        let missing = read_configuration(&directory.path().join("none")).expect_err("no such file").to_string();
        assert!(missing.contains("none"), "{missing}");

        assert!(check_binaries(directory.path(), ["README"]).is_err(), "it cannot be run");
        std::fs::set_permissions(directory.path().join("README"), std::fs::Permissions::from_mode(0o700))
            .expect("a mode");
        assert!(check_binaries(directory.path(), ["README"]).is_ok());
        assert!(check_binaries(&directory.path().join("none"), []).is_err());
    }

    #[tokio::test]
    async fn a_plugin_gets_its_input_and_may_complain() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("plugin");
        std::fs::write(&path, "#!/bin/sh\nif [ \"$1\" = bad ]; then echo no >&2; exit 3; fi\necho \"$A\"; cat\n")
            .expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("a mode");
        let call = |arg: &str| PluginCall {
            name: "plugin".into(),
            args: vec![arg.into()],
            env: vec![("A".into(), "b".into())],
            input: b"in".to_vec(),
        };
        let node = node(directory.path());
        assert_eq!(node.run_plugin(call("good")).await, Ok(b"b\nin".to_vec()));
        assert_eq!(node.run_plugin(call("bad")).await, Err("exit status: 3: no\n".into()));
        assert!(node.run_plugin(PluginCall { name: "none".into(), ..call("") }).await.is_err());
    }
}
