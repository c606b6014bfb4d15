//! The command line of `bootstrap`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::agent::AgentArgs;
use super::apply::{ApplyArgs, VerifyArgs};
use super::args::{OutputFormat, SettingsArgs, parse_time};
use super::etcd::EtcdCommand;
use super::manifests::ManifestsCommand;
use super::manual::{CompletionsArgs, ManArgs};
use super::preflight::PreflightArgs;
use super::rotation::RotateCommand;
use super::token::TokenArgs;
use super::upgrade::UpgradeCommand;
use crate::core::bootstrap::discovery::CaPin;

use crate::core::bootstrap::token::Token;
use crate::core::model::spec::Endpoint;

/// Sets up and maintains Kubernetes clusters on machines with systemd.
#[derive(Debug, Parser)]
#[command(name = "bootstrap", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Log more to standard error; give it twice for debug output
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a cluster: make this machine its first control-plane node
    Init(InitArgs),
    /// Add this machine to an existing cluster as a worker or a control plane
    Join(JoinArgs),
    /// Apply changed settings to this node and show what changes
    Apply(ApplyArgs),
    /// Compare the files and processes of this node with its settings; fails if they differ
    Verify(VerifyArgs),
    /// Show the state of this node, even if no API server answers; fails if there is a problem
    Status(StatusArgs),
    /// Remove this machine from its cluster: stop and delete everything that init or join created
    Reset(ResetArgs),
    /// Convert this node's control plane between static pods and systemd services while the cluster runs
    Convert(ConvertArgs),
    /// Create, list and delete the bootstrap tokens that nodes join with
    Token(TokenArgs),
    /// List and renew the certificates of this control plane, or rotate the CAs of the cluster
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Manage etcd: members, health, snapshots, restore and recovery
    #[command(subcommand)]
    Etcd(EtcdCommand),
    /// Upgrade the cluster to another Kubernetes version, one node at a time
    #[command(subcommand)]
    Upgrade(UpgradeCommand),
    /// Check, apply and roll back sets of static-pod manifests
    #[command(subcommand)]
    Manifests(ManifestsCommand),
    /// Show the effective settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run the node agent; roost-agent.service starts it
    Agent(AgentArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write manual pages to a folder, for packagers
    #[command(hide = true)]
    Man(ManArgs),
}

/// How phases are run.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Run only this phase; `--dry-run --output json` shows the IDs
    #[arg(long, value_name = "ID")]
    pub phase: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap init`.
#[derive(Args, Clone, Debug, Default)]
pub struct InitArgs {
    /// Restore a lost cluster: start with the data of this etcd snapshot. The cluster's PKI must already be on this machine
    #[arg(long, value_name = "FILE", conflicts_with = "phase")]
    pub snapshot: Option<PathBuf>,
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub preflight: PreflightArgs,
}

/// Arguments of `bootstrap join`.
#[derive(Args, Clone, Debug)]
pub struct JoinArgs {
    /// Address of an API server of the cluster, HOST:PORT
    pub server: Endpoint,
    /// Token from `bootstrap token create`; a node that has already joined needs none
    #[arg(long)]
    pub token: Option<Token>,
    /// File that contains only the token
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// Join as a control plane; needs a token from `bootstrap token create --control-plane`
    #[arg(long)]
    pub control_plane: bool,
    /// Hash of the cluster's CA, as printed by `bootstrap token create --print-join-command`; repeat it for each CA
    #[arg(long, value_name = "sha256:HEX")]
    pub ca_hash: Vec<CaPin>,
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub preflight: PreflightArgs,
}

/// Arguments of `bootstrap status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Repeat after this time until a signal stops it; the exit code is that of the last look
    #[arg(short, long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "5s", value_parser = parse_time)]
    pub watch: Option<Duration>,
}

/// Arguments of `bootstrap reset`.
#[derive(Args, Clone, Debug)]
pub struct ResetArgs {
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// How control-plane components run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunAs {
    /// As systemd services that run host programs.
    Systemd,
    /// As static pods of the kubelet.
    StaticPods,
}

impl RunAs {
    /// The value of the setting `mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::StaticPods => "static-pods",
        }
    }
}

/// Arguments of `bootstrap convert`.
#[derive(Args, Clone, Debug)]
pub struct ConvertArgs {
    /// How the control plane shall run
    #[arg(long, value_enum)]
    pub to: RunAs,
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub preflight: PreflightArgs,
}

/// Subcommands of `bootstrap config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with its value and where it was set
    Print(ConfigPrintArgs),
}

/// Arguments of `bootstrap config print`.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigPrintArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Subcommands of `bootstrap certs`.
#[derive(Clone, Debug, Subcommand)]
pub enum CertsCommand {
    /// Show every certificate with its expiry and the time of its renewal
    List(CertsListArgs),
    /// Renew the certificates that are past two thirds of their lifetime
    Renew(CertsRenewArgs),
    /// Replace the cluster's CAs while it runs: prepare, switch and finish, each on every control plane in turn
    #[command(subcommand)]
    RotateCa(RotateCommand),
}

/// Arguments of `bootstrap certs list`.
#[derive(Args, Clone, Debug, Default)]
pub struct CertsListArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap certs renew`.
#[derive(Args, Clone, Debug, Default)]
pub struct CertsRenewArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Renew all certificates but those of CAs, whatever their age
    #[arg(long)]
    pub all: bool,
}
