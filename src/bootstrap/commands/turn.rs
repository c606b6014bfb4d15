//! Turns among the control planes, and signals to stop.

use std::sync::Arc;

use super::error::Error;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::renewal::{Turn, take_turn};
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::{ClusterObjects, Progress};

/// Waits for this node's turn among the control planes. Returns the objects by which it is held; `None` if the API does
/// not answer, and there are no turns.
pub async fn wait_for_turn(
    ports: &Ports,
    spec: &Spec,
    objects: Arc<dyn ClusterObjects>,
    progress: &dyn Progress,
) -> Result<Option<Arc<dyn ClusterObjects>>, Error> {
    match take_turn(objects.as_ref(), &spec.node.name, ports.now, progress).await {
        Turn::Taken => Ok(Some(objects)),
        Turn::NoApi => Ok(None),
        Turn::NeverCame => Err(Error::Busy),
    }
}

/// Works until it is done or `stop` completes. Work that is stopped is dropped where it is; the same command continues.
pub async fn unless_stopped<T, E: Into<Error>>(
    stop: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    tokio::select! {
        outcome = work => outcome.map_err(Into::into),
        () = stop => Err(Error::Interrupted),
    }
}
