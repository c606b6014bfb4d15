//! Properties of the machine that the Node object reports.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Properties of the machine, read at startup and again for each status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFacts {
    /// Number of online logical processors.
    pub cpus: u32,
    /// Size of memory in bytes.
    pub memory: u64,
    /// Most processes that the kernel allows at a time.
    pub max_pids: u64,
    /// Size of swap in bytes.
    pub swap: u64,
    /// Size in bytes of the file system that contains the kubelet's root directory.
    pub root_fs: u64,
    /// Bytes of preallocated huge pages by page size in bytes.
    pub huge_pages: BTreeMap<u64, u64>,
    /// The machine id from `/etc/machine-id`.
    pub machine_id: String,
    /// SMBIOS uuid; the machine id if there is none.
    pub system_uuid: String,
    /// The kernel's boot id, which changes with every boot.
    pub boot_id: String,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// `PRETTY_NAME` of os-release, e.g. `NixOS 26.05`.
    pub os_image: String,
    /// Architecture as Go names it, e.g. `amd64`.
    pub arch: String,
    /// Addresses at which other machines reach the node, best first; used if none are configured.
    pub addresses: Vec<IpAddr>,
    /// Addresses configured on an interface of the node.
    pub local_addresses: Vec<IpAddr>,
    /// True if AppArmor is enabled in the kernel.
    pub apparmor: bool,
}
