//! `bootstrap apply`: brings a node to what its settings say.

use std::time::Duration;

use super::error::Error;
use super::node::is_control_plane;
use super::turn::{unless_stopped, wait_for_turn};
use crate::bootstrap::api::administrator;
use crate::bootstrap::apply_settings::{apply_control_plane, apply_worker};
use crate::bootstrap::ports::Ports;
use crate::bootstrap::renewal::end_turn;
use crate::bootstrap::upgrade::{ControlPlaneChange, Purpose};
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{EtcdFiles, Progress};

pub struct ApplyOptions<'a> {
    pub etcd_files: &'a dyn EtcdFiles,
    /// How long each component may take to become healthy.
    pub timeout: Duration,
    /// Only report what would be done.
    pub dry_run: bool,
    /// Also write what the cluster shares.
    pub shared: bool,
}

/// Brings this node to its settings, a control plane in its turn. Returns how many steps were changed (or, in a dry run,
/// would be).
pub async fn apply(
    ports: &Ports,
    spec: &Spec,
    options: &ApplyOptions<'_>,
    stop: impl Future<Output = ()>,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    let ApplyOptions { etcd_files, timeout, dry_run, shared } = *options;
    if !is_control_plane(ports, spec)? {
        return Ok(apply_worker(ports, spec, dry_run, progress).await?);
    }
    let turn = match administrator(ports, spec).await {
        Ok(objects) if !dry_run => wait_for_turn(ports, spec, objects, progress).await?,
        Ok(_) | Err(_) => None,
    };
    let change = ControlPlaneChange { etcd_files, timeout, dry_run, purpose: Purpose::Settings, turn: turn.clone() };
    let outcome = unless_stopped(stop, apply_control_plane(ports, spec, &change, shared, progress)).await;
    if let Some(turn) = turn {
        end_turn(turn.as_ref()).await;
    }
    if !shared {
        progress
            .step_says("Objects that the cluster shares are written on the first control plane, or with --cluster.");
    }
    outcome
}
