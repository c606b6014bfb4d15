//! What a node needs of its machine: ports and programs, as the settings say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::core::model::preflight::PortNeed;
use crate::core::model::spec::{BALANCER_PORT, Component, ComponentSource, Spec};

/// kube-proxy's ports: health checks of load balancers, and metrics.
const PROXY_PORTS: [u16; 2] = [10249, 10256];
/// The kubelet's own health check (`healthzPort`).
const KUBELET_HEALTH: u16 = 10248;
/// Ports of the components other than the API server.
pub(super) const COMPONENT_PORTS: [u16; 6] = [10257, 10258, 10259, 2379, 2380, 2381];

/// Which part of the machine's addresses a port is bound at.
enum At {
    All,
    Loopback,
    /// The loopback address and the node's.
    Both,
    Node,
}

fn need(spec: &Spec, port: u16, at: At) -> PortNeed {
    let loopback = spec.node.loopback();
    let at = match at {
        // The API server and the kubelet listen on all addresses of both families where the kernel has both.
        At::All => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        At::Loopback => vec![loopback],
        At::Both => vec![loopback, spec.node.address],
        At::Node => vec![spec.node.address],
    };
    PortNeed { port, at, required: true }
}

/// TCP ports a control plane listens on, with the addresses that `core/bootstrap/static_pods.rs` has it bind.
pub fn control_plane_ports(spec: &Spec) -> Vec<PortNeed> {
    let local = |component: Component, port: u16| {
        let flag = spec.cluster.extra_args.get(component.name()).and_then(|flags| flags.get("bind-address"));
        match flag.and_then(|address| address.parse::<IpAddr>().ok()) {
            Some(address) if address.is_unspecified() => need(spec, port, At::All),
            Some(address) => PortNeed { port, at: vec![address], required: true },
            None => need(spec, port, At::Loopback),
        }
    };
    let mut ports = vec![
        need(spec, spec.node.api_port, At::All),
        local(Component::ControllerManager, 10257),
        local(Component::Scheduler, 10259),
    ];
    if spec.cluster.external_etcd.is_none() {
        ports.extend([need(spec, 2379, At::Both), need(spec, 2380, At::Node), need(spec, 2381, At::Loopback)]);
    }
    if spec.cluster.runs_cloud_controller() {
        ports.push(local(Component::CloudControllerManager, 10258));
    }
    ports.extend(worker_ports(spec));
    ports
}

/// TCP ports a worker listens on.
pub fn worker_ports(spec: &Spec) -> Vec<PortNeed> {
    let mut ports = vec![need(spec, 10250, At::All)];
    ports.extend(spec.cluster.local_balancer.then(|| PortNeed {
        port: BALANCER_PORT,
        at: vec![Ipv4Addr::LOCALHOST.into()],
        required: true,
    }));
    // A node works without these; health checks and metrics are then those of another process.
    let optional = |port: u16, at: At| PortNeed { required: false, ..need(spec, port, at) };
    ports.push(optional(KUBELET_HEALTH, At::Loopback));
    if spec.cluster.network.proxy.is_some() {
        ports.extend(PROXY_PORTS.map(|port| optional(port, if port == 10256 { At::All } else { At::Loopback })));
    }
    ports
}

/// Programs that must exist for these settings.
pub fn wanted_programs(spec: &Spec, control_plane: bool) -> Vec<PathBuf> {
    let mut programs = vec![spec.node.programs.kubelet.clone()];
    if let ComponentSource::Host { programs: ours } = &spec.cluster.source
        && control_plane
    {
        programs.extend(ours.values().cloned());
    }
    programs
}
