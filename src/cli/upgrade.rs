//! `bootstrap upgrade`: what an upgrade would do, and one node after another brought to the new version.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::bootstrap::{OutputFormat, SettingsArgs};
use crate::core::model::Version;

/// What to do about versions.
#[derive(Clone, Debug, Subcommand)]
pub enum UpgradeCommand {
    /// Show what runs, what is wanted, what would be done, and what speaks against it; fails when a rule forbids it
    Plan(UpgradePlanArgs),
    /// Upgrade this control plane, then what the cluster shares; the first step of an upgrade
    Apply(UpgradeApplyArgs),
    /// Upgrade this node, control plane or worker, to the version that the cluster has by `upgrade apply`
    Node(UpgradeNodeArgs),
}

/// Arguments of `bootstrap upgrade plan`.
#[derive(Args, Clone, Debug)]
pub struct UpgradePlanArgs {
    /// The wanted version; cluster.kubernetes_version if left out, and the newest that this program knows if that is not set
    #[arg(long, value_name = "VERSION")]
    pub version: Option<Version>,
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap upgrade apply`.
#[derive(Args, Clone, Debug)]
pub struct UpgradeApplyArgs {
    /// The wanted version; cluster.kubernetes_version if left out, and the newest that this program knows if that is not set
    #[arg(long, value_name = "VERSION")]
    pub version: Option<Version>,
    /// Settings and running
    #[command(flatten)]
    pub node: UpgradeNodeArgs,
}

/// Arguments of `bootstrap upgrade node`.
#[derive(Args, Clone, Debug)]
pub struct UpgradeNodeArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Go on although another control plane or a member of etcd is not well; the rules of versions hold all the same
    #[arg(long)]
    pub ignore_preflight: bool,
    /// How long each component may take to be well before all goes back, e.g. 300s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(*seconds).filter(|total| *total > 0)
    });
    found.map(Duration::from_secs).ok_or_else(|| format!("\"{text}\" is no time like 300s or 5m"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::bootstrap::{Cli, Command};

    #[test]
    fn versions_and_times_are_checked_on_the_command_line() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let cli = parse("bootstrap upgrade apply --version v1.36.4 --timeout 90s --dry-run").unwrap();
        let Command::Upgrade(UpgradeCommand::Apply(args)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(args.version.map(|version| version.to_string()), Some("v1.36.4".to_owned()));
        assert_eq!((args.node.timeout, args.node.dry_run), (Duration::from_secs(90), true));
        for wrong in ["--version latest", "--timeout soon", "--timeout 0s"] {
            assert!(parse(&format!("bootstrap upgrade apply {wrong}")).is_err(), "{wrong}");
        }
        assert!(parse("bootstrap upgrade node --version v1.36.4").is_err(), "the cluster tells it");
    }
}
