//! Tables: a fact of the machine, and the finding that follows from it.

use jiff::SignedDuration;

use super::*;
use crate::config::cluster::{HostDefaults, Layers, derive_spec};
use crate::core::model::pki::{Authority, KeyPairFiles};
use crate::core::model::preflight::{DiskState, ObservedRules, ObservedRuntime, RuntimeState, TakenPort};
use crate::core::model::spec::Spec;

const GIB: u64 = 1 << 30;

fn spec_with(settings: &[(&str, &str)]) -> Spec {
    let host = HostDefaults { name: "n1".into(), address: Some([10, 0, 0, 1].into()), program: "/b".into() };
    let mut layers = Layers::defaults();
    for (name, value) in settings {
        assert_eq!(layers.add_flag(name, value), [], "{name}");
    }
    derive_spec(&layers, &host).unwrap()
}

/// A machine on which every run succeeds.
fn sound() -> MachineState {
    let runtime = RuntimeState {
        program: "containerd 2.4.2".into(),
        reports_driver: true,
        systemd_cgroup: Some(true),
        plugin_folders: vec!["/opt/cni/bin".into()],
        network_folder: Some("/etc/cni/net.d".into()),
        not_ready: None,
    };
    let disk = DiskState { free: 50 * GIB, size: 100 * GIB, sync: Some(std::time::Duration::from_millis(2)) };
    MachineState {
        root: true,
        systemd: true,
        runtime_unit: true,
        runtime: ObservedRuntime::Answers(runtime),
        rules: ObservedRules::Chains(Vec::new()),
        memory: 8 * GIB,
        cgroup_v2: true,
        has_address: true,
        ip_forward: true,
        etcd_disk: Some(disk.clone()),
        kubelet_disk: Some(disk),
        clock_ahead: Some(SignedDuration::from_secs(1)),
        ..MachineState::default()
    }
}

const INIT: Target<'static> = Target { purpose: Purpose::Init, control_plane: true, cluster_ca: None };
const JOIN: Target<'static> = Target { purpose: Purpose::Join, control_plane: false, cluster_ca: None };
const JOIN_CONTROL_PLANE: Target<'static> = Target { purpose: Purpose::Join, control_plane: true, cluster_ca: None };
const CHANGE: Target<'static> = Target { purpose: Purpose::Change, control_plane: true, cluster_ca: None };

/// The findings as lines: `error [check]: text`.
fn found(settings: &[(&str, &str)], target: &Target<'_>, machine: &MachineState) -> Vec<String> {
    let line = |finding: &Finding| {
        let word = if finding.fatal { "error" } else { "warning" };
        format!("{word} [{}]: {finding}", finding.check)
    };
    check(&spec_with(settings), target, machine).iter().map(line).collect()
}

fn runtime(change: impl FnOnce(&mut RuntimeState)) -> MachineState {
    let mut machine = sound();
    if let ObservedRuntime::Answers(runtime) = &mut machine.runtime {
        change(runtime);
    }
    machine
}

fn changed(change: impl FnOnce(&mut MachineState)) -> MachineState {
    let mut machine = sound();
    change(&mut machine);
    machine
}

#[test]
fn nothing_is_found_on_a_sound_machine() {
    for target in [INIT, JOIN, JOIN_CONTROL_PLANE, CHANGE] {
        assert_eq!(found(&[], &target, &sound()), Vec::<String>::new(), "{target:?}");
    }
}

