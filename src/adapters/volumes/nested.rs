//! Mount points inside content volumes: containers cannot create them, since the volume is read-only to them.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, VolumeMount};

use crate::core::model::containers_of;

/// Directories inside `volume` that other mounts of a container need, outermost only (upstream
/// `volume/util/nested_volumes.go`).
pub fn nested_mount_points(pod: &Pod, volume: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (_, container) in containers_of(pod) {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        let outers: Vec<&Path> = mounts.iter().filter(|m| m.name == volume).map(path_of).collect();
        if outers.is_empty() {
            continue;
        }
        let mut all: Vec<&Path> = mounts.iter().map(path_of).collect();
        all.sort();
        for outer in outers {
            // Paths inside of another one follow it directly in the order, so only those are examined.
            let mut rest = all.get(all.partition_point(|path| *path <= outer)..).unwrap_or_default();
            while let Some(path) = rest.first()
                && let Ok(inner) = path.strip_prefix(outer)
            {
                found.push(inner.to_path_buf());
                rest = rest.get(rest.partition_point(|deeper| deeper.starts_with(path))..).unwrap_or_default();
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn path_of(mount: &VolumeMount) -> &Path {
    Path::new(mount.mount_path.as_str())
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

    #[test]
    fn thousands_of_mounts_in_and_beside_each_other_are_answered() {
        // Each was compared with all others, and with all that were found before.
        let mount = |path: String| serde_json::json!({"name": "cfg", "mountPath": path});
        let beside = (0..3000).map(|i| mount(format!("/etc/cfg/{i}")));
        let inside = (1..700).map(|depth| mount(format!("/deep{}", "/d".repeat(depth))));
        let mounts: Vec<_> = std::iter::once(mount("/etc/cfg".to_owned())).chain(beside).chain(inside).collect();
        let pod = serde_json::json!({"spec": {"containers": [{"name": "c", "volumeMounts": mounts}]}});
        let found = nested_mount_points(&serde_json::from_value(pod).unwrap(), "cfg");
        assert_eq!(found.len(), 3001, "the folders beside each other, and `d` inside each that is deep");
    }
}
