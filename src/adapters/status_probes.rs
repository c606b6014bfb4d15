//! The port `NodeProbes` on this machine.

#![expect(clippy::disallowed_methods, reason = "for programs that end")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::cri::Cri;
use super::machine;
use crate::core::bootstrap::dns_query;
use crate::core::bootstrap::node_status::DiskStatus;
use crate::core::network::cni::RuntimeNetwork;
use crate::ports::bootstrap::NodeProbes;
use crate::ports::node::RuntimeError;

const DNS_PORT: u16 = 53;
/// How long to wait for an answer, and how often to ask: a datagram may be lost.
const DNS_PATIENCE: Duration = Duration::from_secs(2);
const DNS_ATTEMPTS: u16 = 2;
/// Largest answer without EDNS, with room for servers that exceed it.
const DNS_MOST: usize = 4096;

/// Looks at this machine; the runtime is asked at its socket.
pub struct HostProbes {
    runtime: Cri,
}

impl HostProbes {
    /// Probes whose runtime listens at this socket.
    pub fn new(runtime: Cri) -> Self {
        Self { runtime }
    }
}

/// Why a packet was not sent or answered. kube-proxy has the node reject packets to a Service without endpoints.
fn refused(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ConnectionRefused => {
            format!("the packet is rejected ({error}), as for a Service without a Ready pod")
        }
        _ => error.to_string(),
    }
}

async fn ask(server: SocketAddr, id: u16, question: &[u8]) -> Result<Vec<IpAddr>, String> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(|error| error.to_string())?;
    socket.connect(server).await.map_err(|error| error.to_string())?;
    socket.send(question).await.map_err(refused)?;
    let mut answer = vec![0; DNS_MOST];
    match timeout(DNS_PATIENCE, socket.recv(&mut answer)).await {
        Err(_) => Err(format!("no answer within {} s", DNS_PATIENCE.as_secs())),
        Ok(Err(error)) => Err(refused(error)),
        Ok(Ok(length)) => {
            dns_query::parse(id, answer.get(..length).unwrap_or_default()).map_err(|fault| fault.to_string())
        }
    }
}

#[async_trait]
impl NodeProbes for HostProbes {
    fn identity(&self) -> (String, String) {
        let (machine_id, _, boot_id) = machine::identity();
        (machine_id, boot_id)
    }

    fn has_address(&self, address: IpAddr) -> bool {
        machine::has_address(address)
    }

    fn space(&self, path: &Path) -> Option<DiskStatus> {
        let found = rustix::fs::statvfs(path).ok()?;
        Some(DiskStatus {
            path: path.display().to_string(),
            available: found.f_bavail.saturating_mul(found.f_frsize),
            capacity: found.f_blocks.saturating_mul(found.f_frsize),
            inodes_free: found.f_ffree,
            inodes: found.f_files,
        })
    }

    async fn runtime_network(&self) -> Result<RuntimeNetwork, RuntimeError> {
        self.runtime.network().await
    }

    async fn resolve(&self, server: IpAddr, name: &str) -> Result<Vec<IpAddr>, String> {
        let mut last = String::new();
        for id in 1..=DNS_ATTEMPTS {
            let question = dns_query::render(id, name, server.is_ipv6());
            let question = question.ok_or_else(|| format!("\"{name}\" is not a domain name"))?;
            match ask(SocketAddr::new(server, DNS_PORT), id, &question).await {
                Ok(addresses) => return Ok(addresses),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
