//! The command line of `bootstrap manifests`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::{OutputFormat, SettingsArgs};

/// Subcommands of `bootstrap manifests`.
#[derive(Clone, Debug, Subcommand)]
pub enum ManifestsCommand {
    /// Check manifests as the kubelet would read them; works on any machine and changes nothing
    Check(CheckArgs),
    /// Switch to all manifests of a folder; roll back if their pods do not become Ready
    Apply(ApplyArgs),
    /// Switch back to the previous set
    Rollback(SwitchArgs),
}

/// Arguments of `bootstrap manifests check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// A folder of manifests, or one manifest
    pub path: PathBuf,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap manifests apply`.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    /// The folder with the set's manifests
    pub folder: PathBuf,
    #[command(flatten)]
    pub switch: SwitchArgs,
}

/// Arguments of switching a set.
#[derive(Args, Clone, Debug)]
pub struct SwitchArgs {
    /// Name of the set on this node; sets of different names do not affect each other
    #[arg(long, default_value = "default", value_parser = parse_name)]
    pub name: String,
    /// Seconds that its pods have to become Ready
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub within: u64,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

fn parse_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !text.is_empty() && text.len() <= 63 && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("use up to 63 lower-case letters, digits and dashes".to_owned()),
    }
}
