//! The address of the default route.

use std::net::{IpAddr, UdpSocket};

/// The address that packets to other networks leave from: of IPv4, else of IPv6; `None` without a default route.
/// Connecting a datagram socket chooses the address and sends nothing; the destinations are set aside for documentation
/// (RFC 5737, RFC 3849).
pub fn default_address() -> Option<IpAddr> {
    let towards = |local: &str, remote: &str| {
        let socket = UdpSocket::bind(local).ok()?;
        socket.connect(remote).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
    };
    towards("0.0.0.0:0", "192.0.2.1:9").or_else(|| towards("[::]:0", "[2001:db8::1]:9"))
}
