//! What our units may do: as systemd itself judges them, and the same on NixOS.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::collections::{BTreeMap, BTreeSet};

use roost::core::bootstrap::{Facts, services, units};
use roost::core::model::spec::Spec;
use shared::spec_of;

fn spec() -> Spec {
    let names = services::ALL.map(|name| format!("{name}=/bin/true")).join(",");
    let settings = [
        ("mode", "systemd"),
        ("components.source", "host"),
        ("components.binaries", names.as_str()),
        ("cluster.cloud_provider", "external"),
    ];
    spec_of("n1", "10.0.0.1", &settings)
}

/// Every service that a node may have, with its name.
fn all_services(spec: &Spec) -> Vec<(String, String)> {
    let facts = Facts::at(jiff::Timestamp::UNIX_EPOCH);
    let of_components = services::ALL
        .map(|component| (services::unit(component), services::render(component, spec, &facts).unwrap().unit));
    let own = [
        (units::KUBELET, units::render_kubelet(spec)),
        (units::AGENT, units::render_agent(spec, true)),
        ("roost-agent-worker.service", units::render_agent(spec, false)),
        (units::RENEWAL_SERVICE, units::render_renewal_service(spec)),
        (units::SNAPSHOT_SERVICE, units::render_snapshot_service(spec, 7)),
        (units::DRILL_SERVICE, units::render_drill_service(spec)),
        (units::STATIC_POD, units::render_static_pod(spec)),
        (services::USERS, services::render_users(spec)),
    ];
    own.into_iter().map(|(name, text)| (name.to_owned(), text)).chain(of_components).collect()
}

/// In tenths: 3.0 for every unit, and for the kubelet, whose work is mounts and files of others, what is left of 10.
#[cfg(feature = "node-tests")]
#[test]
fn systemd_finds_little_to_expose_in_any_unit() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in all_services(&spec()) {
        let file = folder.path().join(&name);
        std::fs::write(&file, text).unwrap();
        let most = if name == units::KUBELET { 55 } else { 30 };
        let threshold = format!("--threshold={most}");
        let arguments = ["security", "--no-pager", "--offline=true", &threshold];
        let judged = std::process::Command::new("systemd-analyze").args(arguments).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&judged.stdout).into_owned() + &String::from_utf8_lossy(&judged.stderr);
        assert!(judged.status.success(), "{name}\n{said}");
        assert!(said.contains("Overall exposure level"), "{name} was not judged\n{said}");
    }
}

#[test]
fn every_unit_is_restricted_in_these_ways() {
    for (name, text) in all_services(&spec()) {
        for setting in [
            "CapabilityBoundingSet=",
            "LockPersonality=yes",
            "MemoryDenyWriteExecute=yes",
            "NoNewPrivileges=yes",
            "RestrictAddressFamilies=AF_",
            "RestrictNamespaces=yes",
            "RestrictRealtime=yes",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
        ] {
            assert!(text.lines().any(|line| line.starts_with(setting)), "{name} lacks {setting}\n{text}");
        }
    }
}

type Lines = BTreeMap<String, BTreeSet<String>>;

/// The lines of a unit that restrict its program, by setting.
fn restrictions(text: &str) -> Lines {
    const OTHERS: [&str; 3] = ["PrivateNetwork", "CapabilityBoundingSet", "UMask"];
    let restricts = |name: &str| {
        let beginnings = ["Protect", "Private", "Restrict", "SystemCall", "NoNew", "Lock", "MemoryDeny"];
        name != "RestartPreventExitStatus" && (beginnings.iter().any(|b| name.starts_with(b)) || OTHERS.contains(&name))
    };
    let mut lines = Lines::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| restricts(name)) {
        lines.entry(name.to_owned()).or_default().insert(value.to_owned());
    }
    lines
}

/// The unit of this name in a golden of the Nix code.
fn of_nix(golden: &str, name: &str) -> Lines {
    let begin = golden.find(&format!("# unit {name}\n")).unwrap();
    let rest = &golden[begin + 1..];
    restrictions(&rest[..rest.find("\n# ").unwrap()])
}

#[test]
fn units_on_nixos_are_restricted_as_ours() {
    let golden = include_str!("nix/golden/single-node.txt");
    let spec = spec();
    for (name, text) in [
        (units::KUBELET, units::render_kubelet(&spec)),
        (units::STATIC_POD, units::render_static_pod(&spec)),
        (units::RENEWAL_SERVICE, units::render_renewal_service(&spec)),
        (units::SNAPSHOT_SERVICE, units::render_snapshot_service(&spec, 7)),
    ] {
        assert_eq!(of_nix(golden, name), restrictions(&text), "{name}");
    }
}

/// Whatever gives the kubelet a mount namespace hides its volumes from the runtime (`exec_needs_mount_namespace` in
/// systemd's src/core/execute.c).
#[test]
fn the_kubelet_has_the_hosts_mounts() {
    let kubelet = units::render_kubelet(&spec());
    let parting = [
        "PrivateTmp",
        "PrivateDevices",
        "PrivateMounts",
        "PrivateIPC",
        "ProtectSystem",
        "ProtectHome",
        "ProtectKernelTunables",
        "ProtectKernelModules",
        "ProtectKernelLogs",
        "ProtectControlGroups",
        "ProtectProc",
        "ProcSubset",
        "ReadWritePaths",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "ExecPaths",
        "NoExecPaths",
        "BindPaths",
        "BindReadOnlyPaths",
        "TemporaryFileSystem",
        "RootDirectory",
        "RootImage",
        "MountFlags",
        "DynamicUser",
        "LogNamespace",
        // These close devices, of which volumes are made.
        "ProtectClock",
        "DeviceAllow",
        "DevicePolicy",
        // Folders of an `fsGroup` have the bit of the group.
        "RestrictSUIDSGID",
    ];
    for setting in parting {
        assert!(!kubelet.lines().any(|line| line.starts_with(&format!("{setting}="))), "{setting}\n{kubelet}");
    }
    assert!(kubelet.contains("\nUMask=0022\n"), "pods enter folders that are made for them");
}

#[test]
fn the_agent_of_a_worker_writes_no_manifests() {
    let worker = units::render_agent(&spec(), false);
    assert!(worker.contains("\nReadOnlyPaths=/etc/kubernetes/manifests\n"), "{worker}");
    let written: Vec<&str> = worker.lines().filter_map(|line| line.strip_prefix("ReadWritePaths=")).collect();
    assert_eq!(written, ["/etc/cni/net.d /etc/kubernetes /etc/kubernetes/pki"]);
    let control_plane = units::render_agent(&spec(), true);
    assert!(control_plane.contains("\nReadWritePaths=/etc/cni/net.d\n"), "{control_plane}");
}
