//! The uid of a loopback connection's peer: queries the kernel's socket table for one socket (sock_diag(7)).
//!
//! `/proc/net/tcp` has the same information, but must be read completely for each connection, which would be expensive
//! in a flood.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h, in requests and responses.
const BY_FAMILY: u16 = 20;
/// Message flag `NLM_F_REQUEST` of linux/netlink.h.
const REQUEST: u16 = 1;
const TCP: u8 = 6;
/// `TCP_ESTABLISHED`. A socket that its process has closed has no owner, which is shown as uid 0.
const ESTABLISHED: u8 = 1;
const HEADER: usize = 16;
/// Offsets of `idiag_state` and `idiag_uid` in `struct inet_diag_msg` of linux/inet_diag.h.
const STATE_AT: usize = HEADER + 1;
const UID_AT: usize = HEADER + 64;

/// The uid of the process at `client` that is connected to `server` on this machine.
///
/// # Errors
/// There is no such connection (any more), or the kernel does not report it.
pub fn peer_uid(client: SocketAddr, server: SocketAddr) -> io::Result<u32> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    send(&socket, &render_request(client, server), SendFlags::empty())?;
    let mut answer = [0; 512];
    // The response is available when sending returns.
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    parse_answer(answer.get(..length).unwrap_or_default())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such established connection"))
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn render_request(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let family = if client.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut request = Vec::with_capacity(72);
    request.extend(72_u32.to_ne_bytes());
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    // AF_INET and AF_INET6 fit a byte.
    request.extend([u8::try_from(family.as_raw()).unwrap_or_default(), TCP, 0, 0]);
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(client.port().to_be_bytes());
    request.extend(server.port().to_be_bytes());
    request.extend(address(client.ip()));
    request.extend(address(server.ip()));
    // No interface, and `INET_DIAG_NOCOOKIE`.
    request.extend([0; 4]);
    request.extend([0xff; 8]);
    request
}

fn address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(four) => {
            let [a, b, c, d] = four.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(six) => six.octets(),
    }
}

fn parse_answer(answer: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let uid = u32::from_ne_bytes(answer.get(UID_AT..UID_AT + 4)?.try_into().ok()?);
    (kind == BY_FAMILY && *answer.get(STATE_AT)? == ESTABLISHED).then_some(uid)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_its_processes_and_a_closed_one_nobodys() {
        let own = rustix::process::getuid().as_raw();
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(listen) else { continue };
            let server = listener.local_addr().unwrap();
            let client = TcpStream::connect(server).unwrap();
            let address = client.local_addr().unwrap();
            let (_accepted, _) = listener.accept().unwrap();
            assert_eq!(peer_uid(address, server).unwrap(), own);
            drop(client);
            assert!(peer_uid(address, server).is_err());
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_or_an_error_is_no_uid() {
        let mut answer = vec![0; 88];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        assert_eq!(parse_answer(&answer), None, "not established");
        answer[STATE_AT] = ESTABLISHED;
        answer[UID_AT] = 7;
        assert_eq!(parse_answer(&answer), Some(7));
        for length in 0..UID_AT + 4 {
            assert_eq!(parse_answer(&answer[..length]), None);
        }
        answer[4] = 2;
        assert_eq!(parse_answer(&answer), None);
    }
}
