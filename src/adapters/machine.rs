//! Facts of the machine from /proc, /sys and the host's files.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};

use crate::core::model::MachineFacts;
use crate::ports::Machine;

/// This machine.
pub struct LocalMachine {
    /// The kubelet's root directory, whose file system counts.
    pub root_dir: PathBuf,
}

impl Machine for LocalMachine {
    fn observe(&self, node_name: &str) -> MachineFacts {
        let memory = read("/proc/meminfo");
        let uname = rustix::system::uname();
        let local_addresses = local_addresses();
        let machine_id = first_line(&["/etc/machine-id", "/var/lib/dbus/machine-id"]);
        let system_uuid = first_line(&["/sys/class/dmi/id/product_uuid", "/proc/device-tree/vm,uuid"]);
        MachineFacts {
            cpus: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            memory: meminfo(&memory, "MemTotal"),
            max_pids: max_pids(),
            swap: meminfo(&memory, "SwapTotal"),
            root_fs: root_fs(&self.root_dir),
            huge_pages: huge_pages(),
            system_uuid: if system_uuid.is_empty() { machine_id.clone() } else { system_uuid },
            machine_id,
            boot_id: first_line(&["/proc/sys/kernel/random/boot_id"]),
            kernel: uname.release().to_string_lossy().into_owned(),
            os_image: os_image(),
            arch: go_arch(&uname.machine().to_string_lossy()),
            addresses: addresses(node_name, &local_addresses),
            local_addresses,
            apparmor: read("/sys/module/apparmor/parameters/enabled").starts_with('Y'),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn first_line(paths: &[&str]) -> String {
    let lines = paths.iter().map(|path| read(path).trim_matches(['\n', '\0', ' ']).to_string());
    lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default()
}

/// A field of /proc/meminfo in bytes.
fn meminfo(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default().saturating_mul(1024)
}

/// The smaller of the kernel's two bounds (upstream `pkg/kubelet/stats/pidlimit`).
fn max_pids() -> u64 {
    let bounds = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
    bounds.iter().filter_map(|path| read(path).trim().parse().ok()).min().unwrap_or_default()
}

fn root_fs(path: &Path) -> u64 {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    rustix::fs::statvfs(existing).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize))
}

fn huge_pages() -> BTreeMap<u64, u64> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let size: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let pages: u64 = fs::read_to_string(entry.path().join("nr_hugepages")).ok()?.trim().parse().ok()?;
            let bytes = size.saturating_mul(1024);
            Some((bytes, bytes.saturating_mul(pages)))
        })
        .collect()
}

fn os_image() -> String {
    let text =
        ["/etc/os-release", "/usr/lib/os-release"].iter().map(|p| read(p)).find(|t| !t.is_empty()).unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_string(), |name| name.trim_matches(['"', '\'']).to_string())
}

fn go_arch(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i686" | "i386" => "386",
        "armv7l" | "armv6l" => "arm",
        other => other,
    }
    .to_string()
}

/// As upstream finds them: the node's name if it is an address, what the name resolves to, the interface of the default
/// route; last any address of the machine.
fn addresses(node_name: &str, local: &[IpAddr]) -> Vec<IpAddr> {
    if let Ok(address) = node_name.parse() {
        return vec![address];
    }
    let usable = |ip: &IpAddr| local.contains(ip) && !ip.is_loopback();
    let resolved = (node_name, 0).to_socket_addrs().into_iter().flatten().map(|a| a.ip());
    let route4 = route_source(IpAddr::V4(Ipv4Addr::UNSPECIFIED), "192.0.2.1:9");
    let route6 = route_source(IpAddr::V6(Ipv6Addr::UNSPECIFIED), "[2001:db8::1]:9");
    let candidates = resolved.chain(route4).chain(local.iter().copied().filter(IpAddr::is_ipv4)).chain(route6);
    candidates.into_iter().find(usable).into_iter().collect()
}

/// The address the kernel would send from; connecting a datagram socket sends nothing.
fn route_source(any: IpAddr, to: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Addresses on interfaces: from the routing tables, which need no netlink.
fn local_addresses() -> Vec<IpAddr> {
    let mut found = Vec::new();
    let trie = read("/proc/net/fib_trie");
    let mut address: Option<Ipv4Addr> = None;
    for line in trie.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("|-- ") {
            address = rest.parse().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(ip) = address.map(IpAddr::V4)
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    for line in read("/proc/net/if_inet6").lines() {
        let mut words = line.split_whitespace();
        let bits = words.next().and_then(|hex| u128::from_str_radix(hex, 16).ok());
        let global = words.nth(2) == Some("00");
        if let (Some(bits), true) = (bits, global) {
            found.push(IpAddr::V6(Ipv6Addr::from(bits)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_this_machine() {
        let facts = LocalMachine { root_dir: "/var/lib/kubelet".into() }.observe("localhost");
        assert!(facts.cpus > 0 && facts.memory > 0 && facts.root_fs > 0, "{facts:?}");
        assert!(facts.local_addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(!facts.kernel.is_empty() && !facts.boot_id.is_empty());
    }
}
