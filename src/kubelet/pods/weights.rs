//! Sets the CPU weight of the pod classes to the requests of their pods.
//!
//! As upstream's `pkg/kubelet/cm/qos_container_manager_linux.go`: every minute and when the active pods change, so that
//! it is correct for pods of an earlier kubelet, and whatever others write into the cgroups.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::ports::kubelet::Cgroups;

/// Interval of setting the weights if nothing changes.
const PERIOD: Duration = Duration::from_secs(60);
/// Changes within this time are combined. The worker of a starting pod sets the weight before.
const TOGETHER: Duration = Duration::from_secs(1);

/// The pods that count, with their allocated resources.
#[derive(Clone, Debug, Default)]
pub(super) struct Active {
    pub pods: Vec<Arc<Pod>>,
    /// True if every source has reported.
    pub all: bool,
}

/// Runs as long as the table exists.
pub(super) async fn run(cgroups: Arc<dyn Cgroups>, active: &mut watch::Receiver<Active>) {
    loop {
        let now = active.borrow_and_update().clone();
        cgroups.weigh(&now.pods, now.all).await;
        sleep(TOGETHER).await;
        if let Ok(Err(_)) = timeout(PERIOD, active.changed()).await {
            return;
        }
    }
}
