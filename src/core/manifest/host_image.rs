//! Containers without an image: `host:/path/to/static-binary` and `nix:0/nix/store/…`.
//!
//! Such a container runs on the empty scratch image, with the program (or the whole Nix store) mounted read-only at the
//! same path. The resulting pod is plain: a hostPath volume, a mount and a command.

use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, HostPathVolumeSource, Pod, Volume, VolumeMount};

use super::Finding;

/// The empty image; `bootstrap` builds it on the node.
pub const SCRATCH_IMAGE: &str = "localhost/roost/scratch:1";

const NIX_STORE: &str = "/nix/store";
const NIX_VOLUME: &str = "nix-store";

/// The program that an image name refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostImage<'a> {
    /// Path of one static binary.
    Binary(&'a str),
    /// A path in the Nix store, used with its closure.
    Nix(&'a str),
}

fn parse(image: &str) -> Option<HostImage<'_>> {
    image.strip_prefix("host:").map(HostImage::Binary).or_else(|| image.strip_prefix("nix:0").map(HostImage::Nix))
}

impl HostImage<'_> {
    fn path(&self) -> &Path {
        let (Self::Binary(path) | Self::Nix(path)) = self;
        Path::new(path)
    }
}

fn host_images(pod: &Pod) -> impl Iterator<Item = HostImage<'_>> {
    let spec = pod.spec.iter();
    let containers = spec.flat_map(|s| s.init_containers.iter().flatten().chain(&s.containers));
    containers.filter_map(|c| parse(c.image.as_deref()?))
}

/// True if any container uses a host program instead of an image.
pub fn uses_host_images(pod: &Pod) -> bool {
    host_images(pod).next().is_some()
}

/// Replaces host programs in a pod of the API, if all of them are below the folders that the node allows; otherwise the
/// pod is unchanged, and its images are invalid image names. `None` if nothing is replaced.
pub fn expand_allowed(pod: &Pod, folders: &[PathBuf]) -> Option<Pod> {
    let allowed = |image: HostImage<'_>| folders.iter().any(|folder| image.path().starts_with(folder));
    if folders.is_empty() || !uses_host_images(pod) || !host_images(pod).all(allowed) {
        return None;
    }
    let mut expanded = pod.clone();
    expand_host_images(&mut expanded).ok().map(|()| expanded)
}

/// True if an image name refers to a host program.
pub fn is_host_image(image: &str) -> bool {
    parse(image).is_some()
}

