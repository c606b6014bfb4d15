//! Registry credentials of the node.

use async_trait::async_trait;

/// A docker configuration file, unparsed.
#[derive(Clone, PartialEq, Eq)]
pub enum DockerFile {
    /// Content of a `config.json`.
    Config(Vec<u8>),
    /// Content of a file in the older format, `.dockercfg`.
    Legacy(Vec<u8>),
}

/// One execution of a credential plugin.
#[derive(Clone)]
pub struct PluginCall {
    /// Name of the binary in the plugin directory.
    pub name: String,
    /// Command-line arguments, without the program's name.
    pub args: Vec<String>,
    /// Environment variables in addition to the kubelet's.
    pub env: Vec<(String, String)>,
    /// Data for its standard input.
    pub input: Vec<u8>,
}

/// The node's own credentials. Their content is never logged.
#[async_trait]
pub trait NodeCredentials: Send + Sync {
    /// The first docker configuration file in upstream's search path, newer format first; `None` if there is none.
    async fn docker_file(&self) -> Option<DockerFile>;
    /// Runs a plugin for at most a minute and returns its standard output; the error contains its standard error.
    async fn run_plugin(&self, call: PluginCall) -> Result<Vec<u8>, String>;
}
