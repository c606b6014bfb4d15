//! User and permissions of a container (upstream `security_context.go`, `pkg/securitycontext`).

use std::path::{Component, Path};

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, Pod, PodSecurityContext, SELinuxOptions, SeccompProfile, SecurityContext,
};

use super::error::fail;
use super::namespaces::namespaces;
use super::{Error, ImageUser, NodeContext, PodContext};
use crate::core::model::words::capability;
use crate::core::model::{ContainerId, key_of, uid_of};
use crate::cri;
use crate::cri::security_profile::ProfileType;

const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// A container's security context; the pod's values are the defaults.
pub fn container_security(
    node: &NodeContext,
    ctx: &PodContext<'_>,
    container: &Container,
    image_user: &ImageUser,
    target: Option<&ContainerId>,
) -> Result<cri::LinuxContainerSecurityContext, Error> {
    let empty = SecurityContext::default();
    let own = container.security_context.as_ref().unwrap_or(&empty);
    let of_pod = ctx.pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    let run_as_user = own.run_as_user.or_else(|| of_pod.and_then(|p| p.run_as_user));
    let run_as_group = own.run_as_group.or_else(|| of_pod.and_then(|p| p.run_as_group));
    verify_non_root(ctx.pod, container, of_pod, run_as_user, image_user)?;

    let mut namespace_options = namespaces(ctx);
    if let Some(target) = target.filter(|_| namespace_options.pid == cri::NamespaceMode::Container as i32) {
        namespace_options.pid = cri::NamespaceMode::Target as i32;
        namespace_options.target_id = target.to_string();
    }
    let unmasked = match own.proc_mount.as_deref() {
        None | Some("Default") => false,
        Some("Unmasked") => true,
        Some(other) => return Err(fail!("unsupported procMount: {other:?}")),
    };
    let paths = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    let mut masked = paths(&MASKED_PATHS);
    masked.extend(node.extra_masked_paths.iter().cloned());
    let (apparmor, apparmor_profile) = apparmor(ctx.pod, container)?;
    #[allow(deprecated, reason = "containerd 1.6 reads only the old AppArmor field")]
    Ok(cri::LinuxContainerSecurityContext {
        capabilities: own.capabilities.as_ref().map(capabilities).transpose()?,
        privileged: own.privileged.unwrap_or_default(),
        namespace_options: Some(namespace_options),
        selinux_options: own
            .se_linux_options
            .as_ref()
            .or(of_pod.and_then(|p| p.se_linux_options.as_ref()))
            .map(selinux),
        run_as_user: run_as_user.or(image_user.uid).map(|value| cri::Int64Value { value }),
        run_as_group: run_as_group.map(|value| cri::Int64Value { value }),
        run_as_username: if run_as_user.is_none() { image_user.username.clone() } else { String::new() },
        readonly_rootfs: own.read_only_root_filesystem.unwrap_or_default(),
        supplemental_groups: supplemental_groups(ctx),
        supplemental_groups_policy: groups_policy(of_pod)?,
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: if unmasked { Vec::new() } else { masked },
        readonly_paths: if unmasked { Vec::new() } else { paths(&READONLY_PATHS) },
        seccomp: Some(seccomp(node, own, of_pod)?),
        apparmor,
        apparmor_profile,
        ..cri::LinuxContainerSecurityContext::default()
    })
}

/// The pod's fsGroup and supplemental groups, and groups that persistent volumes require.
pub fn supplemental_groups(ctx: &PodContext<'_>) -> Vec<i64> {
    let context = ctx.pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    let fs_group = context.and_then(|c| c.fs_group);
    let asked = context.and_then(|c| c.supplemental_groups.as_deref()).unwrap_or_default();
    let mut groups: Vec<i64> = fs_group.into_iter().chain(asked.iter().copied()).collect();
    for group in ctx.volumes.values().flat_map(|v| &v.supplemental_groups) {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    groups
}

/// The runtime's value for `supplementalGroupsPolicy`.
pub fn groups_policy(context: Option<&PodSecurityContext>) -> Result<i32, Error> {
    match context.and_then(|c| c.supplemental_groups_policy.as_deref()) {
        None | Some("Merge") => Ok(cri::SupplementalGroupsPolicy::Merge as i32),
        Some("Strict") => Ok(cri::SupplementalGroupsPolicy::Strict as i32),
        Some(other) => Err(fail!("unsupported supplementalGroupsPolicy: {other}")),
    }
}

/// SELinux options in the runtime's format.
pub fn selinux(options: &SELinuxOptions) -> cri::SeLinuxOption {
    cri::SeLinuxOption {
        user: options.user.clone().unwrap_or_default(),
        role: options.role.clone().unwrap_or_default(),
        r#type: options.type_.clone().unwrap_or_default(),
        level: options.level.clone().unwrap_or_default(),
    }
}

fn capabilities(capabilities: &Capabilities) -> Result<cri::Capability, Error> {
    let known = |names: &Option<Vec<String>>| {
        let names = names.iter().flatten().map(|name| capability(name));
        names.collect::<Result<Vec<String>, _>>().map_err(|unknown| fail!("{unknown}"))
    };
    Ok(cri::Capability {
        add_capabilities: known(&capabilities.add)?,
        drop_capabilities: known(&capabilities.drop)?,
        add_ambient_capabilities: Vec::new(),
    })
}

fn verify_non_root(
    pod: &Pod,
    container: &Container,
    of_pod: Option<&PodSecurityContext>,
    run_as_user: Option<i64>,
    image_user: &ImageUser,
) -> Result<(), Error> {
    let own = container.security_context.as_ref().and_then(|c| c.run_as_non_root);
    if own.or_else(|| of_pod.and_then(|p| p.run_as_non_root)) != Some(true) {
        return Ok(());
    }
    let key = key_of(pod);
    let place = format!("(pod: \"{}_{}({})\", container: {})", key.name, key.namespace, uid_of(pod), container.name);
    let name = &image_user.username;
    match (run_as_user, image_user.uid) {
        (Some(0), _) => Err(fail!("container's runAsUser breaks non-root policy {place}")),
        (Some(_), _) => Ok(()),
        (None, Some(0)) => Err(fail!("container has runAsNonRoot and image will run as root {place}")),
        (None, Some(uid)) if !(0..=i64::from(i32::MAX)).contains(&uid) => Err(fail!(
            "container has runAsNonRoot and image has an invalid user id ({uid}). (Must be 1-({})) {place}",
            i32::MAX
        )),
        (None, Some(_)) => Ok(()),
        (None, None) if !name.is_empty() => Err(fail!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {place}"
        )),
        (None, None) => Ok(()),
    }
}

