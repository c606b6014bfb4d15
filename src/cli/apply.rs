//! `bootstrap apply` and `verify`: this node brought to what its settings say by now, or held against it.

use std::time::Duration;

use clap::Args;

use super::bootstrap::{OutputFormat, SettingsArgs};
use super::upgrade::parse_time;

/// Arguments of `bootstrap apply`.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Only show the difference
    #[arg(long)]
    pub dry_run: bool,
    /// Write what the cluster shares as this node's settings say, on a control plane that joined; the first one always does
    #[arg(long)]
    pub cluster: bool,
    /// How long each component may take to be well before all goes back, e.g. 300s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
    /// Go on although a check of this machine failed
    #[arg(long)]
    pub ignore_preflight: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Hold this node against the CIS Kubernetes Benchmark instead
    #[arg(long, conflicts_with = "cluster")]
    pub cis: bool,
    /// Compare also what the cluster shares with this node's settings, on a control plane that joined; the first one always does
    #[arg(long)]
    pub cluster: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
