//! The sandbox of our units: as analyzed by systemd, and the same on NixOS.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::collections::{BTreeMap, BTreeSet};

use roost::config::cluster::schema::SETTINGS;
use roost::config::cluster::{HostDefaults, Layers, derive_spec};
use roost::config::kubelet::fields::FIELDS;
use roost::core::bootstrap::{Facts, services, units};
use roost::core::model::spec::{Component, Spec};
use shared::spec_of;

fn spec() -> Spec {
    let names = Component::ALL.map(|name| format!("{name}=/bin/true")).join(",");
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
    let of_components = Component::ALL
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

/// In tenths: 3.0 for every unit; the kubelet needs mounts and files of others, so its limit is higher.
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

type Sections = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// A unit as sections, settings and values, without comments and line breaks.
fn sections(text: &str) -> Sections {
    let mut all = Sections::new();
    let mut name = String::new();
    for line in text.replace("\\\n  ", "").lines().filter(|line| !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name = section.to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            all.entry(name.clone()).or_default().entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    all
}

/// What the NixOS module declares (`nix/lib/units.json`): the units that we may declare, by role. `/PACKAGE` is the
/// package with the programs, and settings change what `nix/lib/units.nix` lists.
fn declared() -> BTreeMap<&'static str, BTreeMap<String, Sections>> {
    let mut spec = spec_of("NAME", "192.0.2.1", &[("node.units", "declared")]);
    spec.node.programs.bootstrap = "/PACKAGE/bin/bootstrap".into();
    spec.node.programs.kubelet = "/PACKAGE/bin/kubelet".into();
    let of_all = [
        (units::KUBELET, units::render_kubelet(&spec)),
        (units::STATIC_POD, units::render_static_pod(&spec)),
        (units::STATIC_PODS, units::render_static_pods()),
    ];
    let leaf = spec.cluster.certs.leaf;
    let snapshots = spec.cluster.snapshots.clone().unwrap();
    let of_control_planes = [
        (units::AGENT, units::render_agent(&spec, true)),
        (units::RENEWAL_SERVICE, units::render_renewal_service(&spec)),
        (units::RENEWAL_TIMER, units::render_renewal_timer(leaf)),
        (units::SNAPSHOT_SERVICE, units::render_snapshot_service(&spec, snapshots.keep)),
        (units::SNAPSHOT_TIMER, units::render_snapshot_timer(&snapshots.schedule)),
        (units::DRILL_SERVICE, units::render_drill_service(&spec)),
        (units::DRILL_TIMER, units::render_drill_timer(&snapshots.drills.unwrap())),
    ];
    let order =
        units::STATIC_POD_ORDER.map(|(name, text)| (name.trim_end_matches(".d/10-roost.conf"), text.to_owned()));
    let parsed = |units: &[(&str, String)]| {
        units.iter().map(|(name, text)| ((*name).to_owned(), sections(text))).collect::<BTreeMap<_, _>>()
    };
    BTreeMap::from([
        ("node", parsed(&of_all)),
        ("control-plane", parsed(&of_control_planes)),
        ("worker", parsed(&[(units::AGENT, units::render_agent(&spec, false))])),
        ("static-pods", parsed(&order)),
    ])
}

/// Compares a file of `nix/lib` with its source. `UPDATE_GOLDEN=1` rewrites it, and still fails.
#[track_caller]
fn is_kept(name: &str, value: &impl serde::Serialize, what: &str) {
    let file = format!("{}/nix/lib/{name}", env!("CARGO_MANIFEST_DIR"));
    let rendered = serde_json::to_string_pretty(value).unwrap() + "\n";
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &rendered).unwrap();
    }
    assert!(kept == rendered, "nix/lib/{name} is not {what}; UPDATE_GOLDEN=1 writes it anew");
}

/// One source for both: NixOS declares what `bootstrap` would write.
#[test]
fn nixos_declares_what_we_render() {
    is_kept("units.json", &declared(), "what the units are");
}

/// The names and types of all settings, for faults that NixOS finds when a system is built.
#[test]
fn nixos_knows_every_setting() {
    let kinds: BTreeMap<&str, String> =
        SETTINGS.iter().map(|setting| (setting.name, format!("{:?}", setting.kind))).collect();
    is_kept("settings.json", &kinds, "the table of settings");
}

/// Every field of KubeletConfiguration with its type, for the same purpose.
#[test]
fn nixos_knows_every_field_of_the_kubelet() {
    let kinds: BTreeMap<&str, String> = FIELDS.iter().map(|field| (field.path, format!("{:?}", field.kind))).collect();
    is_kept("kubelet-fields.json", &kinds, "the table of fields");
}

const GOLDENS: [(&str, &str); 5] = [
    ("both-address-families", include_str!("nix/golden/both-address-families.txt")),
    ("joining-control-plane", include_str!("nix/golden/joining-control-plane.txt")),
    ("single-node", include_str!("nix/golden/single-node.txt")),
    ("three-control-planes", include_str!("nix/golden/three-control-planes.txt")),
    ("worker", include_str!("nix/golden/worker.txt")),
];

/// A section of a golden, without its heading.
fn part<'a>(golden: &'a str, headline: &str) -> &'a str {
    let rest = golden.split_once(&format!("{headline}\n")).unwrap().1;
    &rest[..rest.find("\n# ").unwrap()]
}

/// The settings that NixOS writes are valid settings of ours, and the kubelet has the flags that they need.
#[test]
fn settings_and_flags_of_nixos_are_ours() {
    for (name, golden) in GOLDENS {
        let mut layers = Layers::defaults();
        let text = part(golden, "# file /etc/roost/cluster.toml");
        assert_eq!(layers.add_file("cluster.toml".as_ref(), text), [], "{name}");
        let host = HostDefaults { name: "n9".into(), address: Some([192, 0, 2, 9].into()), program: "/b".into() };
        let spec = derive_spec(&layers, &host).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        assert!(spec.node.declared_units, "{name}");
        let flags = |text: &str| {
            let start = sections(text).remove("Service").unwrap().remove("ExecStart").unwrap().remove(0);
            start.split(' ').map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let (ours, theirs) = (flags(&units::render_kubelet(&spec)), flags(part(golden, "# unit kubelet.service")));
        let found_out = |flag: &&String| flag.starts_with("--hostname-override=") || flag.starts_with("--node-ip=");
        assert_eq!(theirs.difference(&ours).collect::<Vec<_>>(), Vec::<&String>::new(), "{name}");
        let missing: Vec<_> = ours.difference(&theirs).filter(|flag| !found_out(flag)).collect();
        assert_eq!(missing, Vec::<&String>::new(), "{name}");
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

/// Every setting that gives the kubelet a mount namespace hides its volumes from the runtime
/// (`exec_needs_mount_namespace` in systemd's src/core/execute.c).
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
        // These deny access to devices, and volumes are devices.
        "ProtectClock",
        "DeviceAllow",
        "DevicePolicy",
        // Folders of an `fsGroup` have the setgid bit.
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
