//! A pod's host name and its `/etc/hosts` (upstream `pkg/kubelet/kubelet_pods.go`).

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use super::error::fail;
use super::{Error, NodeContext};
use crate::core::model::key_of;

const LABEL_MAX: usize = 63;

/// Host name and domain of a pod; the domain is empty without `subdomain`.
pub fn hostname_and_domain(pod: &Pod, cluster_domain: &str) -> Result<(String, String), Error> {
    let key = key_of(pod);
    let Some(spec) = &pod.spec else { return Ok((key.name.to_string(), String::new())) };
    if let Some(name) = &spec.hostname_override {
        if !is_subdomain(name) {
            return Err(fail!("pod HostnameOverride {name:?} is not a valid DNS subdomain"));
        }
        return Ok((truncated(&key.name, name)?, String::new()));
    }
    let hostname = match spec.hostname.as_deref().filter(|h| !h.is_empty()) {
        Some(name) if !is_label(name) => return Err(fail!("pod Hostname {name:?} is not a valid DNS label")),
        Some(name) => name,
        None => &key.name,
    };
    let domain = match spec.subdomain.as_deref().filter(|s| !s.is_empty()) {
        Some(name) if !is_label(name) => return Err(fail!("pod Subdomain {name:?} is not a valid DNS label")),
        Some(name) => format!("{name}.{}.svc.{cluster_domain}", key.namespace),
        None => String::new(),
    };
    Ok((truncated(&key.name, hostname)?, domain))
}

/// The name for the kernel: the full name if the pod has `setHostnameAsFQDN`.
pub fn kernel_hostname(pod: &Pod, cluster_domain: &str) -> Result<String, Error> {
    const FQDN_MAX: usize = 64;
    let (hostname, domain) = hostname_and_domain(pod, cluster_domain)?;
    let full = pod.spec.as_ref().and_then(|s| s.set_hostname_as_fqdn).unwrap_or_default();
    if !full || domain.is_empty() {
        return Ok(hostname);
    }
    let fqdn = format!("{hostname}.{domain}");
    if fqdn.len() > FQDN_MAX {
        return Err(fail!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long \
             ({FQDN_MAX} characters is the max, {} characters requested)",
            fqdn.len()
        ));
    }
    Ok(fqdn)
}

/// Content of the pod's `/etc/hosts`; `None` while a pod in the pod network has no address yet.
pub fn etc_hosts(node: &NodeContext, pod: &Pod, pod_ips: &[String]) -> Result<Option<String>, Error> {
    let spec = pod.spec.as_ref();
    let aliases = spec.and_then(|s| s.host_aliases.as_deref()).unwrap_or_default();
    if spec.and_then(|s| s.host_network).unwrap_or_default() {
        let header = "# Kubernetes-managed hosts file (host network).\n";
        return Ok(Some(format!("{header}{}{}", node.node_hosts, alias_lines(aliases))));
    }
    if pod_ips.is_empty() {
        return Ok(None);
    }
    let (hostname, domain) = hostname_and_domain(pod, &node.cluster_domain)?;
    let mut text = String::from(concat!(
        "# Kubernetes-managed hosts file.\n",
        "127.0.0.1\tlocalhost\n",
        "::1\tlocalhost ip6-localhost ip6-loopback\n",
        "fe00::0\tip6-localnet\n",
        "fe00::0\tip6-mcastprefix\n",
        "fe00::1\tip6-allnodes\n",
        "fe00::2\tip6-allrouters\n",
    ));
    for ip in pod_ips {
        text += &match domain.as_str() {
            "" => format!("{ip}\t{hostname}\n"),
            domain => format!("{ip}\t{hostname}.{domain}\t{hostname}\n"),
        };
    }
    Ok(Some(text + &alias_lines(aliases)))
}

fn alias_lines(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let line = |a: &HostAlias| format!("{}\t{}\n", a.ip, a.hostnames.as_deref().unwrap_or_default().join("\t"));
    "\n# Entries added by HostAliases.\n".to_owned() + &aliases.iter().map(line).collect::<String>()
}

fn truncated(pod_name: &str, hostname: &str) -> Result<String, Error> {
    if hostname.len() <= LABEL_MAX {
        return Ok(hostname.to_owned());
    }
    let cut: String = hostname.chars().take(LABEL_MAX).collect();
    match cut.trim_end_matches(['-', '.']) {
        "" => Err(fail!("hostname for pod {pod_name:?} was invalid: {hostname:?}")),
        name => Ok(name.to_owned()),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    text.len() <= LABEL_MAX
        && bytes.iter().all(|b| inner(b) || *b == b'-')
        && bytes.first().is_some_and(inner)
        && bytes.last().is_some_and(inner)
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "web-0", "namespace": "ns"}, "spec": spec}))
            .expect("a pod")
    }

    #[test]
    fn hostname_comes_from_override_then_hostname_then_name() {
        let names = |spec| hostname_and_domain(&pod(spec), "cluster.local");
        let c = serde_json::json!([]);
        assert_eq!(names(serde_json::json!({"containers": c})), Ok(("web-0".into(), String::new())));
        assert_eq!(
            names(serde_json::json!({"containers": c, "hostname": "h", "subdomain": "s"})),
            Ok(("h".into(), "s.ns.svc.cluster.local".into()))
        );
        assert_eq!(
            names(serde_json::json!({"containers": c, "hostnameOverride": "a.b", "hostname": "h", "subdomain": "s"})),
            Ok(("a.b".into(), String::new()))
        );
        assert!(names(serde_json::json!({"containers": c, "hostname": "Bad_"})).is_err());
    }

    #[test]
    fn long_names_are_cut_without_a_trailing_dash() {
        let name = format!("{}-{}", "a".repeat(62), "b".repeat(10));
        assert_eq!(truncated("p", &name), Ok("a".repeat(62)));
    }

    #[test]
    fn a_too_long_full_name_is_an_error() {
        let p = pod(serde_json::json!({"containers": [], "setHostnameAsFQDN": true, "subdomain": "s".repeat(50)}));
        let error = kernel_hostname(&p, "cluster.local").expect_err("too long").to_string();
        assert!(error.contains("is too long (64 characters is the max, 77 characters requested)"), "{error}");
    }

    #[test]
    fn hosts_file_lists_addresses_and_aliases() {
        let node = NodeContext {
            cluster_domain: "cluster.local".into(),
            node_hosts: "127.0.0.1 node\n".into(),
            ..NodeContext::defaults(Path::new("/k"))
        };
        let aliases = serde_json::json!([{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]);
        let p = pod(serde_json::json!({"containers": [], "subdomain": "s", "hostAliases": aliases}));
        let text = etc_hosts(&node, &p, &["10.0.0.1".into()]).expect("renders").expect("has addresses");
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with(
            "10.0.0.1\tweb-0.s.ns.svc.cluster.local\tweb-0\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"
        ));
        assert_eq!(etc_hosts(&node, &p, &[]), Ok(None));
        let host = pod(serde_json::json!({"containers": [], "hostNetwork": true}));
        let text = etc_hosts(&node, &host, &[]).expect("renders").expect("needs no address");
        assert_eq!(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 node\n");
    }
}
