//! Directories of drivers' volumes; see [`super::place`].

use std::path::{Path, PathBuf};

/// The plugin's name in directories of pods.
pub const PLUGIN: &str = "kubernetes.io~csi";
pub const PLUGINS: &str = "plugins/kubernetes.io/csi";
pub const DEVICES: &str = "plugins/kubernetes.io/csi/volumeDevices";

/// Directory of the record for the volume at `of_pod`.
pub fn record_of(root: &Path, of_pod: &Path, block: bool) -> PathBuf {
    match block {
        true => root.join(DEVICES).join(of_pod.file_name().unwrap_or_default()).join("data"),
        false => of_pod.to_path_buf(),
    }
}
