//! Mount points inside content volumes: containers cannot make them there, since the volume is read-only to them.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::core::model::containers_of;

/// Directories inside `volume` that other mounts of a container need, outermost only (upstream
/// `volume/util/nested_volumes.go`).
pub fn nested_mount_points(pod: &Pod, volume: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (_, container) in containers_of(pod) {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        let mut all: Vec<&Path> = mounts.iter().map(|m| Path::new(m.mount_path.as_str())).collect();
        all.sort();
        for outer in mounts.iter().filter(|m| m.name == volume).map(|m| Path::new(m.mount_path.as_str())) {
            let mut taken: Vec<&Path> = Vec::new();
            for inner in all.iter().filter_map(|p| p.strip_prefix(outer).ok()).filter(|p| !p.as_os_str().is_empty()) {
                if !taken.iter().any(|t| inner.starts_with(t)) {
                    taken.push(inner);
                }
            }
            found.extend(taken.into_iter().map(Path::to_path_buf));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_nested_mounts_need_a_directory() {
        let mount = |name: &str, path: &str| serde_json::json!({"name": name, "mountPath": path});
        let mounts = [
            mount("cfg", "/etc/cfg"),
            mount("a", "/etc/cfg/a/b"),
            mount("b", "/etc/cfg/a/b/c"),
            mount("c", "/etc/cfg-other"),
            mount("d", "/etc/cfg/a-b"),
        ];
        let pod: Pod = serde_json::from_value(
            serde_json::json!({"spec": {"containers": [{"name": "c", "volumeMounts": mounts}]}}),
        )
        .unwrap();
        assert_eq!(nested_mount_points(&pod, "cfg"), [Path::new("a/b"), Path::new("a-b")]);
        assert!(nested_mount_points(&pod, "a").contains(&PathBuf::from("c")));
    }
}
