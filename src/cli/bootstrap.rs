//! The command line of `bootstrap`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::agent::AgentArgs;
use super::apply::{ApplyArgs, VerifyArgs};
use super::etcd::EtcdCommand;
use super::manifests::ManifestsCommand;
use super::manual::{CompletionsArgs, ManArgs};
use super::rotation::RotateCommand;
use super::token::TokenArgs;
use super::upgrade::UpgradeCommand;
use crate::core::bootstrap::discovery::CaPin;
use crate::core::bootstrap::token::Token;
use crate::core::model::spec::Endpoint;

/// Makes and keeps Kubernetes clusters on machines that systemd runs.
#[derive(Debug, Parser)]
#[command(name = "bootstrap", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Say more on standard error; twice for every detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the first control-plane node of a new cluster
    Init(InitArgs),
    /// Make this machine a node of a cluster that is there
    Join(JoinArgs),
    /// Bring this node to what its settings say by now; shows what that changes
    Apply(ApplyArgs),
    /// Compare what is written and what runs with the settings; fails when something differs
    Verify(VerifyArgs),
    /// Show how this node is doing, also without any API server; fails when something is wrong
    Status(StatusArgs),
    /// Take this machine out of its cluster: stop and remove all that init and join made
    Reset(ResetArgs),
    /// Move this node's control plane between static pods and services of systemd, while the cluster runs
    Convert(ConvertArgs),
    /// Bootstrap tokens, with which nodes join
    Token(TokenArgs),
    /// Certificates of this control plane
    #[command(subcommand)]
    Certs(CertsCommand),
    /// etcd's members, snapshots, and the ways back after a loss
    #[command(subcommand)]
    Etcd(EtcdCommand),
    /// Bring the cluster to another version, one node after another
    #[command(subcommand)]
    Upgrade(UpgradeCommand),
    /// Sets of static pods: check one, switch to it as a whole, go back
    #[command(subcommand)]
    Manifests(ManifestsCommand),
    /// Show the settings that hold here
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The long-running part, started by roost-agent.service
    Agent(AgentArgs),
    /// Print what lets a shell complete these commands
    Completions(CompletionsArgs),
    /// Write manual pages, for packages
    #[command(hide = true)]
    Man(ManArgs),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Where settings come from.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Settings in TOML; /etc/roost/cluster.toml if that is there
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting by its name in the file, e.g. --set network.proxy=iptables
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Name of this node [node.name]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Address of this node [node.address]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Where everybody reaches the API [cluster.endpoint]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub endpoint: Option<String>,
    /// Network of all pods [network.pod_cidr]
    #[arg(long, value_name = "CIDR")]
    pub pod_cidr: Option<String>,
    /// Network of Services [network.service_cidr]
    #[arg(long, value_name = "CIDR")]
    pub service_cidr: Option<String>,
}

impl SettingsArgs {
    /// The settings given as flags, by their names in the file.
    pub fn flags(&self) -> Vec<(String, String)> {
        let named = [
            ("node.name", &self.node_name),
            ("node.address", &self.address),
            ("cluster.endpoint", &self.endpoint),
            ("network.pod_cidr", &self.pod_cidr),
            ("network.service_cidr", &self.service_cidr),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        self.set.iter().cloned().chain(named).collect()
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How phases are run.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Run one phase alone
    #[arg(long, value_name = "ID")]
    pub phase: Option<String>,
    /// Go on although a check of this machine failed
    #[arg(long)]
    pub ignore_preflight: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap init`.
#[derive(Args, Clone, Debug, Default)]
pub struct InitArgs {
    /// Begin with the data of a lost cluster: a snapshot of its etcd. Its PKI has to be there
    #[arg(long, value_name = "FILE", conflicts_with = "phase")]
    pub snapshot: Option<PathBuf>,
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Running
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `bootstrap join`.
#[derive(Args, Clone, Debug)]
pub struct JoinArgs {
    /// Where an API server of the cluster answers
    pub server: Endpoint,
    /// A token of `bootstrap token create`; not needed by a node that joined before
    #[arg(long)]
    pub token: Option<Token>,
    /// The token, in a file that holds nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// Make this machine a further control plane; takes a token of `bootstrap token create --control-plane`
    #[arg(long)]
    pub control_plane: bool,
    /// Hash of the cluster's CA, as `bootstrap token create --print-join-command` shows it
    #[arg(long, value_name = "sha256:HEX")]
    pub ca_hash: Vec<CaPin>,
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Running
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `bootstrap status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap reset`.
#[derive(Args, Clone, Debug)]
pub struct ResetArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Running
    #[command(flatten)]
    pub run: RunArgs,
}

/// How a control plane is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunAs {
    /// Services of systemd, from programs of the host.
    Systemd,
    /// Static pods of the kubelet.
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
    /// What the control plane shall be
    #[arg(long, value_enum)]
    pub to: RunAs,
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Running
    #[command(flatten)]
    pub run: RunArgs,
}

/// What to show of the settings.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every setting with its value and where it was set
    Print(ConfigPrintArgs),
}

/// Arguments of `bootstrap config print`.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigPrintArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// What to do with certificates.
#[derive(Clone, Debug, Subcommand)]
pub enum CertsCommand {
    /// Show every certificate, how long it lives and when it is renewed
    List(CertsListArgs),
    /// Renew what has lived two thirds of its life
    Renew(CertsRenewArgs),
    /// Replace the cluster's authorities while it runs: prepare, switch and finish, each on every control plane in turn
    #[command(subcommand)]
    RotateCa(RotateCommand),
}

/// Arguments of `bootstrap certs list`.
#[derive(Args, Clone, Debug, Default)]
pub struct CertsListArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap certs renew`.
#[derive(Args, Clone, Debug, Default)]
pub struct CertsRenewArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Running
    #[command(flatten)]
    pub run: RunArgs,
    /// Renew every leaf, however young
    #[arg(long)]
    pub all: bool,
}
