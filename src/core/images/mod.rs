//! Images: names, pull policy, back-off, credentials, and which pods may use what was pulled with a secret.

mod access;
mod backoff;
mod failure;
mod glob;
mod keyring;
mod name;
mod plugin;
mod plugin_config;
mod policy;
mod records;
mod size;

pub use access::{Access, Verification, decide_access};
pub use backoff::PullBackoff;
pub use failure::{PullFailure, join_failures, name_failure};
pub use keyring::{
    Credential, CredentialSource, DockerConfig, DockerConfigError, Keyring, parse_docker_config, parse_dockercfg,
};
pub use name::{ImageName, NameError, parse_name, with_default_tag, without_tag};
pub use plugin::{
    AccountKey, CacheKey, CredentialPlugin, PluginAccount, PluginAnswer, PluginError, TokenAttributes, TokenCache,
    parse_plugin_answer, render_plugin_request,
};
pub use plugin_config::{join_plugins, parse_plugins};
pub use policy::PullPolicy;
pub use records::{PullCredentials, PullIntent, PulledRecord, RecordedAccount, RecordedSecret, file_name};
pub use size::size_label;
