//! The cluster's settings as they were when this node joined; the node's own settings override them.

use toml::{Table, Value};

use crate::core::model::spec::{ClusterSpec, ProxyMode};

pub fn render_joined(cluster: &ClusterSpec) -> String {
    let text = |value: &str| Value::String(value.to_owned());
    let texts = |values: Vec<String>| Value::Array(values.into_iter().map(Value::String).collect());
    let own = Table::from_iter([
        ("name".to_owned(), text(&cluster.name)),
        ("kubernetes_version".to_owned(), text(&cluster.version)),
        ("endpoint".to_owned(), text(&cluster.endpoint.to_string())),
        ("balancer".to_owned(), text(if cluster.local_balancer { "on" } else { "off" })),
    ]);
    let network = Table::from_iter([
        ("pod_cidr".to_owned(), texts(cluster.pod_subnets.iter().map(ToString::to_string).collect())),
        ("service_cidr".to_owned(), texts(cluster.service_subnets.iter().map(ToString::to_string).collect())),
        ("dns_domain".to_owned(), text(&cluster.dns_domain)),
        ("enabled".to_owned(), Value::Boolean(cluster.network.builtin)),
        ("proxy".to_owned(), text(cluster.network.proxy.map_or("none", ProxyMode::as_str))),
        ("dns".to_owned(), Value::Boolean(cluster.network.dns)),
    ]);
    let security = Table::from_iter([("hardening".to_owned(), Value::Boolean(cluster.hardening))]);
    let mut document = Table::from_iter([
        ("cluster".to_owned(), Value::Table(own)),
        ("network".to_owned(), Value::Table(network)),
        ("security".to_owned(), Value::Table(security)),
    ]);
    if let Some(etcd) = &cluster.external_etcd {
        let path = |path: &std::path::Path| text(&path.display().to_string());
        let external = Table::from_iter([
            ("endpoints".to_owned(), texts(etcd.endpoints.clone())),
            ("ca".to_owned(), path(&etcd.ca)),
            ("certificate".to_owned(), path(&etcd.certificate)),
            ("key".to_owned(), path(&etcd.key)),
        ]);
        document.insert("etcd".to_owned(), Value::Table(external));
    }
    format!(
        "# Written by roost when this node joined its cluster; put your own settings into /etc/roost/cluster.toml.\n{document}"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{HostDefaults, Layers, derive_spec};
    use super::*;

    #[test]
    fn it_reads_back_as_the_cluster_that_was_joined() {
        let host = HostDefaults { name: "n2".into(), address: Some([10, 0, 0, 2].into()), program: "/b".into() };
        let mut layers = Layers::defaults();
        for (name, value) in [
            ("cluster.endpoint", "10.0.0.1:7443"),
            ("network.proxy", "none"),
            ("cluster.balancer", "on"),
            ("network.pod_cidr", ""),
            ("security.hardening", "false"),
            ("etcd.endpoints", "https://10.0.0.9:2379"),
            ("etcd.ca", "/etc/own/ca.crt"),
            ("etcd.certificate", "/etc/own/client.crt"),
            ("etcd.key", "/etc/own/client.key"),
        ] {
            assert_eq!(layers.add_flag(name, value), []);
        }
        let cluster = derive_spec(&layers, &host).unwrap().cluster;
        let mut layers = Layers::defaults();
        assert_eq!(layers.add_file(Path::new("joined.toml"), &render_joined(&cluster)), []);
        assert_eq!(derive_spec(&layers, &host).unwrap().cluster, cluster);
    }
}