fn profile(kind: ProfileType) -> cri::SecurityProfile {
    cri::SecurityProfile { profile_type: kind as i32, localhost_ref: String::new() }
}

fn seccomp(
    node: &NodeContext,
    own: &SecurityContext,
    of_pod: Option<&PodSecurityContext>,
) -> Result<cri::SecurityProfile, Error> {
    let chosen = own.seccomp_profile.as_ref().or_else(|| of_pod.and_then(|p| p.seccomp_profile.as_ref()));
    let unset = if node.seccomp_default { ProfileType::RuntimeDefault } else { ProfileType::Unconfined };
    match chosen {
        None => Ok(profile(unset)),
        Some(SeccompProfile { type_, .. }) if type_ == "RuntimeDefault" => Ok(profile(ProfileType::RuntimeDefault)),
        Some(SeccompProfile { type_, localhost_profile }) if type_ == "Localhost" => {
            let file = localhost_profile.as_deref().filter(|f| !f.is_empty());
            let file =
                file.ok_or_else(|| fail!("localhostProfile must be set if seccompProfile type is Localhost."))?;
            let file = Path::new(file);
            if !file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
                return Err(fail!("localhostProfile of seccompProfile must be a path below the kubelet's: {file:?}"));
            }
            let path = node.root_dir.join("seccomp").join(file);
            let localhost_ref = path.to_string_lossy().into_owned();
            Ok(cri::SecurityProfile { profile_type: ProfileType::Localhost as i32, localhost_ref })
        }
        Some(SeccompProfile { type_, .. }) if type_ == "Unconfined" => Ok(profile(ProfileType::Unconfined)),
        // Upstream treats any other value as Unconfined and relies on the API server's validation.
        Some(SeccompProfile { type_, .. }) => Err(fail!("unknown seccomp profile type: {type_:?}")),
    }
}

/// The AppArmor profile from the new and the old form: the field wins over the deprecated annotation, which wins over
/// the pod.
fn apparmor(pod: &Pod, container: &Container) -> Result<(Option<cri::SecurityProfile>, String), Error> {
    let own = container.security_context.as_ref().and_then(|c| c.app_armor_profile.clone());
    let of_pod = pod.spec.as_ref().and_then(|s| s.security_context.as_ref()).and_then(|c| c.app_armor_profile.clone());
    let annotation = if own.is_none() { apparmor_annotation(pod, &container.name)? } else { None };
    let Some(chosen) = own.or(annotation).or(of_pod) else {
        return Ok((None, String::new()));
    };
    match chosen.type_.as_str() {
        "RuntimeDefault" => Ok((Some(profile(ProfileType::RuntimeDefault)), "runtime/default".to_owned())),
        "Unconfined" => Ok((Some(profile(ProfileType::Unconfined)), "unconfined".to_owned())),
        "Localhost" => {
            let name = chosen.localhost_profile.ok_or_else(|| fail!("missing localhost apparmor profile name"))?;
            let old = format!("localhost/{name}");
            Ok((Some(cri::SecurityProfile { profile_type: ProfileType::Localhost as i32, localhost_ref: name }), old))
        }
        other => Err(fail!("unknown apparmor profile type: {other:?}")),
    }
}

fn apparmor_annotation(pod: &Pod, container: &str) -> Result<Option<AppArmorProfile>, Error> {
    let key = format!("{APPARMOR_ANNOTATION}{container}");
    let value = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(&key));
    let of_type = |t: &str, name| AppArmorProfile { type_: t.to_owned(), localhost_profile: name };
    Ok(match value.map(String::as_str) {
        None | Some("") => None,
        Some("runtime/default") => Some(of_type("RuntimeDefault", None)),
        Some("unconfined") => Some(of_type("Unconfined", None)),
        Some(other) => {
            let name = other.strip_prefix("localhost/").ok_or_else(|| fail!("unknown apparmor profile: {other:?}"))?;
            Some(of_type("Localhost", Some(name.to_owned())))
        }
    })
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