/// Replaces host programs by the scratch image and read-only mounts.
///
/// # Errors
/// A finding for each path that is not absolute and normalized, or not in the Nix store.
pub fn expand_host_images(pod: &mut Pod) -> Result<(), Vec<Finding>> {
    let Some(spec) = &mut pod.spec else { return Ok(()) };
    let mut findings = Vec::new();
    let mut volumes: Vec<Volume> = Vec::new();
    let init =
        spec.init_containers.iter_mut().flatten().enumerate().map(|(i, c)| (format!("spec.initContainers[{i}]"), c));
    let regular = spec.containers.iter_mut().enumerate().map(|(i, c)| (format!("spec.containers[{i}]"), c));
    for (field, container) in init.chain(regular) {
        match expand(container) {
            Ok(Some(volume)) if volumes.iter().all(|v| v.name != volume.name) => volumes.push(volume),
            Ok(_) => {}
            Err(message) => findings.push(Finding::of(format!("{field}.image"), message)),
        }
    }
    let have = spec.volumes.get_or_insert_default();
    for volume in volumes {
        if have.iter().any(|v| v.name == volume.name) {
            findings.push(Finding::of(
                "spec.volumes",
                format!("the name {} is taken by a program of the host", volume.name),
            ));
        }
        have.push(volume);
    }
    if have.is_empty() {
        spec.volumes = None;
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

/// The volume for the container, if it uses a host program.
fn expand(container: &mut Container) -> Result<Option<Volume>, String> {
    let image = container.image.clone().unwrap_or_default();
    let (name, source, kind, program) = match parse(&image) {
        None => return Ok(None),
        Some(HostImage::Binary(path)) => {
            plain_absolute(path)?;
            (format!("program-{}", container.name), path, "File", Some(path.to_owned()))
        }
        Some(HostImage::Nix(path)) => {
            plain_absolute(path)?;
            let inside = path.strip_prefix(NIX_STORE).and_then(|rest| rest.strip_prefix('/'));
            let Some(inside) = inside.filter(|inside| !inside.is_empty()) else {
                return Err(format!("{path} is not a path in {NIX_STORE}"));
            };
            // A store path may be a program, or a folder whose program `command` names.
            let program = inside.contains('/').then(|| path.to_owned());
            (NIX_VOLUME.to_owned(), NIX_STORE, "Directory", program)
        }
    };
    if container.command.as_ref().is_none_or(Vec::is_empty) {
        let program = program.ok_or_else(|| format!("{image} is a folder: name its program in command"))?;
        container.command = Some(vec![program]);
    }
    container.image = Some(SCRATCH_IMAGE.to_owned());
    container.image_pull_policy = Some("Never".to_owned());
    container.volume_mounts.get_or_insert_default().push(VolumeMount {
        name: name.clone(),
        mount_path: source.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    let host_path = HostPathVolumeSource { path: source.to_owned(), type_: Some(kind.to_owned()) };
    Ok(Some(Volume { name, host_path: Some(host_path), ..Volume::default() }))
}

fn plain_absolute(path: &str) -> Result<(), String> {
    let parts = Path::new(path).components();
    let plain = parts.clone().count() > 1 && parts.skip(1).all(|part| matches!(part, Component::Normal(_)));
    if path.starts_with('/') && plain && !path.contains("/./") {
        Ok(())
    } else {
        Err(format!("{path:?} has to be an absolute path without `.` or `..`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(image: &str, command: &[&str]) -> Pod {
        serde_json::from_value(serde_json::json!({
            "spec": { "containers": [{ "name": "main", "image": image, "command": command }] }
        }))
        .expect("a pod")
    }

    fn expanded(image: &str, command: &[&str]) -> Result<Pod, String> {
        let mut pod = pod(image, command);
        expand_host_images(&mut pod).map_err(|f| f.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        Ok(pod)
    }

    #[test]
    fn pods_of_the_api_run_what_the_node_allows() {
        let allow = |image: &str, folders: &[&str]| {
            let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
            expand_allowed(&pod(image, &["/x"]), &folders).is_some()
        };
        assert!(allow("nix:0/nix/store/abc-etcd", &["/nix/store"]));
        assert!(allow("host:/opt/tools/run", &["/nix/store", "/opt/tools"]));
        assert!(!allow("host:/opt/tools/run", &[]));
        assert!(!allow("host:/opt/toolshed/run", &["/opt/tools"]));
        assert!(!allow("host:/opt/tools/../run", &["/opt/tools"]));
        assert!(!allow("r.io/image:1", &["/"]));
        let mut mixed = pod("host:/opt/tools/run", &["/x"]);
        let other = pod("host:/etc/run", &["/x"]).spec.unwrap().containers;
        mixed.spec.as_mut().unwrap().init_containers = Some(other);
        assert_eq!(expand_allowed(&mixed, &["/opt/tools".into()]), None);
    }

    #[test]
    fn runs_a_binary_of_the_host_on_the_scratch_image() {
        let pod = expanded("host:/usr/bin/etcd", &[]).expect("expanded");
        let spec = pod.spec.expect("spec");
        let container = &spec.containers[0];
        assert_eq!(container.image.as_deref(), Some(SCRATCH_IMAGE));
        assert_eq!(container.command.as_deref(), Some(&["/usr/bin/etcd".to_owned()][..]));
        let mount = &container.volume_mounts.as_ref().expect("mounts")[0];
        assert_eq!((mount.mount_path.as_str(), mount.read_only), ("/usr/bin/etcd", Some(true)));
        let volume = &spec.volumes.expect("volumes")[0];
        assert_eq!(volume.host_path.as_ref().and_then(|h| h.type_.as_deref()), Some("File"));
    }

    #[test]
    fn mounts_the_store_for_a_store_path_and_keeps_the_command() {
        let pod = expanded("nix:0/nix/store/abc-etcd", &["/nix/store/abc-etcd/bin/etcd", "--x"]).expect("expanded");
        let spec = pod.spec.expect("spec");
        assert_eq!(spec.containers[0].command.as_ref().map(Vec::len), Some(2));
        assert_eq!(spec.containers[0].volume_mounts.as_ref().expect("mounts")[0].mount_path, NIX_STORE);
    }

    #[test]
    fn takes_the_program_from_a_path_below_a_store_path() {
        let pod = expanded("nix:0/nix/store/abc-etcd/bin/etcd", &[]).expect("expanded");
        let command = pod.spec.expect("spec").containers[0].command.clone();
        assert_eq!(command, Some(vec!["/nix/store/abc-etcd/bin/etcd".to_owned()]));
    }

    #[test]
    fn leaves_images_alone() {
        let pod = expanded("registry.k8s.io/pause:3.10.2", &[]).expect("expanded");
        assert_eq!(pod.spec.as_ref().and_then(|s| s.volumes.as_ref()), None);
        assert!(!uses_host_images(&pod));
    }

    #[test]
    fn refuses_paths_that_lead_elsewhere() {
        for image in [
            "host:etcd",
            "host:/usr/../etc/shadow",
            "host:/",
            "nix:0/nix/storeroom/x",
            "nix:0/nix/store/../x",
            "nix:0/etc",
        ] {
            let error = expanded(image, &["x"]).expect_err(image);
            assert!(error.contains("spec.containers[0].image"), "{error}");
        }
        let error = expanded("nix:0/nix/store/abc-etcd", &[]).expect_err("a folder");
        assert!(error.contains("name its program in command"), "{error}");
    }
}
