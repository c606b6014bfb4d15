//! Properties of the machine from /proc, /sys and the host's files.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::names::Names;
use crate::core::model::MachineFacts;
use crate::core::usage::{count_cpu_lines, count_cpus};
use crate::offload::Lanes;
use crate::ports::kubelet::Machine;

/// Time limit of reading them; after that the last values are used.
const LIMIT: Duration = Duration::from_secs(2);

pub struct LocalMachine {
    root_dir: PathBuf,
    names: Names,
    lanes: Lanes,
    last: Mutex<MachineFacts>,
}

impl LocalMachine {
    /// `root_dir` is the kubelet's root directory, whose file system is reported.
    pub fn new(root_dir: &Path) -> Self {
        Self::with_names(root_dir, Names::remembering())
    }

    fn with_names(root_dir: &Path, names: Names) -> Self {
        let lanes = Lanes::with_limit("facts of the machine", LIMIT);
        Self { root_dir: root_dir.into(), names, lanes, last: Mutex::default() }
    }

    fn last(&self) -> MachineFacts {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Machine for LocalMachine {
    async fn observe(&self, look_up: Option<&str>) -> MachineFacts {
        // Independently of each other: a dead disk or an unresponsive name server must not hide the rest.
        let root_dir = self.root_dir.clone();
        let (facts, root, resolved) = tokio::join!(
            self.lanes.run("kernel", "read", read_facts),
            self.lanes.run("root directory", "statvfs", move || root_fs(&root_dir)),
            async {
                match look_up {
                    Some(name) => self.names.resolve(name).await.unwrap_or_default(),
                    None => Vec::new(),
                }
            },
        );
        let last = self.last();
        let mut facts = facts.unwrap_or_else(|_| last.clone());
        facts.root_fs = root.unwrap_or(last.root_fs);
        facts.addresses = match look_up.map(str::parse) {
            Some(Ok(address)) => vec![address],
            Some(Err(_)) => addresses(&resolved, &facts.local_addresses),
            None => Vec::new(),
        };
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&facts);
        facts
    }
}

/// All properties except the size of the root directory's file system and resolved addresses.
fn read_facts() -> MachineFacts {
    let memory = read("/proc/meminfo");
    let uname = rustix::system::uname();
    let (machine_id, system_uuid, boot_id) = identity();
    MachineFacts {
        cpus: online_cpus(Path::new("/sys"), Path::new("/proc")),
        memory: meminfo(&memory, "MemTotal"),
        max_pids: max_pids(),
        swap: meminfo(&memory, "SwapTotal"),
        root_fs: 0,
        huge_pages: huge_pages(),
        system_uuid,
        machine_id,
        boot_id,
        kernel: uname.release().to_string_lossy().into_owned(),
        os_image: os_image(),
        arch: go_arch(&uname.machine().to_string_lossy()),
        addresses: Vec::new(),
        local_addresses: local_addresses(),
        apparmor: read("/sys/module/apparmor/parameters/enabled").starts_with('Y'),
    }
}

/// Machine id, system uuid (the machine id if the firmware has none) and boot id. Reads files: only for threads of
/// `offload::Lanes`.
pub fn identity() -> (String, String, String) {
    let machine_id = first_line(&["/etc/machine-id", "/var/lib/dbus/machine-id"]);
    let system_uuid = first_line(&["/sys/class/dmi/id/product_uuid", "/proc/device-tree/vm,uuid"]);
    let system_uuid = if system_uuid.is_empty() { machine_id.clone() } else { system_uuid };
    (machine_id, system_uuid, first_line(&["/proc/sys/kernel/random/boot_id"]))
}

/// True if the address is configured on an interface: only an address of this machine can be bound.
pub fn has_address(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

/// Number of online processors. Which of them this process may use does not matter: pods have other cgroups (upstream
/// uses cAdvisor's topology, `machine/machine.go`).
#[expect(clippy::disallowed_methods, reason = "for threads of offload::Lanes")]
pub fn online_cpus(sys: &Path, proc: &Path) -> u32 {
    let online = fs::read_to_string(sys.join("devices/system/cpu/online")).ok().and_then(|list| count_cpus(&list));
    let listed = || count_cpu_lines(&fs::read_to_string(proc.join("stat")).ok()?);
    online.or_else(listed).unwrap_or(1)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
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

/// The lower of the kernel's two limits (upstream `pkg/kubelet/stats/pidlimit`).
fn max_pids() -> u64 {
    let bounds = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
    bounds.iter().filter_map(|path| read(path).trim().parse().ok()).min().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn root_fs(path: &Path) -> u64 {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    rustix::fs::statvfs(existing).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize))
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
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

/// In upstream's order (`pkg/kubelet/nodestatus/setters.go`): what the node's name resolves to, IPv4 first, then the
/// address of the default route's interface; last any address of the machine.
fn addresses(resolved: &[IpAddr], local: &[IpAddr]) -> Vec<IpAddr> {
    // As `validateNodeIP` of `pkg/kubelet/kubelet_node_status.go`.
    let usable = |ip: &IpAddr| {
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        local.contains(ip) && !ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified() && !link_local
    };
    let resolved4 = resolved.iter().copied().filter(IpAddr::is_ipv4);
    let resolved6 = resolved.iter().copied().filter(IpAddr::is_ipv6);
    let route4 = route_source(IpAddr::V4(Ipv4Addr::UNSPECIFIED), "192.0.2.1:9");
    let route6 = route_source(IpAddr::V6(Ipv6Addr::UNSPECIFIED), "[2001:db8::1]:9");
    let others = route4.into_iter().chain(local.iter().copied().filter(IpAddr::is_ipv4)).chain(route6);
    resolved4.chain(resolved6).chain(others).find(usable).into_iter().collect()
}

/// The source address that the kernel would use; connecting a datagram socket sends nothing.
fn route_source(any: IpAddr, to: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Addresses of interfaces, from the routing tables, which need no netlink.
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
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::adapters::names::tests::Resolver;

    #[tokio::test]
    async fn knows_this_machine() {
        let facts = LocalMachine::new(Path::new("/var/lib/kubelet")).observe(Some("localhost")).await;
        assert!(facts.cpus > 0 && facts.memory > 0 && facts.root_fs > 0, "{facts:?}");
        assert!(facts.local_addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(!facts.kernel.is_empty() && !facts.boot_id.is_empty());
        let named = LocalMachine::new(Path::new("/var/lib/kubelet")).observe(Some("192.0.2.7")).await;
        assert_eq!(named.addresses, [IpAddr::from([192, 0, 2, 7])], "a name that is an address");
    }

    #[tokio::test]
    async fn a_silent_name_server_hides_no_other_fact_and_is_not_asked_without_need() {
        let resolver = Arc::new(Resolver::default());
        let machine = LocalMachine::with_names(Path::new("/"), resolver.names(true));
        resolver.silent.store(true, Ordering::SeqCst);
        let given = machine.observe(None).await;
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 0, "the addresses are given: nobody is asked");
        assert!(given.cpus > 0 && given.root_fs > 0 && given.addresses.is_empty());
        let facts = machine.observe(Some("node.test")).await;
        assert_eq!(resolver.under_way.load(Ordering::SeqCst), 1, "the look-up still hangs");
        assert_eq!(facts.memory, given.memory);
        assert!(facts.root_fs > 0);
        resolver.silent.store(false, Ordering::SeqCst);
    }

    /// `taskset`, `CPUAffinity=` and `isolcpus=` of the kubelet do not reduce the processors of pods.
    #[test]
    fn the_affinity_of_the_process_is_not_the_size_of_the_machine() {
        let all = read_facts().cpus;
        let pinned = std::thread::spawn(|| {
            let mut one = rustix::thread::CpuSet::new();
            let of_this_thread = rustix::thread::sched_getaffinity(None).unwrap();
            one.set((0..1024).find(|cpu| of_this_thread.is_set(*cpu)).unwrap());
            rustix::thread::sched_setaffinity(None, &one).unwrap();
            assert_eq!(std::thread::available_parallelism().unwrap().get(), 1);
            read_facts().cpus
        });
        assert_eq!(pinned.join().unwrap(), all);

        let sys = tempfile::tempdir().unwrap();
        fs::create_dir_all(sys.path().join("devices/system/cpu")).unwrap();
        fs::write(sys.path().join("stat"), "cpu 1\ncpu0 1\ncpu1 1\n").unwrap();
        assert_eq!(online_cpus(sys.path(), sys.path()), 2, "a kernel without sysfs");
        fs::write(sys.path().join("devices/system/cpu/online"), "0-62,64\n").unwrap();
        assert_eq!(online_cpus(sys.path(), sys.path()), 64);
    }

    #[test]
    fn an_address_by_name_must_be_the_machines_own_and_ipv4_comes_first() {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let local = ips(&["127.0.0.1", "169.254.1.1", "198.51.100.7", "2001:db8::7"]);
        assert_eq!(addresses(&ips(&["203.0.113.1", "2001:db8::7", "198.51.100.7"]), &local), ips(&["198.51.100.7"]));
        assert_eq!(addresses(&ips(&["169.254.1.1", "127.0.0.1", "2001:db8::7"]), &local), ips(&["2001:db8::7"]));
    }
}
