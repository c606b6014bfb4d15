//! Arguments that several commands take.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Format in which a command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document, for programs.
    Json,
}

/// Where a command reads its settings: file, environment and flags.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Settings file (TOML) [default: /etc/roost/cluster.toml, if it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one setting by its name in the file, e.g. --set network.proxy=iptables; can be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Name of this node [node.name]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Address of this node [node.address]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Address under which all nodes reach the API [cluster.endpoint]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub endpoint: Option<String>,
    /// Address range of pods [network.pod_cidr]
    #[arg(long, value_name = "CIDR")]
    pub pod_cidr: Option<String>,
    /// Address range of Services [network.service_cidr]
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

/// A duration such as `300s` or `5m`, at least a second.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(*seconds).filter(|total| *total > 0)
    });
    found.map(Duration::from_secs).ok_or_else(|| format!("invalid time \"{text}\"; write e.g. 300s or 5m"))
}
