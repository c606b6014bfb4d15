//! Sandboxing of the units: what their programs do not need (systemd.exec(5); `systemd-analyze security` shows the rest).

/// Every helper: a read-only system, no devices, no other processes, and the system calls of ordinary services. What it may
/// write, ask the network for and do as root stands beside it in its unit.
pub const HELPER: &str = "\
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
";

/// Sockets of a helper that asks the API, etcd, the runtime and systemd.
pub const NETWORK: &str = "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX\n";

/// The kubelet, and the mount helpers and credential plugins that it starts.
///
/// It makes and sees mounts of the host: whatever gives a unit a mount namespace of its own is out of the question
/// (PrivateTmp, PrivateDevices, most of Protect…; systemd's `exec_needs_mount_namespace`). ProtectClock would close all
/// devices but the clock, and with that mounts of disks: its capabilities and calls are taken away here instead.
/// RestrictSUIDSGID would forbid the folders of a group that `fsGroup` makes, a narrower UMask would shut pods out of
/// folders that are made for them.
pub const KUBELET: &str = "\
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN CAP_SYS_RESOURCE
NoNewPrivileges=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @mount
SystemCallErrorNumber=EPERM
UMask=0022
";
