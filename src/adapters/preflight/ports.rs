//! Which ports are taken, and by which process.

#![expect(clippy::disallowed_methods, reason = "for programs that end")]

use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener};

use crate::core::model::preflight::{PortNeed, TakenPort};

/// The state `TCP_LISTEN` in `/proc/net/tcp` (proc_net(5)).
const LISTEN: &str = "0A";

/// The needed ports that cannot be bound because somebody listens there.
pub(super) fn observe_taken(needs: &[PortNeed]) -> Vec<TakenPort> {
    // A machine without one of the families, or without the node's address, gives another error.
    let taken = |at: &IpAddr, port: u16| {
        TcpListener::bind((*at, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    let needs = needs.iter().filter(|need| need.at.iter().any(|at| taken(at, need.port)));
    needs.map(|need| TakenPort { port: need.port, required: need.required, owner: find_owner(need.port) }).collect()
}

/// The process that listens on a port, as "name (process id)"; `None` if it is not visible.
fn find_owner(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> =
        tables.iter().flat_map(|table| listening(table, port)).map(|inode| format!("socket:[{inode}]")).collect();
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(id) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
        let open = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let holds = |link: std::path::PathBuf| sockets.iter().any(|socket| link.as_os_str() == socket.as_str());
        if open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(holds) {
            let program = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", program.trim()));
        }
    }
    None
}

/// Inodes of the sockets that listen on a port, of a table like `/proc/net/tcp`.
fn listening(table: &str, port: u16) -> Vec<&str> {
    let end = format!(":{port:04X}");
    let rows = table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (local, state) = (words.nth(1)?, words.nth(1)?);
        (local.ends_with(&end) && state == LISTEN).then(|| words.nth(5)).flatten()
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_port_is_taken_at_the_addresses_that_are_needed_and_its_process_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let need = |at: [u8; 4]| PortNeed { port, at: vec![at.into()], required: true };
        for at in [[127, 0, 0, 1], [0, 0, 0, 0]] {
            let taken = observe_taken(&[need(at)]);
            let owner = taken.first().and_then(|taken| taken.owner.clone()).unwrap_or_default();
            assert!(owner.ends_with(&format!("(process {})", std::process::id())), "{taken:?}");
        }
        assert_eq!(observe_taken(&[need([127, 0, 0, 2])]), [], "another address is free");
        drop(listener);
        assert_eq!(observe_taken(&[need([0, 0, 0, 0])]), []);
    }
}