#[test]
fn each_fact_has_its_finding() {
    let taken = |port, required| TakenPort { port, required, owner: Some("nginx (process 8)".into()) };
    let cases: Vec<(&str, Target<'_>, MachineState)> = vec![
        ("error [root]: not running as root", INIT, changed(|m| m.root = false)),
        ("error [systemd]: PID 1 is not systemd", INIT, changed(|m| m.systemd = false)),
        ("error [address]: no interface has the address 10.0.0.1", INIT, changed(|m| m.has_address = false)),
        ("error [swap]: swap is enabled (/dev/sda2)", JOIN, changed(|m| m.swaps = vec!["/dev/sda2".into()])),
        ("warning [cgroup-version]: ", JOIN, changed(|m| m.cgroup_v2 = false)),
        ("error [runtime]: containerd.service is not installed", JOIN, changed(|m| m.runtime_unit = false)),
        (
            "error [runtime]: containerd does not answer over CRI v1 at /run/containerd/containerd.sock (refused)",
            JOIN,
            changed(|m| m.runtime = ObservedRuntime::Silent("refused".into())),
        ),
        (
            "error [runtime]: containerd 2.4.2 cannot run containers (shim)",
            JOIN,
            runtime(|r| r.not_ready = Some("shim".into())),
        ),
        (
            "warning [runtime]: containerd 1.6.20 does not report",
            JOIN,
            runtime(|r| {
                r.program = "containerd 1.6.20".into();
                r.reports_driver = false;
            }),
        ),
        ("error [programs]: /b does not exist", JOIN, changed(|m| m.missing_programs = vec!["/b".into()])),
        ("error [archives]: /a does not exist", INIT, changed(|m| m.missing_archives = vec!["/a".into()])),
        (
            "error [cni-plugins]: the runtime finds no CNI plugin bridge, portmap in /opt/cni/bin",
            JOIN,
            changed(|m| {
                m.missing_plugins = vec!["bridge", "portmap"];
                m.plugin_folders = vec!["/opt/cni/bin".into()];
            }),
        ),
        (
            "error [cni-configuration]: containerd 2.4.2 reads CNI configurations from /etc/other, not from /etc/cni/net.d",
            JOIN,
            runtime(|r| r.network_folder = Some("/etc/other".into())),
        ),
        (
            "error [cni-configuration]: /etc/cni/net.d/05-other.conf comes before 10-roost.conflist",
            INIT,
            changed(|m| {
                m.traces.networks =
                    vec!["05-other.conf".into(), "10-roost.conflist".into(), "99-z.conf".into(), "00-readme".into()]
            }),
        ),
        (
            "error [nft]: nft does not run (no such file)",
            JOIN,
            changed(|m| m.rules = ObservedRules::Fails("no such file".into())),
        ),
        ("warning [modules]: kernel module br_netfilter", JOIN, changed(|m| m.missing_modules = vec!["br_netfilter"])),
        (
            "error [ports]: port 6443 is in use by nginx (process 8); stop that process",
            INIT,
            changed(|m| m.taken_ports = vec![taken(6443, true)]),
        ),
        (
            "warning [ports]: port 10249 is in use by nginx (process 8)",
            INIT,
            changed(|m| m.taken_ports = vec![taken(10249, false)]),
        ),
        (
            "error [etcd-disk]: the disk of /var/lib/etcd has 100 MiB free",
            INIT,
            changed(|m| m.etcd_disk = Some(DiskState { free: 100 << 20, size: GIB, sync: None })),
        ),
        (
            "warning [etcd-disk]: the disk of /var/lib/etcd has 1024 MiB free",
            JOIN_CONTROL_PLANE,
            changed(|m| m.etcd_disk = Some(DiskState { free: GIB, size: GIB, sync: None })),
        ),
        (
            "warning [etcd-disk]: a write to /var/lib/etcd takes up to 80 ms",
            INIT,
            changed(|m| {
                m.etcd_disk =
                    Some(DiskState { free: 9 * GIB, size: 9 * GIB, sync: Some(std::time::Duration::from_millis(80)) });
            }),
        ),
        (
            "warning [node-disk]: only 4 % of the disk of /var/lib/kubelet",
            JOIN,
            changed(|m| m.kubelet_disk = Some(DiskState { free: 4 * GIB, size: 100 * GIB, sync: None })),
        ),
        (
            "warning [memory]: this machine has 1024 MiB of memory; a control plane needs 1700 MiB",
            INIT,
            changed(|m| m.memory = GIB),
        ),
        (
            "error [clock]: this machine's clock is 400 s behind the API server's",
            JOIN,
            changed(|m| m.clock_ahead = Some(SignedDuration::from_secs(400))),
        ),
        (
            "warning [clock]: this machine's clock is 30 s ahead of the API server's",
            JOIN,
            changed(|m| m.clock_ahead = Some(SignedDuration::from_secs(-30))),
        ),
        ("error [leftovers]: /var/lib/etcd has data of another cluster", INIT, changed(|m| m.traces.etcd_data = true)),
        (
            "error [leftovers]: /var/lib/etcd has data of another cluster",
            JOIN_CONTROL_PLANE,
            changed(|m| m.traces.etcd_data = true),
        ),
        (
            "warning [leftovers]: /var/lib/roost/snapshots has snapshots of another cluster (3)",
            INIT,
            changed(|m| m.traces.snapshots = 3),
        ),
        (
            "error [role]: this machine is a worker of a cluster",
            INIT,
            changed(|m| {
                m.traces.joined = true;
                m.traces.kubelet_ca = Some(String::new());
            }),
        ),
    ];
    for (wanted, target, machine) in &cases {
        let lines = found(&[], target, machine);
        let [line] = lines.as_slice() else { panic!("{wanted}: {lines:?}") };
        assert!(line.starts_with(wanted), "{wanted}: {line}");
    }
}

