//! `bootstrap certs rotate-ca`: one stage of the rotation on one control plane, in its turn.

use std::time::Duration;

use super::error::Error;
use super::node::{NodeRole, refuse_under_way};
use super::turn::{unless_stopped, wait_for_turn};
use crate::bootstrap::api::administrator;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::renewal::end_turn;
use crate::bootstrap::rotation::{Outcome, rotate};
use crate::bootstrap::upgrade::{ControlPlaneChange, Purpose};
use crate::core::bootstrap::rotation::Stage;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{EtcdFiles, Progress};

pub struct RotateOptions<'a> {
    pub etcd_files: &'a dyn EtcdFiles,
    /// How long each component may take to become healthy.
    pub timeout: Duration,
    /// Only report what would be done.
    pub dry_run: bool,
}

/// Fails on a worker.
pub fn needs_control_plane(role: &NodeRole) -> Result<(), Error> {
    if role.control_plane { Ok(()) } else { Err(Error::WorkersFollow) }
}

/// Brings this control plane to a stage.
pub async fn rotate_ca(
    ports: &Ports,
    spec: &Spec,
    stage: Stage,
    options: &RotateOptions<'_>,
    stop: impl Future<Output = ()>,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let RotateOptions { etcd_files, timeout, dry_run } = *options;
    refuse_under_way(ports, Purpose::Version)?;
    let objects = administrator(ports, spec).await?;
    let turn = if dry_run { None } else { wait_for_turn(ports, spec, objects, progress).await? };
    let change = ControlPlaneChange { etcd_files, timeout, dry_run, purpose: Purpose::Settings, turn: turn.clone() };
    let outcome = unless_stopped(stop, rotate(ports, spec, &change, stage, progress)).await;
    if turn.is_some() {
        // The credentials that it was taken with may have been replaced.
        end_turn(administrator(ports, spec).await?.as_ref()).await;
    }
    outcome
}
