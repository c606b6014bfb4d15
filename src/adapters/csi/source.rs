//! What is known of a driver's volume before the driver is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::core::status::Growth;

/// A volume of a driver, from a pod or from a persistent volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CsiSource {
    /// Name of the persistent volume, or of the pod's volume.
    pub name: String,
    /// Driver.
    pub driver: String,
    /// The volume's id in the driver; empty for an inline volume, which gets one from pod and name.
    pub handle: String,
    /// Written in the pod itself: lives as long as the pod.
    pub inline: bool,
    /// Containers get it as a device, not as a file system.
    pub block: bool,
    /// Containers must not write.
    pub read_only: bool,
    /// File system; empty for the driver's choice.
    pub fs_type: String,
    /// Access modes of the persistent volume, e.g. `ReadWriteOnce`; the first one is the driver's.
    pub access_modes: Vec<String>,
    /// Attributes for the driver.
    pub attributes: BTreeMap<String, String>,
    /// Options for mounting.
    pub mount_options: Vec<String>,
    /// Namespace and name of the secret for publishing.
    pub publish_secret: Option<(String, String)>,
    /// Namespace and name of the secret for staging.
    pub stage_secret: Option<(String, String)>,
    /// Namespace and name of the secret for growing.
    pub grow_secret: Option<(String, String)>,
    /// The claim, and the size that this node may have to grow the volume to.
    pub growing: Option<(Arc<PersistentVolumeClaim>, Growth)>,
}