#[test]
fn settings_that_allow_a_fact_silence_its_check() {
    let swap = changed(|m| m.swaps = vec!["/dev/sda2".into()]);
    assert!(found(&[("kubelet", "failSwapOn = false")], &JOIN, &swap).is_empty());
    let plugins = changed(|m| m.missing_plugins = vec!["bridge"]);
    assert!(found(&[("network.enabled", "false")], &JOIN, &plugins).is_empty());
    let driver = runtime(|r| {
        r.reports_driver = false;
        r.systemd_cgroup = Some(false);
    });
    let lines = found(&[], &JOIN, &driver);
    let wanted = "error [cgroup-driver]: containerd 2.4.2 uses the cgroup driver cgroupfs and the kubelet systemd";
    assert!(lines[0].starts_with(wanted), "{lines:?}");
    let lines = found(&[("kubelet", "cgroupDriver = \"cgroupfs\"")], &JOIN, &driver);
    assert!(!lines.iter().any(|line| line.contains("cgroup-driver")), "{lines:?}");
    let disk = changed(|m| m.kubelet_disk = Some(DiskState { free: 1, size: 100, sync: None }));
    assert!(found(&[("kubelet", "evictionHard = { \"nodefs.available\" = \"0%\" }")], &JOIN, &disk).is_empty());
    // etcd's folder does not matter to workers, and forwarding is the agent's where the network is ours.
    let etcd = changed(|m| m.etcd_disk = Some(DiskState::default()));
    assert!(found(&[], &JOIN, &etcd).is_empty());
    let forwarding = changed(|m| m.ip_forward = false);
    assert!(found(&[], &JOIN, &forwarding).is_empty());
    assert_eq!(found(&[("network.enabled", "false")], &JOIN, &forwarding).len(), 1);
    let name = [("node.name", "localhost")];
    assert!(found(&name, &JOIN, &sound())[0].starts_with("error [host-name]: the node's name is localhost"));
    let long = ["n"; 32].join(".") + "n";
    assert!(found(&[("node.name", &long)], &JOIN, &sound())[0].contains("has 64 characters"));
}

#[test]
fn our_own_processes_keep_no_port_from_us() {
    let taken = |port| TakenPort { port, required: true, owner: None };
    let ports = vec![taken(6443), taken(2381), taken(6444), taken(10250)];
    let count = |change: &dyn Fn(&mut MachineState)| {
        let mut machine = changed(|m| m.taken_ports = ports.clone());
        change(&mut machine);
        found(&[], &INIT, &machine).len()
    };
    assert_eq!(count(&|_| {}), 4);
    assert_eq!(count(&|m| m.kubelet_active = true), 0);
    assert_eq!(count(&|m| m.agent_active = true), 3);
    assert_eq!(count(&|m| m.services_active = true), 2);
}

