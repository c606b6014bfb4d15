//! Sandboxing of the units: removes access to what their programs do not need (systemd.exec(5); check with
//! `systemd-analyze security`).

/// For every helper: a read-only system, no devices, no other processes, and the system calls of ordinary services.
/// Writable paths, sockets and capabilities are set in each unit.
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

/// Socket families of a helper that connects to the API, etcd, the runtime and systemd.
pub const NETWORK: &str = "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX\n";

/// The kubelet, and the mount helpers and credential plugins that it starts.
///
/// It creates and sees mounts of the host, so nothing may give the unit its own mount namespace (PrivateTmp,
/// PrivateDevices, most of Protect…; systemd's `exec_needs_mount_namespace`). ProtectClock would deny all other
/// devices, and so mounting disks: its capabilities and system calls are denied here instead. RestrictSUIDSGID would
/// forbid the setgid folders of `fsGroup`, and a narrower UMask would lock pods out of folders that are created for
/// them.
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
