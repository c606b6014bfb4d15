//! `bootstrap etcd`: members, health, snapshots, restore and recovery.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::{OutputFormat, SettingsArgs};

/// Subcommands of `bootstrap etcd`.
#[derive(Clone, Debug, Subcommand)]
pub enum EtcdCommand {
    /// List the members of etcd
    Members(EtcdArgs),
    /// Check the health of every member; fails if one is unhealthy
    Health(EtcdArgs),
    /// Write a snapshot and verify its checksum
    Snapshot(SnapshotArgs),
    /// Test that the newest snapshot can be restored: restore it into a separate etcd and read every key
    Drill(DrillArgs),
    /// Replace etcd's data by a snapshot: this node becomes the only member, and the other control planes rejoin
    Restore(RestoreArgs),
    /// Defragment the database of each member in turn and clear the NOSPACE alarm once there is room
    Defragment(DefragmentArgs),
    /// Remove a member that is permanently lost; `bootstrap reset` does so for the node it runs on
    Remove(RemoveArgs),
    /// Recover from lost quorum: make this node's member the only one and keep its data
    Recover(RecoverArgs),
}

/// Arguments of commands that only have to find etcd.
#[derive(Args, Clone, Debug)]
pub struct EtcdArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap etcd snapshot`.
#[derive(Args, Clone, Debug)]
pub struct SnapshotArgs {
    /// File to write [default: a new file in --directory]
    pub file: Option<PathBuf>,
    /// Folder for snapshots [paths.snapshots]
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    pub directory: Option<PathBuf>,
    /// Number of this node's snapshots to keep in the folder; older ones are deleted; 0 keeps all
    #[arg(long, default_value_t = 0, conflicts_with = "file")]
    pub keep: usize,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd defragment`.
#[derive(Args, Clone, Debug)]
pub struct DefragmentArgs {
    /// Compact old revisions first; clients with open watches must re-list
    #[arg(long)]
    pub compact: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd drill`.
#[derive(Args, Clone, Debug)]
pub struct DrillArgs {
    /// The snapshot [default: this node's newest in the folder for snapshots]
    pub file: Option<PathBuf>,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd restore`.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The snapshot to restore
    pub file: PathBuf,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd remove`.
#[derive(Args, Clone, Debug)]
pub struct RemoveArgs {
    /// Name of the member, or its peer URL if it never started
    pub name: String,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd recover`.
#[derive(Args, Clone, Debug)]
pub struct RecoverArgs {
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub etcd: EtcdArgs,
}
