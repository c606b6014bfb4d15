//! Keeps the CPU weight of the classes of pods at what their pods request.
//!
//! As upstream's `pkg/kubelet/cm/qos_container_manager_linux.go`: each minute and when the active pods change, so that it
//! holds for pods that an earlier kubelet started, and whatever others write into the cgroups.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::ports::kubelet::Cgroups;

/// How often the weights are looked at when nothing changes.
const PERIOD: Duration = Duration::from_secs(60);
/// Changes within this time are taken together. A pod that is started is weighed by its own worker before.
const TOGETHER: Duration = Duration::from_secs(1);

/// The pods that count, with the resources that are allocated to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Active {
    pub pods: Vec<Arc<Pod>>,
    /// Every source has spoken.
    pub all: bool,
}

/// Runs for as long as there is a table.
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
