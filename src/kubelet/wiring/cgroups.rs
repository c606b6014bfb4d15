//! The cgroups of pods, and reservations for the node's own services.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, warn};

use super::error::Error;
use crate::adapters::cgroups::{CgroupOptions, PodCgroups};
use crate::core::model::cgroup::CgroupSettings;
use crate::core::model::{KubeletSpec, MachineFacts, with_causes};
use crate::core::node::{limits_of_all_pods, limits_of_services};
use crate::ports::kubelet::{CgroupDriver, EventKind, EventTarget, Events, RuntimeInfo};
use crate::telemetry::Metrics;

/// The cgroup driver. The runtime reports it; containerd 1.6 does not, which `kubelet_cri_losing_support` shows.
pub async fn driver(spec: &KubeletSpec, runtime: &dyn RuntimeInfo, metrics: &Metrics) -> CgroupDriver {
    let named = if spec.runtime.cgroup_driver == "systemd" { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
    match runtime.cgroup_driver().await {
        Ok(Some(driver)) => driver,
        Ok(None) => {
            let first = spec.release.runtime_config_from;
            metrics.cri_losing_support.with([first]).set(1.0);
            warn!("the runtime has no RuntimeConfig; using the setting cgroupDriver; v{first} needs a newer runtime");
            named
        }
        Err(_) => named,
    }
}

/// How long to wait for systemd; pods that already run must not wait longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Creates the cgroups of all pods and limits those of services. If systemd does not respond, this continues in the
/// background.
///
/// # Errors
/// A reservation cannot be enforced, so the settings cannot be met.
pub async fn start(
    spec: &Arc<KubeletSpec>,
    driver: CgroupDriver,
    machine: &MachineFacts,
    events: &Arc<dyn Events>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<PodCgroups>, Error> {
    let cgroups = PodCgroups::new(CgroupOptions {
        mount: PathBuf::from("/sys/fs/cgroup"),
        root: spec.runtime.cgroup_root.clone(),
        driver,
        pods: CgroupSettings {
            cpu_cfs_quota: spec.pods.cpu_cfs_quota,
            cpu_period: u64::try_from(spec.pods.cpu_cfs_period.as_micros()).unwrap_or(100_000),
            pod_pids_limit: spec.pods.pids_limit,
        },
        all_pods: limits_of_all_pods(machine, &spec.eviction),
    });
    metrics.cgroup_version.with([]).set(if cgroups.is_v2() { 2.0 } else { 1.0 });
    let cgroups = Arc::new(cgroups.with_metrics(Arc::clone(metrics)));
    let (work, own, events) = (Arc::clone(&cgroups), Arc::clone(spec), Arc::clone(events));
    let mut prepared = tokio::spawn(async move { prepare(&own, &work, &*events).await });
    match timeout(PATIENCE, &mut prepared).await {
        Ok(Ok(prepared)) => prepared?,
        Ok(Err(error)) => return Err(Error::Part { what: "cgroups of pods", source: error.into() }),
        Err(_) => {
            warn!("cgroups were not prepared within {} s; continuing in the background", PATIENCE.as_secs());
            tokio::spawn(async move {
                if let Ok(Err(error)) = prepared.await {
                    error!(error = with_causes(&error), "a reservation is not enforced");
                }
            });
        }
    }
    Ok(cgroups)
}

async fn prepare(spec: &KubeletSpec, cgroups: &PodCgroups, events: &dyn Events) -> Result<(), Error> {
    let tell = |kind, reason: &str, message: String| events.record(EventTarget::Node, kind, reason, message);
    match cgroups.prepare().await {
        Ok(()) => {
            tell(EventKind::Normal, "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods".to_owned())
        }
        // It is retried with the first pod.
        Err(error) => {
            warn!(error = with_causes(&error), "cgroups of pods cannot be prepared");
            let message = format!("Failed to update Node Allocatable Limits {:?}: {error}", spec.runtime.cgroup_root);
            tell(EventKind::Warning, "FailedNodeAllocatableEnforcement", message);
        }
    }
    for (name, limits) in limits_of_services(&spec.eviction) {
        if let Err(error) = cgroups.limit_existing(&name, &limits).await {
            let message = format!("Failed to enforce reserved cgroup limits on {name:?}: {error}");
            tell(EventKind::Warning, "FailedNodeAllocatableEnforcement", message);
            return Err(Error::Part { what: "reservations of enforceNodeAllocatable", source: error.into() });
        }
        tell(EventKind::Normal, "NodeAllocatableEnforced", format!("Updated limits on reserved cgroup {name}"));
    }
    Ok(())
}
