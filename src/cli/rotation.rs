//! `bootstrap certs rotate-ca`: the stages of a CA rotation.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::{OutputFormat, SettingsArgs, parse_time};

/// Subcommands of `bootstrap certs rotate-ca`.
#[derive(Clone, Debug, Subcommand)]
pub enum RotateCommand {
    /// Show the stage of every node and what to run next
    Status(RotateStatusArgs),
    /// Create or receive the next CAs and make everything trust both the old and the next ones
    Prepare(RotateArgs),
    /// Sign with the next CAs and reissue all certificates of this control plane
    Switch(RotateArgs),
    /// Stop trusting the old CAs, once no node needs them
    Finish(RotateArgs),
}

/// Arguments of `bootstrap certs rotate-ca status`.
#[derive(Args, Clone, Debug)]
pub struct RotateStatusArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of the stages.
#[derive(Args, Clone, Debug)]
pub struct RotateArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Time each component has to become healthy, e.g. 300s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
