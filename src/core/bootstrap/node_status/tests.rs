//! A healthy node, and what each fault of it is reported as.

use super::text::{document, render};
use super::*;
use crate::core::bootstrap::drill::DrillContents;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn unit(name: &str) -> UnitStatus {
    UnitStatus { unit: name.into(), state: "active".into(), enabled: true }
}

fn api(url: &str) -> Option<ApiStatus> {
    Some(ApiStatus { url: url.into(), ready: true, answers_at: None })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition { kind: kind.into(), status: status.into(), reason: reason.into(), message: message.into() }
}

fn member(name: &str, fault: Option<&str>) -> EtcdMember {
    EtcdMember {
        name: name.into(),
        has_leader: fault.is_none(),
        fault: fault.map(str::to_owned),
        ..EtcdMember::default()
    }
}

fn healthy() -> NodeStatus {
    let node = NodeView {
        machine_id: "m1".into(),
        boot_id: "b1".into(),
        addresses: ["10.0.0.1".parse().unwrap()].into(),
        kubelet: "v1.36.3".parse().ok(),
        conditions: vec![
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ],
        unschedulable: false,
    };
    NodeStatus {
        node: "n1".into(),
        role: Role::ControlPlane,
        control_plane: true,
        cluster_version: "v1.36.3".into(),
        machine: MachineStatus {
            machine_id: "m1".into(),
            boot_id: "b1".into(),
            address: "10.0.0.1".parse().ok(),
            has_address: true,
            external_cloud: false,
            kubelet_since: "2025-12-01T00:00:00Z".parse().ok(),
        },
        units: vec![unit("kubelet.service"), unit("roost-agent.service")],
        api: api("https://10.0.0.1:6443/readyz"),
        endpoint: api("https://127.0.0.1:6444/readyz"),
        static_pods: Some(vec![StaticPodStatus {
            pod: "kube-system/etcd-n1".into(),
            running: 1,
            containers: 1,
            restarts: 2,
        }]),
        certificates: vec![CertificateStatus {
            path: "/etc/kubernetes/pki/apiserver.crt".into(),
            not_after: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            renewed_at: Some("2026-08-01T00:00:00Z".parse().unwrap()),
            fault: None,
            remedy: Some("run `bootstrap certs renew`"),
        }],
        etcd: Some(EtcdStatus {
            listed: true,
            members: ["n1", "n2", "n3"].map(|name| member(name, None)).into(),
            ..EtcdStatus::default()
        }),
        disks: vec![DiskStatus {
            path: "/var/lib/kubelet".into(),
            available: 50 << 30,
            capacity: 100 << 30,
            inodes_free: 1000,
            inodes: 1000,
        }],
        network: NetworkStatus {
            builtin: true,
            folder: "/etc/cni/net.d".into(),
            configuration: Some("10-roost.conflist".into()),
            plugin_folders: vec!["/opt/cni/bin".into()],
            probes: vec![NetworkProbe {
                node: "n2".into(),
                pod: "x/web".into(),
                address: "10.244.1.3".parse().unwrap(),
                fault: None,
            }],
            ..NetworkStatus::default()
        },
        kube_proxy: Some(ProxyStatus { pod: Some("kube-system/kube-proxy-x".into()), fault: None }),
        dns: Some(DnsStatus {
            server: "10.96.0.10".parse().unwrap(),
            name: "kubernetes.default.svc.cluster.local".into(),
            addresses: vec!["10.96.0.1".parse().unwrap()],
            expected: "10.96.0.1".parse().ok(),
            fault: None,
        }),
        cluster: Some(ClusterView {
            kubeconfig: "/etc/kubernetes/admin.conf".into(),
            node: Some(node),
            core_dns: Some(CoreDnsView { ready: 2, wanted: 2, pods: Vec::new() }),
            api_servers: ["v1.36.3".parse().unwrap()].into(),
            ..ClusterView::default()
        }),
        ..NodeStatus::default()
    }
}

