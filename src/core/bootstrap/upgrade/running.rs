//! What the manifests on a node run, and the settings that only an upgrade may change: versions.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;

use crate::core::bootstrap::static_pods::{PROGRAM_VOLUME, SCRATCH_IMAGE, VERSION_ANNOTATION};
use crate::core::model::Version;
use crate::core::model::spec::{ClusterSpec, Component, ComponentSource};
use crate::core::yaml;

/// A component, as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Reference of the container's image.
    pub image: String,
    /// The host program that replaces the image's; `None` if there is none.
    pub program: Option<String>,
    /// Its version, from the annotation or the image tag; `None` if neither has one.
    pub version: Option<Version>,
}

/// Parses a manifest; `None` unless it is a Pod with a container.
pub fn parse_running(manifest: &str) -> Option<Running> {
    let value = yaml::parse_document(manifest.as_bytes()).ok()?;
    let pod: Pod = serde_json::from_value(value).ok()?;
    let annotated = pod.metadata.annotations.as_ref().and_then(|all| all.get(VERSION_ANNOTATION)).cloned();
    let spec = pod.spec?;
    let image = spec.containers.first()?.image.clone()?;
    let mut volumes = spec.volumes.iter().flatten();
    let program = volumes.find(|volume| volume.name == PROGRAM_VOLUME).and_then(|volume| volume.host_path.as_ref());
    Some(Running {
        version: annotated.and_then(|text| text.parse().ok()).or_else(|| Version::of_image(&image)),
        program: program.map(|path| path.path.clone()),
        image,
    })
}

/// True when both run the same program.
pub fn runs_the_same(one: &str, other: &str) -> bool {
    let program = |manifest: &str| parse_running(manifest).map(|running| (running.image, running.program));
    program(one).is_some_and(|one| program(other) == Some(one))
}

/// Replaces the versions in the settings by those of the running components. `manifests` are the manifests on the node,
/// by component.
pub fn keep_running(cluster: &mut ClusterSpec, manifests: &[(Component, String)]) {
    for (component, manifest) in manifests {
        let Some(running) = parse_running(manifest) else { continue };
        if *component == Component::ApiServer
            && let Some(version) = running.version
        {
            cluster.set_version(&version.to_string());
        }
        if running.image != SCRATCH_IMAGE {
            cluster.images.insert(component.to_string(), running.image);
        } else if let (ComponentSource::Host { programs }, Some(program)) = (&mut cluster.source, running.program) {
            programs.insert(component.to_string(), PathBuf::from(program));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cluster::{HostDefaults, Layers, derive_spec};
    use crate::core::bootstrap::Facts;
    use crate::core::bootstrap::static_pods::render;
    use crate::core::model::spec::Spec;

    fn spec(settings: &[(&str, &str)]) -> Spec {
        let mut layers = Layers::defaults();
        for (name, value) in settings {
            assert_eq!(layers.add_flag(name, value), []);
        }
        let host = HostDefaults { name: "n1".into(), address: Some([10, 0, 0, 1].into()), program: "/b".into() };
        derive_spec(&layers, &host).unwrap()
    }

    fn manifests(spec: &Spec) -> Vec<(Component, String)> {
        let facts = Facts::at(jiff::Timestamp::UNIX_EPOCH);
        Component::CONTROL_PLANE
            .into_iter()
            .map(|component| (component, render(component, spec, &facts).unwrap()))
            .collect()
    }

    #[test]
    fn renewal_leaves_the_version_that_runs() {
        let before = spec(&[("cluster.kubernetes_version", "v1.35.4")]);
        let mut after = spec(&[("args", "kube-scheduler = { v = \"4\" }")]);
        assert_ne!(before.cluster.images, after.cluster.images);
        keep_running(&mut after.cluster, &manifests(&before));
        assert_eq!(after.cluster.version, "v1.35.4");
        assert_eq!(after.cluster.images, before.cluster.images, "kube-proxy's goes with the version");
        assert!(manifests(&after)[2].1.contains("--v=4"), "other settings hold");
    }

    #[test]
    fn programs_of_the_host_stay_too_and_their_version_is_told() {
        let programs = |folder: &str| Component::REQUIRED.map(|name| format!("{name}={folder}/{name}")).join(",");
        let host = |version: &str, folder: &str| {
            spec(&[
                ("cluster.kubernetes_version", version),
                ("components.source", "host"),
                ("components.binaries", &programs(folder)),
            ])
        };
        let before = host("v1.35.4", "/nix/store/old");
        let running = parse_running(&manifests(&before)[0].1).unwrap();
        assert_eq!(running.version.map(|version| version.to_string()), Some("v1.35.4".to_owned()));
        let mut after = host("v1.36.3", "/nix/store/new");
        keep_running(&mut after.cluster, &manifests(&before));
        assert_eq!(manifests(&after), manifests(&before));
        // A new version at the same path is a new pod.
        let same_path = host("v1.36.3", "/nix/store/old");
        assert_ne!(manifests(&same_path)[0], manifests(&before)[0]);
    }

    #[test]
    fn the_same_program_with_other_flags_is_the_same() {
        let one = spec(&[]);
        let other = spec(&[("args", "kube-scheduler = { v = \"4\" }")]);
        assert_ne!(manifests(&one)[2].1, manifests(&other)[2].1);
        assert!(runs_the_same(&manifests(&one)[2].1, &manifests(&other)[2].1));
        assert!(!runs_the_same(&manifests(&one)[2].1, &manifests(&one)[1].1));
        assert!(!runs_the_same("", ""));
    }
}
