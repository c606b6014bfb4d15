//! `bootstrap apply` and `verify`: apply changed settings to this node, or compare it with them.

use std::time::Duration;

use clap::Args;

use super::args::{OutputFormat, SettingsArgs, parse_time};
use super::preflight::PreflightArgs;

/// Arguments of `bootstrap apply`.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print the differences and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also write the objects that the cluster shares; the first control plane always does, one that joined only with this
    #[arg(long)]
    pub cluster: bool,
    /// Time each component has to become healthy before everything is rolled back, e.g. 300s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
    #[command(flatten)]
    pub preflight: PreflightArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Check this node against the CIS Kubernetes Benchmark instead
    #[arg(long, conflicts_with = "cluster")]
    pub cis: bool,
    /// Also compare the objects that the cluster shares; the first control plane always does, one that joined only with this
    #[arg(long)]
    pub cluster: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