/// The problems of a node with this fault, one line each.
fn problems_with(fault: impl FnOnce(&mut NodeStatus)) -> Vec<String> {
    let mut status = healthy();
    fault(&mut status);
    status.judge(now()).problems.iter().map(ToString::to_string).collect()
}

fn node_of(status: &mut NodeStatus) -> &mut NodeView {
    status.cluster.as_mut().unwrap().node.as_mut().unwrap()
}

#[test]
fn a_healthy_node_has_no_problems() {
    let report = healthy().judge(now());
    assert_eq!(report, Report::default());
    assert!(render(&healthy(), &report, now()).ends_with("no problems"));
}

#[test]
fn each_fault_is_named_with_its_remedy() {
    type Fault = Box<dyn FnOnce(&mut NodeStatus)>;
    let cases: Vec<(&str, Fault)> = vec![
        ("kubelet stopped", Box::new(|s| s.units[0].state = "inactive".into())),
        ("agent disabled", Box::new(|s| s.units[1].enabled = false)),
        (
            "agent stopped",
            Box::new(|s| {
                s.units[1].state = "inactive".into();
                s.endpoint.as_mut().unwrap().ready = false;
            }),
        ),
        ("API server down", Box::new(|s| s.api.as_mut().unwrap().ready = false)),
        (
            "API server behind another address",
            Box::new(|s| {
                let api = s.api.as_mut().unwrap();
                (api.ready, api.answers_at) = (false, Some("https://127.0.0.1:6443/readyz".into()));
                s.machine.has_address = false;
            }),
        ),
        ("endpoint elsewhere", Box::new(|s| s.endpoint.as_mut().unwrap().ready = false)),
        ("runtime down", Box::new(|s| s.static_pods = None)),
        (
            "kube-proxy crashes",
            Box::new(|s| {
                s.kube_proxy.as_mut().unwrap().fault = Some("Not ready; kube-proxy: CrashLoopBackOff: back-off".into());
            }),
        ),
        ("kube-proxy missing", Box::new(|s| s.kube_proxy = Some(ProxyStatus::default()))),
        (
            "CoreDNS down",
            Box::new(|s| {
                let pods = vec![PodView {
                    pod: "kube-system/coredns-1".into(),
                    fault: Some("Not ready; coredns: CrashLoopBackOff".into()),
                }];
                s.cluster.as_mut().unwrap().core_dns = Some(CoreDnsView { ready: 0, wanted: 2, pods });
                let dns = s.dns.as_mut().unwrap();
                (dns.fault, dns.addresses) = (Some("timed out after 2 s".into()), Vec::new());
            }),
        ),
        ("another DNS answers", Box::new(|s| s.dns.as_mut().unwrap().addresses = vec!["10.9.9.9".parse().unwrap()])),
        ("CNI plugins missing", Box::new(|s| s.network.missing_plugins = vec!["bridge".into(), "portmap".into()])),
        ("no CNI configuration", Box::new(|s| s.network.configuration = None)),
        ("another CNI wins", Box::new(|s| s.network.configuration = Some("05-cilium.conflist".into()))),
        ("pod network cut", Box::new(|s| s.network.probes[0].fault = Some("i/o timeout".into()))),
        ("Node taken over", Box::new(|s| node_of(s).machine_id = "m2".into())),
        ("taken over by a clone", Box::new(|s| node_of(s).boot_id = "b2".into())),
        ("Node deleted", Box::new(|s| s.cluster.as_mut().unwrap().node = None)),
        ("Node elsewhere", Box::new(|s| node_of(s).addresses = ["10.0.0.9".parse().unwrap()].into())),
        (
            "Node not Ready",
            Box::new(|s| {
                node_of(s).conditions =
                    vec![condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")]
            }),
        ),
        (
            "disk full",
            Box::new(|s| {
                s.disks[0].available = 1 << 30;
                node_of(s).conditions[1] =
                    condition("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure");
            }),
        ),
        ("inodes full", Box::new(|s| s.disks[0].inodes_free = 3)),
        (
            "certificate over",
            Box::new(|s| {
                s.certificates[0].fault = Some("it expired at 2025-12-31T00:00:00Z".into());
            }),
        ),
        (
            "certificate near its end",
            Box::new(|s| {
                s.certificates[0].renewed_at = "2025-09-01T00:00:00Z".parse().ok();
                s.certificates[0].not_after = "2026-01-03T00:00:00Z".parse().ok();
            }),
        ),
        ("API denies", Box::new(|s| (s.cluster, s.cluster_fault) = (None, Some("get Node n1: Unauthorized".into())))),
        ("etcd member lost", Box::new(|s| s.etcd.as_mut().unwrap().members[2] = member("n3", Some("no answer")))),
        (
            "etcd quorum lost",
            Box::new(|s| {
                for name in [1, 2] {
                    s.etcd.as_mut().unwrap().members[name] = member(["n1", "n2", "n3"][name], Some("no answer"));
                }
            }),
        ),
        ("only etcd down", Box::new(|s| s.etcd.as_mut().unwrap().members = vec![member("n1", Some("no answer"))])),
        (
            "etcd out of space",
            Box::new(|s| {
                s.etcd.as_mut().unwrap().members[0] = EtcdMember { has_leader: true, ..member("n1", Some("NOSPACE")) };
            }),
        ),
        (
            "etcd nearly out of space",
            Box::new(|s| {
                s.etcd.as_mut().unwrap().members[0] = EtcdMember { db_size: 95, db_quota: 100, ..member("n1", None) };
            }),
        ),
        (
            "manifest invalid",
            Box::new(|s| {
                s.manifests = vec![ManifestStatus {
                    path: "/m/web.yaml".into(),
                    faults: vec!["line 3, column 5: kind: is missing".into()],
                    ..ManifestStatus::default()
                }]
            }),
        ),
        (
            "pod rejected",
            Box::new(|s| {
                s.manifests = vec![ManifestStatus {
                    path: "/m/large.yaml".into(),
                    pod: Some("default/large-n1".into()),
                    refused: Some("OutOfcpu: Node didn't have enough resource: cpu".into()),
                    ..ManifestStatus::default()
                }]
            }),
        ),
        (
            "pod not Ready",
            Box::new(|s| {
                s.static_pods.as_mut().unwrap()[0].running = 0;
                s.manifests = vec![ManifestStatus {
                    path: "/m/etcd.yaml".into(),
                    pod: Some("kube-system/etcd-n1".into()),
                    has_pod: true,
                    not_ready: Some(
                        "Not ready, 0 of 1 containers ready, 9 restarts; etcd: CrashLoopBackOff: back-off".into(),
                    ),
                    unit: Some("static-pod@etcd".into()),
                    ..ManifestStatus::default()
                }];
            }),
        ),
        (
            "pod missing",
            Box::new(|s| s.manifests = vec![ManifestStatus { path: "/m/a.yaml".into(), ..ManifestStatus::default() }]),
        ),
        (
            "set rolled back",
            Box::new(|s| {
                s.manifest_sets = vec![ManifestSetStatus { name: "edge".into(), outcome: "rolled back at x: y".into() }]
            }),
        ),
        (
            "drill failed",
            Box::new(|s| {
                s.drill = Some(DrillResult {
                    at: now(),
                    cluster: None,
                    snapshot: None,
                    contents: None,
                    fault: Some("it is not a complete etcd snapshot".into()),
                })
            }),
        ),
        ("kubelet too new", Box::new(|s| node_of(s).kubelet = "v1.37.0".parse().ok())),
        ("kubelet too old", Box::new(|s| node_of(s).kubelet = "v1.32.0".parse().ok())),
        ("no node", Box::new(|s| *s = NodeStatus { node: "n1".into(), ..NodeStatus::default() })),
        ("join interrupted", Box::new(|s| s.role = Role::Joining)),
    ];
    let mut lines = Vec::new();
    for (name, fault) in cases {
        let problems = problems_with(fault);
        assert!(!problems.is_empty(), "{name}");
        lines.push(format!("{name}:"));
        lines.extend(problems.iter().map(|problem| format!("  {problem}")));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_no_fault_of_the_node_is_a_note() {
    let mut status = healthy();
    status.failed_jobs = vec!["roost-snapshot.service".into()];
    node_of(&mut status).unschedulable = true;
    node_of(&mut status).conditions.push(condition("KernelDeadlock", "True", "DockerHung", "task hung"));
    status.snapshots = Some(SnapshotsStatus { scheduled: true, of_other_clusters: 2, ..SnapshotsStatus::default() });
    let cluster = status.cluster.as_mut().unwrap();
    cluster.network_policies = Some(2);
    cluster.core_dns.as_mut().unwrap().ready = 1;
    let report = status.judge(now());
    assert_eq!((report.problems.len(), report.notes.len()), (0, 7), "{report:?}");
    let text = render(&status, &report, now());
    assert!(text.contains("note: Node n1 is cordoned") && text.ends_with("no problems"), "{text}");
}

#[test]
fn a_reboot_is_no_other_machine_until_the_kubelet_had_time_to_say_so() {
    let mut status = healthy();
    node_of(&mut status).boot_id = "before".into();
    let problems = |since: Option<&str>| {
        let mut status = status.clone();
        status.machine.kubelet_since = since.map(|since| since.parse().unwrap());
        status.judge(now()).problems.len()
    };
    assert_eq!(problems(None), 0);
    assert_eq!(problems(Some("2025-12-31T23:59:30Z")), 0);
    assert_eq!(problems(Some("2025-12-31T23:58:00Z")), 1);
}

#[test]
fn a_cloud_may_know_a_node_by_other_addresses() {
    let problems = problems_with(|status| {
        status.machine.external_cloud = true;
        node_of(status).addresses = ["203.0.113.9".parse().unwrap()].into();
    });
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_short_life_is_no_problem_until_renewal_is_late() {
    let mut status = healthy();
    status.certificates[0].not_after = Some("2026-01-01T00:06:00Z".parse().unwrap());
    status.certificates[0].renewed_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let at = |text: &str| status.judge(text.parse().unwrap()).problems.len();
    assert_eq!((at("2026-01-01T00:02:59Z"), at("2026-01-01T00:03:01Z")), (0, 1));
}

/// Every name in the document is in camelCase, and the guide has it.
#[test]
fn the_document_has_one_casing_and_is_in_the_guide() {
    let mut status = healthy();
    status.manifests = vec![ManifestStatus { pod: Some("a/b".into()), ..ManifestStatus::default() }];
    status.manifest_sets = vec![ManifestSetStatus { name: "a".into(), outcome: "b".into() }];
    status.snapshots = Some(SnapshotsStatus::default());
    let contents = DrillContents { size: 1, revision: 1, keys: 1, hash: 1, millis: 1 };
    status.drill =
        Some(DrillResult { at: now(), cluster: None, snapshot: None, contents: Some(contents), fault: None });
    status.units[0].state = "failed".into();
    let document = document(&status, &status.judge(now()), now());
    let mut names = std::collections::BTreeSet::new();
    let mut rest = vec![&document];
    while let Some(value) = rest.pop() {
        match value {
            serde_json::Value::Object(fields) => {
                names.extend(fields.keys().cloned());
                rest.extend(fields.values());
            }
            serde_json::Value::Array(items) => rest.extend(items),
            _ => {}
        }
    }
    let guide = include_str!("../../../../docs/status.md");
    for name in &names {
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric()) && name.starts_with(|c: char| c.is_ascii_lowercase()),
            "{name}"
        );
        assert!(guide.contains(&format!("`{name}`")), "docs/status.md does not mention {name}");
    }
    assert!(names.len() > 60, "{names:?}");
}
