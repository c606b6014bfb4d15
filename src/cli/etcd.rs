//! `bootstrap etcd`: members, health, snapshots, and the ways back after a loss.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::bootstrap::{OutputFormat, SettingsArgs};

/// What to do with etcd.
#[derive(Clone, Debug, Subcommand)]
pub enum EtcdCommand {
    /// Show the members
    Members(EtcdArgs),
    /// Ask every member how it does; fails when one is not well
    Health(EtcdArgs),
    /// Write a snapshot and check it
    Snapshot(SnapshotArgs),
    /// Show that the newest snapshot would bring the cluster back: restore it into an etcd of its own and read all of it
    Drill(DrillArgs),
    /// Replace etcd's data on this node by a snapshot: a cluster of one, which the other control planes join again
    Restore(RestoreArgs),
    /// Give unused space of the database back, one member at a time, and let writes in again where it was full
    Defragment(DefragmentArgs),
    /// Remove a member that is lost for good; `bootstrap reset` does that for the node it runs on
    Remove(RemoveArgs),
    /// Make this node's member a cluster of one with all its data, when most members are lost for good
    Recover(RecoverArgs),
}

/// Arguments of commands that only need to find etcd.
#[derive(Args, Clone, Debug)]
pub struct EtcdArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Arguments of `bootstrap etcd snapshot`.
#[derive(Args, Clone, Debug)]
pub struct SnapshotArgs {
    /// Where to write it; a name of its own in --directory when left out
    pub file: Option<PathBuf>,
    /// Folder of snapshots [etcd.snapshots]
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    pub directory: Option<PathBuf>,
    /// Remove all but so many of this node's snapshots in the folder; 0 keeps all
    #[arg(long, default_value_t = 0, conflicts_with = "file")]
    pub keep: usize,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Etcd
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd defragment`.
#[derive(Args, Clone, Debug)]
pub struct DefragmentArgs {
    /// First forget what keys were in former times; whoever watches from then on has to list anew
    #[arg(long)]
    pub compact: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Etcd
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd drill`.
#[derive(Args, Clone, Debug)]
pub struct DrillArgs {
    /// The snapshot; this node's newest in the folder of snapshots when left out
    pub file: Option<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Etcd
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd restore`.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The snapshot
    pub file: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Etcd
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd remove`.
#[derive(Args, Clone, Debug)]
pub struct RemoveArgs {
    /// Name of the member; its peer URL when it never started
    pub name: String,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Etcd
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Arguments of `bootstrap etcd recover`.
#[derive(Args, Clone, Debug)]
pub struct RecoverArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Etcd
    #[command(flatten)]
    pub etcd: EtcdArgs,
}
