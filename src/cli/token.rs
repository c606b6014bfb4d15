//! `bootstrap token create|list|delete`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::bootstrap::OutputFormat;
use crate::core::bootstrap::token::Token;

/// Arguments of `bootstrap token`.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// Kubeconfig of an administrator
    #[arg(long, env = "KUBECONFIG", default_value = "/etc/kubernetes/admin.conf", global = true)]
    pub kubeconfig: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, default_value_t, global = true)]
    pub output: OutputFormat,
    /// What to do
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What to do with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token with which nodes can join
    Create(CreateArgs),
    /// Show the tokens there are; their secret halves are not shown
    List,
    /// Remove a token, so that nobody can join with it any more
    Delete {
        /// The token, or the six characters before its dot
        token: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// Arguments of `bootstrap token create`.
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    /// The token; a random one when left out
    pub token: Option<Token>,
    /// How long it is valid, e.g. 24h; 0 means for ever [default: 24h, and 2h for a control plane]
    #[arg(long, value_parser = parse_ttl)]
    pub ttl: Option<Duration>,
    /// What it is for, shown by `token list`
    #[arg(long)]
    pub description: Option<String>,
    /// Let one control plane join with it: whoever uses it first gets the cluster's keys
    #[arg(long)]
    pub control_plane: bool,
    /// Print the whole command for the new node instead of the token alone
    #[arg(long)]
    pub print_join_command: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// How long a token lives where nothing else is said: one for workers, and one that gives the keys of the cluster.
const LIFE: Duration = Duration::from_secs(24 * 3600);
const CONTROL_PLANE_LIFE: Duration = Duration::from_secs(2 * 3600);

impl CreateArgs {
    /// How long the token lives; zero for ever.
    pub fn life(&self) -> Duration {
        let usual = if self.control_plane { CONTROL_PLANE_LIFE } else { LIFE };
        self.ttl.unwrap_or(usual)
    }
}

/// A span such as `24h`, `90m` or `1h30m`, as jiff writes it; a bare 0 is none.
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
