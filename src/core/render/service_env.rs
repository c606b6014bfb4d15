//! Environment variables for the cluster's Services (upstream `pkg/kubelet/envvars`).

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;

/// Variables for a pod of `namespace`: Services of its namespace if it has service links, and `default/kubernetes`
/// always.
pub fn service_variables(services: &[Arc<Service>], namespace: &str, links: bool) -> BTreeMap<String, String> {
    let name = |s: &Service| s.metadata.name.clone().unwrap_or_default();
    let space = |s: &Service| s.metadata.namespace.clone().unwrap_or_default();
    let usable = |s: &&Arc<Service>| cluster_ip(s).is_some();
    let mut chosen: BTreeMap<String, &Service> = BTreeMap::new();
    let api_server = services.iter().filter(usable).find(|s| space(s) == "default" && name(s) == "kubernetes");
    let own = services.iter().filter(usable).filter(|s| links && space(s) == namespace);
    for service in api_server.into_iter().chain(own) {
        chosen.insert(name(service), service);
    }
    let mut variables = BTreeMap::new();
    for (name, service) in chosen {
        add(&mut variables, &name, service);
    }
    variables
}

fn cluster_ip(service: &Service) -> Option<&str> {
    let ip = service.spec.as_ref()?.cluster_ip.as_deref()?;
    (!ip.is_empty() && ip != "None").then_some(ip)
}

fn add(variables: &mut BTreeMap<String, String>, name: &str, service: &Service) {
    let Some(ip) = cluster_ip(service) else { return };
    let ports = service.spec.as_ref().and_then(|s| s.ports.as_deref()).unwrap_or_default();
    let prefix = variable_name(name);
    let mut set = |name: String, value: String| _ = variables.insert(name, value);
    set(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
    let host = if ip.parse::<Ipv6Addr>().is_ok() { format!("[{ip}]") } else { ip.to_owned() };
    for (i, port) in ports.iter().enumerate() {
        let number = port.port;
        let protocol = port.protocol.as_deref().filter(|p| !p.is_empty()).unwrap_or("TCP");
        let (lower, upper) = (protocol.to_lowercase(), protocol.to_uppercase());
        let url = format!("{lower}://{host}:{number}");
        if i == 0 {
            set(format!("{prefix}_SERVICE_PORT"), number.to_string());
            set(format!("{prefix}_PORT"), url.clone());
        }
        if let Some(port_name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            set(format!("{prefix}_SERVICE_PORT_{}", variable_name(port_name)), number.to_string());
        }
        let port_prefix = format!("{prefix}_PORT_{number}_{upper}");
        set(format!("{port_prefix}_PROTO"), lower);
        set(format!("{port_prefix}_PORT"), number.to_string());
        set(format!("{port_prefix}_ADDR"), ip.to_owned());
        set(port_prefix, url);
    }
}

fn variable_name(text: &str) -> String {
    text.replace('-', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(namespace: &str, name: &str, ip: &str) -> Arc<Service> {
        let json = serde_json::json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip,
            "ports": [{"port": 80, "name": "web-ui"}, {"port": 53, "protocol": "UDP", "name": "dns"}]}});
        Arc::new(serde_json::from_value(json).expect("a service"))
    }

    #[test]
    fn names_host_and_every_port() {
        let vars = service_variables(&[service("ns", "my-svc", "10.0.0.1"), service("ns", "none", "None")], "ns", true);
        let text: Vec<String> = vars.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            text,
            [
                "MY_SVC_PORT=tcp://10.0.0.1:80",
                "MY_SVC_PORT_53_UDP=udp://10.0.0.1:53",
                "MY_SVC_PORT_53_UDP_ADDR=10.0.0.1",
                "MY_SVC_PORT_53_UDP_PORT=53",
                "MY_SVC_PORT_53_UDP_PROTO=udp",
                "MY_SVC_PORT_80_TCP=tcp://10.0.0.1:80",
                "MY_SVC_PORT_80_TCP_ADDR=10.0.0.1",
                "MY_SVC_PORT_80_TCP_PORT=80",
                "MY_SVC_PORT_80_TCP_PROTO=tcp",
                "MY_SVC_SERVICE_HOST=10.0.0.1",
                "MY_SVC_SERVICE_PORT=80",
                "MY_SVC_SERVICE_PORT_DNS=53",
                "MY_SVC_SERVICE_PORT_WEB_UI=80",
            ]
        );
    }

    #[test]
    fn the_api_server_is_always_there_and_links_are_optional() {
        let all = [
            service("default", "kubernetes", "10.0.0.1"),
            service("ns", "a", "10.0.0.2"),
            service("x", "b", "10.0.0.3"),
        ];
        let hosts = |links| {
            let vars = service_variables(&all, "ns", links);
            vars.keys().filter(|k| k.ends_with("_SERVICE_HOST")).cloned().collect::<Vec<_>>()
        };
        assert_eq!(hosts(false), ["KUBERNETES_SERVICE_HOST"]);
        assert_eq!(hosts(true), ["A_SERVICE_HOST", "KUBERNETES_SERVICE_HOST"]);
    }
}
