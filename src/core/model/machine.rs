//! Facts about the machine that the Node object reports.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Facts of the machine, read once at start and again with each status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFacts {
    /// Logical processors that are online.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Most processes that the kernel allows at a time.
    pub max_pids: u64,
    /// Bytes of swap.
    pub swap: u64,
    /// Bytes of the file system that holds the kubelet's root directory.
    pub root_fs: u64,
    /// Bytes of preallocated huge pages by page size in bytes.
    pub huge_pages: BTreeMap<u64, u64>,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// SMBIOS uuid, or the machine id where there is none.
    pub system_uuid: String,
    /// Changes with every boot.
    pub boot_id: String,
    /// Kernel release.
    pub kernel: String,
    /// `PRETTY_NAME` of os-release.
    pub os_image: String,
    /// Architecture as Go names it, e.g. `amd64`.
    pub arch: String,
    /// Addresses by which others reach the node, best first, when none are configured.
    pub addresses: Vec<IpAddr>,
    /// Addresses that the node has on an interface.
    pub local_addresses: Vec<IpAddr>,
    /// The kernel has AppArmor.
    pub apparmor: bool,
}
