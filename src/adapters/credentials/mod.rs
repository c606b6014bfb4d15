//! Docker configuration files and exec credential plugins of the node.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::offload;
use crate::ports::{DockerFile, NodeCredentials, PluginCall};

const PLUGIN_LIMIT: Duration = Duration::from_secs(60);
/// More than this of a plugin's output is not read.
const MAX_OUTPUT: u64 = 1 << 20;

/// How the bytes of a file are to be understood.
type Form = fn(Vec<u8>) -> DockerFile;

/// Credentials on the disk of the node.
#[derive(Clone, Debug)]
pub struct DiskCredentials {
    /// The kubelet's root directory, which is looked at first.
    pub root: PathBuf,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// Directory of the plugins.
    pub plugins: PathBuf,
}

impl DiskCredentials {
    /// In upstream's order (`pkg/credentialprovider/config.go`), without the working directory.
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
                Err(error) => tracing::warn!(path = %path.display(), %error, "docker configuration cannot be read"),
            }
        }
        None
    }

    async fn run_plugin(&self, call: PluginCall) -> Result<Vec<u8>, String> {
        match timeout(PLUGIN_LIMIT, run(self.plugins.join(&call.name), call)).await {
            Ok(result) => result,
            Err(_) => Err("no answer within one minute".to_owned()),
        }
    }
}

async fn run(path: PathBuf, call: PluginCall) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut command = Command::new(path);
    command.args(call.args).envs(call.env).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    let mut child = offload::spawn(command).await.map_err(text)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A plugin that does not read its input may answer all the same.
            stdin.write_all(&call.input).await.ok();
        }
    };
    let (mut output, mut complaint) = (Vec::new(), String::new());
    let read = async {
        match stdout {
            Some(stdout) => stdout.take(MAX_OUTPUT).read_to_end(&mut output).await.map(drop),
            None => Ok(()),
        }
    };
    let read_complaint = async {
        match stderr {
            Some(stderr) => stderr.take(4096).read_to_string(&mut complaint).await.ok(),
            None => None,
        }
    };
    let ((), read, _) = tokio::join!(write, read, read_complaint);
    read.map_err(text)?;
    let status = child.wait().await.map_err(text)?;
    if status.success() { Ok(output) } else { Err(format!("{status}: {complaint}")) }
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
