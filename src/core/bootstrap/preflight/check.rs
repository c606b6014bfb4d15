//! The names of the preflight checks, by which single ones can be ignored.

use std::fmt;
use std::str::FromStr;

/// A preflight check, by what it requires of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The user is root.
    Root,
    /// Process 1 is systemd.
    Systemd,
    /// The machine may take this role.
    Role,
    /// The name can be that of one node.
    HostName,
    /// The address is configured on an interface.
    Address,
    /// The container runtime answers and can run containers.
    Runtime,
    /// Runtime and kubelet use the same cgroup driver.
    CgroupDriver,
    /// The machine uses cgroup v2.
    CgroupVersion,
    /// Programs of the settings exist.
    Programs,
    /// Image archives of the settings exist.
    Archives,
    /// The runtime finds the CNI plugins.
    CniPlugins,
    /// The runtime would use our CNI configuration.
    CniConfiguration,
    /// The program nft runs.
    Nft,
    /// No firewall drops forwarded packets.
    Firewall,
    /// The kernel forwards IPv4 packets.
    Forwarding,
    /// The kernel has the features that pods need.
    Modules,
    /// Ports of the node are free.
    Ports,
    /// Nothing of another cluster is left.
    Leftovers,
    /// The clock agrees with the API server's.
    Clock,
    /// The disk of etcd has room and is fast.
    EtcdDisk,
    /// The disk of the kubelet has room.
    NodeDisk,
    /// The machine has enough memory.
    Memory,
    /// Swap is disabled or tolerated.
    Swap,
}

/// All checks with their names, in the order of the documentation.
const NAMES: [(Check, &str); 23] = [
    (Check::Root, "root"),
    (Check::Systemd, "systemd"),
    (Check::Role, "role"),
    (Check::HostName, "host-name"),
    (Check::Address, "address"),
    (Check::Runtime, "runtime"),
    (Check::CgroupDriver, "cgroup-driver"),
    (Check::CgroupVersion, "cgroup-version"),
    (Check::Programs, "programs"),
    (Check::Archives, "archives"),
    (Check::CniPlugins, "cni-plugins"),
    (Check::CniConfiguration, "cni-configuration"),
    (Check::Nft, "nft"),
    (Check::Firewall, "firewall"),
    (Check::Forwarding, "forwarding"),
    (Check::Modules, "modules"),
    (Check::Ports, "ports"),
    (Check::Leftovers, "leftovers"),
    (Check::Clock, "clock"),
    (Check::EtcdDisk, "etcd-disk"),
    (Check::NodeDisk, "node-disk"),
    (Check::Memory, "memory"),
    (Check::Swap, "swap"),
];

impl Check {
    /// All checks, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(check, _)| check)
    }

    /// The name, as `--ignore-preflight` takes it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(check, _)| *check == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which failed checks do not stop a run: one, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// No failed check stops the run.
    All,
    /// A failure of this check does not stop it.
    One(Check),
}

impl Ignored {
    /// True if a failure of this check does not stop the run.
    pub fn covers(self, check: Check) -> bool {
        self == Self::All || self == Self::One(check)
    }
}

/// No check has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown preflight check \"{name}\"; known: all, {known}")]
pub struct UnknownCheck {
    /// The name that was given.
    pub name: String,
    /// Names of all checks.
    pub known: String,
}

impl FromStr for Ignored {
    type Err = UnknownCheck;

    fn from_str(text: &str) -> Result<Self, UnknownCheck> {
        if text == "all" {
            return Ok(Self::All);
        }
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found
            .map(|(check, _)| Self::One(*check))
            .ok_or_else(|| UnknownCheck { name: text.to_owned(), known: NAMES.map(|(_, name)| name).join(", ") })
    }
}
