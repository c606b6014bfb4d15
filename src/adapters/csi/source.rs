//! The description of a driver's volume, before the driver is called.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::core::status::Growth;

/// A volume of a driver, from a pod or a persistent volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CsiSource {
    /// Name of the persistent volume, or of the pod's volume.
    pub name: String,
    /// Name of the storage driver.
    pub driver: String,
    /// The volume's id in the driver; empty for an inline volume, which gets one from pod and name.
    pub handle: String,
    /// True for an inline volume, whose lifetime is the pod's.
    pub inline: bool,
    /// True if containers get it as a device instead of a file system.
    pub block: bool,
    /// True if containers must not write to it.
    pub read_only: bool,
    /// File system type; empty for the driver's choice.
    pub fs_type: String,
    /// Access modes of the persistent volume, e.g. `ReadWriteOnce`; the driver gets the first one.
    pub access_modes: Vec<String>,
    /// Attributes for the driver.
    pub attributes: BTreeMap<String, String>,
    pub mount_options: Vec<String>,
    /// Namespace and name of the secret for publishing.
    pub publish_secret: Option<(String, String)>,
    /// Namespace and name of the secret for staging.
    pub stage_secret: Option<(String, String)>,
    /// Namespace and name of the secret for growing.
    pub grow_secret: Option<(String, String)>,
    /// The claim, and the size to which this node may have to grow the volume.
    pub growing: Option<(Arc<PersistentVolumeClaim>, Growth)>,
}
