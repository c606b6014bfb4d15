//! `bootstrap upgrade`: plan an upgrade, then upgrade one node at a time.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::{OutputFormat, SettingsArgs, parse_time};
use crate::core::model::Version;

/// Subcommands of `bootstrap upgrade`.
#[derive(Clone, Debug, Subcommand)]
pub enum UpgradeCommand {
    /// Show the running and the target versions, the steps, and failed checks; fails if a version-skew rule is violated
    Plan(UpgradePlanArgs),
    /// Start an upgrade: upgrade this control plane, then the objects that the cluster shares
    Apply(UpgradeApplyArgs),
    /// Upgrade this node, control plane or worker, to the version that `upgrade apply` set for the cluster
    Node(UpgradeNodeArgs),
}

/// Arguments of `bootstrap upgrade plan`.
#[derive(Args, Clone, Debug)]
pub struct UpgradePlanArgs {
    /// Target version [default: cluster.kubernetes_version, or else the newest that this program knows]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<Version>,
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap upgrade apply`.
#[derive(Args, Clone, Debug)]
pub struct UpgradeApplyArgs {
    /// Target version [default: cluster.kubernetes_version, or else the newest that this program knows]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<Version>,
    #[command(flatten)]
    pub node: UpgradeNodeArgs,
}

/// Arguments of `bootstrap upgrade node`.
#[derive(Args, Clone, Debug)]
pub struct UpgradeNodeArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Continue although another control plane or etcd member is unhealthy; version-skew rules still apply
    #[arg(long)]
    pub ignore_preflight: bool,
    /// Time each component has to become healthy before everything is rolled back, e.g. 300s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
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
