//! What pods of this node need for their network, and whether pods of other nodes and the DNS Service answer.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;

use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::node_status::{DnsStatus, NetworkProbe, NetworkStatus};
use crate::core::model::spec::Spec;
use crate::core::network::cni::{RuntimeNetwork, chosen, plugins};
use crate::ports::bootstrap::NodeProbes;

/// How long a connection to a pod may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A pod of another node: the node, the pod, its address, a port.
pub type Target = (String, String, IpAddr, u16);

/// The CNI configuration that counts, and what it lacks.
pub async fn observe(ports: &Ports, probes: &dyn NodeProbes, spec: &Spec) -> NetworkStatus {
    let folder = &spec.node.paths.cni_conf;
    let runtime = probes.runtime_network().await.unwrap_or_default();
    let files = ports.files.list(folder).unwrap_or_default();
    let names: Vec<String> =
        files.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    let configuration = chosen(names.iter().map(String::as_str)).map(str::to_owned);
    let text = configuration.as_ref().and_then(|name| ports.files.read(&folder.join(name)).ok().flatten());
    NetworkStatus {
        builtin: spec.cluster.network.builtin,
        folder: folder.display().to_string(),
        missing_plugins: missing(ports, &runtime, text.as_deref()),
        configuration,
        plugin_folders: runtime.plugin_folders,
        runtime_fault: runtime.fault,
        probes: Vec::new(),
    }
}

/// Plugins of a configuration that exist nowhere; none if the runtime does not say where it looks.
fn missing(ports: &Ports, runtime: &RuntimeNetwork, text: Option<&str>) -> Vec<String> {
    let Some(text) = text.filter(|_| !runtime.plugin_folders.is_empty()) else { return Vec::new() };
    let mut wanted = plugins(text);
    if !runtime.own_loopback {
        wanted.insert("loopback".to_owned());
    }
    let is_program =
        |path: &Path| matches!(ports.files.info(path), Ok(Some(info)) if !info.is_dir && info.mode & 0o111 != 0);
    let exists = |name: &str| runtime.plugin_folders.iter().any(|folder| is_program(&Path::new(folder).join(name)));
    wanted.into_iter().filter(|name| !exists(name)).collect()
}

/// Connects to pods of other nodes. A refused connection shows that the pod was reached.
pub async fn probe(ports: &Ports, targets: Vec<Target>) -> Vec<NetworkProbe> {
    let probes = targets.into_iter().map(|(node, pod, address, port)| async move {
        let host = address.to_string();
        let fault = match ports.checks.tcp(&host, port, PATIENCE).await {
            Err(error) if !error.to_string().contains("refused") => Some(error.to_string()),
            Ok(()) | Err(_) => None,
        };
        NetworkProbe { node, pod, address, fault }
    });
    join_all(probes).await
}

/// The address of the Service `kubernetes`, as the DNS Service says.
pub async fn observe_dns(probes: &dyn NodeProbes, spec: &Spec) -> Option<DnsStatus> {
    let server = spec.cluster.dns_ip().filter(|_| spec.cluster.network.dns)?;
    let name = format!("kubernetes.default.svc.{}", spec.cluster.dns_domain);
    let (addresses, fault) = match probes.resolve(server, &name).await {
        Ok(addresses) => (addresses, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    Some(DnsStatus { server, name, addresses, expected: spec.cluster.api_service_ip(), fault })
}