#[test]
fn ports_are_needed_at_the_addresses_that_components_bind() {
    let at = |settings: &[(&str, &str)], port: u16| {
        let needs = control_plane_ports(&spec_with(settings));
        needs
            .into_iter()
            .find(|need| need.port == port)
            .map(|need| need.at.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(at(&[], 6443).unwrap(), ["0.0.0.0", "::"]);
    assert_eq!(at(&[], 10257).unwrap(), ["127.0.0.1"]);
    assert_eq!(
        at(&[("args", "[kube-controller-manager]\nbind-address = \"0.0.0.0\"")], 10257).unwrap(),
        ["0.0.0.0", "::"]
    );
    assert_eq!(at(&[], 2379).unwrap(), ["127.0.0.1", "10.0.0.1"]);
    assert_eq!(at(&[], 2380).unwrap(), ["10.0.0.1"]);
    assert_eq!(at(&[("network.proxy", "none")], 10256), None);
}

#[test]
fn firewalls_and_rules_of_another_proxy_are_found_in_the_list_of_chains() {
    let listing = "table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n\
        \tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n\
        table ip nat {\n\tchain KUBE-SERVICES {\n\t}\n}\n";
    let machine = changed(|m| m.rules = ObservedRules::Chains(parse_chains(listing)));
    let lines = found(&[], &JOIN, &machine);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("warning [firewall]: chain FORWARD of nftables table ip filter drops"), "{lines:?}");
    assert!(
        lines[0].contains("10.244.0.0/16") && lines[1].contains("chain KUBE-SERVICES of table ip nat"),
        "{lines:?}"
    );
    assert_eq!(found(&[("network.proxy", "iptables")], &JOIN, &machine).len(), 1);
    let ours = "table ip kube-proxy {\n\tchain services {\n\t}\n}\n";
    let machine = changed(|m| m.rules = ObservedRules::Chains(parse_chains(ours)));
    assert_eq!(found(&[], &JOIN, &machine), Vec::<String>::new());
    assert!(found(&[("network.proxy", "iptables")], &JOIN, &machine)[0].contains("kube-proxy in another mode"));
}

#[test]
fn certificates_of_another_cluster_are_found_and_a_rotated_ca_is_not_another_cluster() {
    let make = || {
        let files = KeyPairFiles::named("/pki".as_ref(), "ca");
        let wanted = Authority { files, common_name: "kubernetes".into(), life: std::time::Duration::from_secs(3600) };
        crate::ports::node::Pki::make_authority(&crate::adapters::x509::X509, &wanted, jiff::Timestamp::now())
            .unwrap()
            .public
    };
    let (ours, other) = (make(), make());
    let with = |ca: &str, kubelet: Option<&str>| {
        changed(|m| {
            m.traces.ca = Some(ca.to_owned());
            m.traces.kubelet_ca = kubelet.map(str::to_owned);
        })
    };
    let lines = found(&[], &INIT, &with(&ours, Some(&other)));
    assert!(lines[0].starts_with("error [leftovers]: /etc/kubernetes/kubelet.conf is of another cluster"), "{lines:?}");
    let both = format!("{ours}{other}");
    assert_eq!(found(&[], &INIT, &with(&both, Some(&other))), Vec::<String>::new());
    let target = Target { cluster_ca: Some(&ours), ..JOIN };
    let lines = found(&[], &target, &with(&other, None));
    assert!(lines[0].starts_with("error [leftovers]: /etc/kubernetes/pki/ca.crt is of another cluster"), "{lines:?}");
    assert_eq!(found(&[], &target, &with(&both, None)), Vec::<String>::new());
}

#[test]
fn single_checks_are_ignored_by_name_and_unknown_names_are_refused() {
    let ignored: Ignored = "ports".parse().unwrap();
    assert!(ignored.covers(Check::Ports) && !ignored.covers(Check::Swap));
    assert!("all".parse::<Ignored>().unwrap().covers(Check::Swap));
    let error = "port".parse::<Ignored>().unwrap_err().to_string();
    assert!(error.starts_with("unknown preflight check \"port\"; known: all, root, "), "{error}");
    let documented = include_str!("../../../../docs/preflight.md");
    for check in Check::all() {
        assert_eq!(check.name().parse(), Ok(Ignored::One(check)));
        assert!(documented.contains(&format!("`{check}`")), "docs/preflight.md lacks {check}");
    }
}
