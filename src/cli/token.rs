//! `bootstrap token create|list|delete`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::OutputFormat;
use crate::core::bootstrap::token::Token;

/// Arguments of `bootstrap token`.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// Kubeconfig of an administrator
    #[arg(
        long,
        env = "KUBECONFIG",
        hide_env_values = true,
        default_value = "/etc/kubernetes/admin.conf",
        global = true
    )]
    pub kubeconfig: PathBuf,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, global = true)]
    pub output: OutputFormat,
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// Subcommands of `bootstrap token`.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token
    Create(CreateArgs),
    /// List the tokens without their secret halves
    List,
    /// Delete a token, so that nobody can join with it any more
    Delete {
        /// The token or its ID, which is the six characters before the dot
        token: String,
        /// Print what would be done and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Arguments of `bootstrap token create`.
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    /// The token [default: a random one]
    pub token: Option<Token>,
    /// Lifetime, e.g. 24h; 0 means that it does not expire [default: 24h; with --control-plane 2h]
    #[arg(long, value_parser = parse_ttl)]
    pub ttl: Option<Duration>,
    /// Description, shown by `token list`
    #[arg(long)]
    pub description: Option<String>,
    /// Allow one control plane to join with it: the first to use it gets the keys of the cluster's CAs
    #[arg(long)]
    pub control_plane: bool,
    /// Print the whole `bootstrap join` command for the new node instead of the token
    #[arg(long)]
    pub print_join_command: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Default lifetimes: of a token for workers, and of one that gives access to the cluster's keys.
const LIFE: Duration = Duration::from_secs(24 * 3600);
const CONTROL_PLANE_LIFE: Duration = Duration::from_secs(2 * 3600);

impl CreateArgs {
    /// Lifetime of the token; zero if it never expires.
    pub fn life(&self) -> Duration {
        let usual = if self.control_plane { CONTROL_PLANE_LIFE } else { LIFE };
        self.ttl.unwrap_or(usual)
    }
}

/// Parses a duration such as `24h`, `90m` or `1h30m` in jiff's notation; a bare 0 is zero.
fn parse_ttl(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(span).map_err(|_| "a lifetime cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_written_as_in_kubeadm() {
        assert_eq!(parse_ttl("24h"), Ok(Duration::from_secs(86400)));
        assert_eq!(parse_ttl("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_ttl("0"), Ok(Duration::ZERO));
        assert!(parse_ttl("-1h").is_err());
        assert!(parse_ttl("soon").is_err());
    }
}
