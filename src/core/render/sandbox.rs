//! From a pod to the runtime configuration of its sandbox (upstream `kuberuntime_sandbox.go`).

use std::collections::BTreeSet;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{ContainerPort, Pod};

use super::annotations::{sandbox_annotations, sandbox_labels};
use super::error::fail;
use super::hosts::kernel_hostname;
use super::namespaces::{namespaces, network_mode};
use super::resources::{overhead_resources, sandbox_resources};
use super::security::{groups_policy, selinux, supplemental_groups};
use super::{Error, NodeContext, PodContext, Warning, dns};
use crate::core::model::{key_of, uid_of};
use crate::cri;

/// A sandbox configuration, and warnings for users.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Configuration for the runtime.
    pub config: cri::PodSandboxConfig,
    /// Messages for events of type Warning on the pod.
    pub warnings: Vec<Warning>,
}

/// The configuration of a pod's `attempt`-th sandbox. It is also passed when a container is created.
pub fn sandbox(node: &NodeContext, ctx: &PodContext<'_>, attempt: u32) -> Result<Sandbox, Error> {
    let pod = ctx.pod;
    let key = key_of(pod);
    let (dns_config, warnings) = dns::pod_dns(node, pod);
    let hostname = match network_mode(pod) {
        cri::NamespaceMode::Node => String::new(),
        _ => kernel_hostname(pod, &node.cluster_domain)?,
    };
    let config = cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: key.name.to_string(),
            uid: uid_of(pod).to_string(),
            namespace: key.namespace.to_string(),
            attempt,
        }),
        hostname,
        log_directory: log_directory(node, pod)?.to_string_lossy().into_owned(),
        dns_config: Some(dns_config),
        port_mappings: port_mappings(pod),
        labels: sandbox_labels(pod),
        annotations: sandbox_annotations(pod),
        linux: Some(linux(node, ctx)?),
        windows: None,
    };
    Ok(Sandbox { config, warnings })
}

/// The pod's log directory: `<logs>/<namespace>_<name>_<uid>`. No API server accepts a slash in any of the three; with
/// one the runtime would create a directory elsewhere.
pub fn log_directory(node: &NodeContext, pod: &Pod) -> Result<PathBuf, Error> {
    let key = key_of(pod);
    let folder = format!("{}_{}_{}", key.namespace, key.name, uid_of(pod));
    if folder.contains('/') {
        return Err(fail!("{folder:?} is not a valid name for a pod log folder"));
    }
    Ok(node.pod_logs_dir.join(folder))
}

fn linux(node: &NodeContext, ctx: &PodContext<'_>) -> Result<cri::LinuxPodSandboxConfig, Error> {
    let spec = ctx.pod.spec.as_ref();
    let context = spec.and_then(|s| s.security_context.as_ref());
    let containers = spec.into_iter().flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()));
    let privileged = containers.filter_map(|c| c.security_context.as_ref()).any(|c| c.privileged == Some(true));
    let value = |value| cri::Int64Value { value };
    let security_context = cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(ctx)),
        selinux_options: context.and_then(|c| c.se_linux_options.as_ref()).map(selinux),
        run_as_user: context.and_then(|c| c.run_as_user).map(value),
        run_as_group: context.and_then(|c| c.run_as_group).map(value),
        supplemental_groups: supplemental_groups(ctx),
        supplemental_groups_policy: groups_policy(context)?,
        privileged,
        // The sandbox itself always uses the runtime's profile, whatever its containers use.
        seccomp: Some(cri::SecurityProfile::default()),
        ..cri::LinuxSandboxSecurityContext::default()
    };
    let sysctls = context.and_then(|c| c.sysctls.as_deref()).unwrap_or_default();
    Ok(cri::LinuxPodSandboxConfig {
        cgroup_parent: ctx.cgroup_parent.to_owned(),
        security_context: Some(security_context),
        sysctls: sysctls.iter().map(|s| (s.name.replace('/', "."), s.value.clone())).collect(),
        overhead: Some(overhead_resources(node, ctx.pod)),
        resources: Some(sandbox_resources(node, ctx.pod)),
    })
}

/// Ports of all containers, without duplicates in a container; only those with a host port have an effect.
fn port_mappings(pod: &Pod) -> Vec<cri::PortMapping> {
    let containers = pod.spec.iter().flat_map(|s| &s.containers);
    containers.flat_map(|c| container_ports(c.ports.as_deref().unwrap_or_default())).collect()
}

fn container_ports(ports: &[ContainerPort]) -> Vec<cri::PortMapping> {
    let mut seen = BTreeSet::new();
    let unique = ports.iter().filter(|p| {
        let name = p.name.clone().unwrap_or_default();
        let identity = if name.is_empty() {
            format!("{:?}-{:?}-{}-{:?}", p.protocol, p.host_ip, p.container_port, p.host_port)
        } else {
            name
        };
        seen.insert(identity)
    });
    unique
        .map(|p| cri::PortMapping {
            protocol: match p.protocol.as_deref() {
                Some("UDP") => cri::Protocol::Udp,
                Some("SCTP") => cri::Protocol::Sctp,
                _ => cri::Protocol::Tcp,
            } as i32,
            container_port: p.container_port,
            host_port: p.host_port.unwrap_or_default(),
            host_ip: p.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_folder_of_logs_is_below_that_of_all_logs() {
        let node = NodeContext::defaults(Path::new("/k"));
        let folder = |namespace: &str, name: &str, uid: &str| {
            let meta = serde_json::json!({"namespace": namespace, "name": name, "uid": uid});
            let pod: Pod = serde_json::from_value(serde_json::json!({"metadata": meta})).expect("a pod");
            log_directory(&node, &pod).ok()
        };
        assert_eq!(folder("n", "web", "u"), Some("/var/log/pods/n_web_u".into()));
        // Found by fuzzing: joining an absolute path replaces the path it is joined to.
        for (namespace, name, uid) in [("/etc", "web", "u"), ("n", "a/../../b", "u"), ("n", "web", "/../../../etc/x")] {
            assert_eq!(folder(namespace, name, uid), None);
        }
    }
}
