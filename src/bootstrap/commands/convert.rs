//! `bootstrap convert`: moves a control plane between static pods and systemd services.

use super::error::Error;
use super::node::{is_control_plane, refuse_under_way};
use super::turn::wait_for_turn;
use crate::bootstrap::api::administrator;
use crate::bootstrap::etcd;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::renewal::end_turn;
use crate::bootstrap::run::{RunOptions, run};
use crate::bootstrap::upgrade::Purpose;
use crate::core::bootstrap::workflow::{TO_SERVICES, TO_STATIC_PODS};
use crate::core::model::spec::{ControlPlaneMode, Spec};
use crate::ports::bootstrap::Progress;

/// Moves this node's control plane to the mode of its settings, one component after another. Returns how many steps were
/// changed (or, in a dry run, would be).
pub async fn convert(
    ports: &Ports,
    spec: &Spec,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    if !is_control_plane(ports, spec)? {
        return Err(Error::NoControlPlane);
    }
    for purpose in Purpose::ALL {
        refuse_under_way(ports, purpose)?;
    }
    // A member that joined others keeps the flags that it joined with.
    let options = RunOptions { joins_etcd: etcd::has_joined(ports, spec)?, ..options.clone() };
    let phases = match spec.cluster.mode {
        ControlPlaneMode::Systemd => TO_SERVICES,
        ControlPlaneMode::StaticPods => TO_STATIC_PODS,
    };
    // Several control planes never move at once, nor while another one loads its certificates.
    let turn = match administrator(ports, spec).await {
        Ok(objects) if !options.dry_run => wait_for_turn(ports, spec, objects, progress).await?,
        Ok(_) | Err(_) => None,
    };
    let outcome = run(phases, spec, ports, &options, &|facts| facts, progress).await;
    if let Some(objects) = turn {
        end_turn(objects.as_ref()).await;
    }
    Ok(outcome?)
}
