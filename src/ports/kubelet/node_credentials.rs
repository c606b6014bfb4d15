//! Registry credentials that the node itself has.

use async_trait::async_trait;

/// A docker configuration file as found.
#[derive(Clone, PartialEq, Eq)]
pub enum DockerFile {
    /// `config.json`.
    Config(Vec<u8>),
    /// The older `.dockercfg`.
    Legacy(Vec<u8>),
}

/// One call of an exec plugin.
#[derive(Clone)]
pub struct PluginCall {
    /// Name of the binary in the plugin directory.
    pub name: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Environment added to ours.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub input: Vec<u8>,
}

/// The node's own credentials. Nothing of their content is ever logged.
#[async_trait]
pub trait NodeCredentials: Send + Sync {
    /// The first docker configuration file in upstream's search path, newest form first.
    async fn docker_file(&self) -> Option<DockerFile>;
    /// Runs a plugin for at most a minute and returns its standard output; the error is its standard error.
    async fn run_plugin(&self, call: PluginCall) -> Result<Vec<u8>, String>;
}
