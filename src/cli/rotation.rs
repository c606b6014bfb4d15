//! `bootstrap certs rotate-ca`: the stages in which a cluster comes to other authorities.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::bootstrap::{OutputFormat, SettingsArgs};
use super::upgrade::parse_time;

/// Which stage.
#[derive(Clone, Debug, Subcommand)]
pub enum RotateCommand {
    /// Show how far every node is, and what is next
    Status(RotateStatusArgs),
    /// Make the next authorities, or receive them, and let everything trust both
    Prepare(RotateArgs),
    /// Let the next authorities sign, and issue all certificates of this control plane anew
    Switch(RotateArgs),
    /// Trust the next authorities alone, once no node needs the former ones
    Finish(RotateArgs),
}

/// Arguments of `bootstrap certs rotate-ca status`.
#[derive(Args, Clone, Debug)]
pub struct RotateStatusArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of the stages.
#[derive(Args, Clone, Debug)]
pub struct RotateArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// How long each component may take to be well, e.g. 300s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
