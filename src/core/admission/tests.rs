//! Tables of pods and nodes.

use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use super::*;
use crate::core::model::Release;

fn node() -> NodeFacts {
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": "n1", "labels": {"zone": "a", "size": "5"}},
        "spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "3", "x.io/gpu": "1"},
            "declaredFeatures": ["RestartAllContainersOnContainerExits"]}}))
    .expect("a node");
    NodeFacts { safe_sysctls: Release::newest().safe_sysctls, ..NodeFacts::of(&node) }
}

fn pod(name: &str, spec: Value) -> Arc<Pod> {
    let mut pod = json!({"metadata": {"name": name, "uid": name}, "spec": {"containers": [{"name": "c"}]}});
    pod["spec"].as_object_mut().expect("a spec").extend(spec.as_object().cloned().unwrap_or_default());
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn requesting(name: &str, requests: Value) -> Arc<Pod> {
    pod(name, json!({"containers": [{"name": "c", "resources": {"requests": requests}}]}))
}

fn critical(requests: Value) -> Arc<Pod> {
    let containers = json!([{"name": "c", "resources": {"requests": requests}}]);
    pod("critical", json!({"priority": 2_000_000_000, "containers": containers}))
}

fn reason(pod: &Pod, active: &[Arc<Pod>], node: &NodeFacts) -> String {
    match decide(pod, false, active, node) {
        Verdict::Admit => "admit".into(),
        Verdict::Preempt { victims, .. } => format!("preempt {victims:?}"),
        Verdict::Reject(rejection) => rejection.reason,
    }
}

#[test]
fn resources_are_counted_with_overhead_and_over_all_active_pods() {
    let active = [requesting("a", json!({"cpu": "1500m", "memory": "1Gi"}))];
    let fits = |requests: Value| reason(&requesting("p", requests), &active, &node());
    assert_eq!(fits(json!({"cpu": "500m"})), "admit");
    assert_eq!(fits(json!({"cpu": "501m"})), "OutOfcpu");
    assert_eq!(fits(json!({"memory": "3073Mi"})), "OutOfmemory");
    assert_eq!(fits(json!({"ephemeral-storage": "1"})), "OutOfephemeral-storage");
    assert_eq!(fits(json!({"x.io/gpu": "2"})), "OutOfx.io/gpu");
    assert_eq!(fits(json!({"y.io/other": "2"})), "admit", "unknown to the node");
    assert_eq!(fits(json!({"hugepages-2Mi": "2Mi"})), "OutOfhugepages-2Mi");
    let heavy = pod("p", json!({"overhead": {"cpu": "600m"}}));
    assert_eq!(reason(&heavy, &active, &node()), "OutOfcpu");
    let Verdict::Reject(rejection) = decide(&requesting("p", json!({"cpu": "1"})), false, &active, &node()) else {
        panic!("too much processor time")
    };
    assert_eq!(rejection.message, "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000");
}

#[test]
fn a_node_that_knows_no_limits_takes_everything() {
    let unknown = NodeFacts { name: "n1".into(), ..NodeFacts::default() };
    assert_eq!(reason(&requesting("p", json!({"cpu": "100"})), &[], &unknown), "admit");
}

#[test]
fn the_number_of_pods_is_limited() {
    let active: Vec<_> = ["a", "b", "c"].map(|name| pod(name, json!({}))).into();
    assert_eq!(reason(&pod("p", json!({})), &active, &node()), "OutOfpods");
    assert_eq!(reason(&pod("p", json!({})), &active[..2], &node()), "admit");
}

#[test]
fn selectors_and_affinity_follow_the_scheduler() {
    let term = |key: &str, operator: &str, values: Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]}}}})
    };
    for (spec, expected) in [
        (json!({"nodeSelector": {"zone": "a"}}), "admit"),
        (json!({"nodeSelector": {"zone": "b"}}), "NodeAffinity"),
        (term("zone", "In", json!(["b", "a"])), "admit"),
        (term("zone", "NotIn", json!(["a"])), "NodeAffinity"),
        (term("none", "NotIn", json!(["a"])), "admit"),
        (term("none", "Exists", json!(null)), "NodeAffinity"),
        (term("none", "DoesNotExist", json!(null)), "admit"),
        (term("size", "Gt", json!(["4"])), "admit"),
        (term("size", "Lt", json!(["4"])), "NodeAffinity"),
        (term("zone", "Gt", json!(["4"])), "NodeAffinity"),
        (json!({"nodeName": "n1"}), "admit"),
        (json!({"nodeName": "n2"}), "NodeName"),
        (
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{}]}}}}),
            "NodeAffinity",
        ),
    ] {
        assert_eq!(reason(&pod("p", spec.clone()), &[], &node()), expected, "{spec}");
    }
}

#[test]
fn host_ports_collide_by_address_and_protocol() {
    let with_port = |port: Value| pod("p", json!({"containers": [{"name": "c", "ports": [port]}]}));
    let taken = with_port(json!({"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.1"}));
    for (port, expected) in [
        (json!({"containerPort": 1, "hostPort": 80}), "NodePorts"),
        (json!({"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.2"}), "admit"),
        (json!({"containerPort": 1, "hostPort": 80, "protocol": "UDP"}), "admit"),
        (json!({"containerPort": 80}), "admit"),
    ] {
        assert_eq!(reason(&with_port(port.clone()), std::slice::from_ref(&taken), &node()), expected, "{port}");
    }
}

#[test]
fn only_taints_that_drive_out_count_and_not_for_static_pods() {
    let mut tainted = node();
    assert_eq!(reason(&pod("p", json!({})), &[], &tainted), "admit");
    tainted.taints[0].effect = "NoExecute".into();
    let tolerations = |t: Value| pod("p", json!({"tolerations": [t]}));
    for (toleration, expected) in [
        (json!({"key": "k", "value": "v"}), "admit"),
        (json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), "admit"),
        (json!({"operator": "Exists"}), "admit"),
        (json!({"key": "k", "value": "w"}), "TaintToleration"),
        (json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}), "TaintToleration"),
    ] {
        assert_eq!(reason(&tolerations(toleration.clone()), &[], &tainted), expected, "{toleration}");
    }
    assert_eq!(decide(&pod("p", json!({})), true, &[], &tainted), Verdict::Admit);
}

#[test]
fn a_critical_pod_pushes_the_fewest_and_least_aside() {
    let active = [
        requesting("small", json!({"cpu": "200m"})),
        requesting("large", json!({"cpu": "1"})),
        requesting("medium", json!({"cpu": "800m"})),
    ];
    let roomy = NodeFacts { allocatable: NodeFacts { ..node() }.allocatable, ..node() };
    let mut roomy = roomy;
    roomy.allocatable.insert("pods".into(), crate::core::model::Amount::from_units(10));
    assert_eq!(reason(&critical(json!({"cpu": "700m"})), &active, &roomy), "preempt [medium]");
    assert_eq!(reason(&critical(json!({"cpu": "200m"})), &active, &roomy), "preempt [small]");
    assert_eq!(reason(&critical(json!({"cpu": "3"})), &active, &roomy), "UnexpectedAdmissionError");
    assert_eq!(reason(&requesting("p", json!({"cpu": "700m"})), &active, &roomy), "OutOfcpu");
    let elsewhere = pod(
        "p",
        json!({"priority": 2_000_000_000, "nodeSelector": {"zone": "b"},
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "700m"}}}]}),
    );
    assert_eq!(reason(&elsewhere, &active, &roomy), "NodeAffinity");
    let full = [pod("a", json!({})), pod("b", json!({})), requesting("c", json!({"cpu": "1"}))];
    assert_eq!(reason(&critical(json!({})), &full, &node()), "preempt [a]", "a place for a pod is a resource too");
}

#[test]
fn guaranteed_pods_go_last() {
    let guaranteed = pod(
        "guaranteed",
        json!({"containers": [{"name": "c", "resources": {
        "requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}}]}),
    );
    let active = [guaranteed, requesting("a", json!({"cpu": "500m"})), requesting("b", json!({"cpu": "500m"}))];
    let mut roomy = node();
    roomy.allocatable.insert("pods".into(), crate::core::model::Amount::from_units(10));
    assert_eq!(reason(&critical(json!({"cpu": "1"})), &active, &roomy), "preempt [a, b]");
    assert_eq!(reason(&critical(json!({"cpu": "2"})), &active, &roomy), "preempt [a, b, guaranteed]");
}

#[test]
fn pressure_keeps_pods_away() {
    let mut short = node();
    short.pressure.memory = true;
    let best_effort = pod("p", json!({}));
    assert_eq!(reason(&best_effort, &[], &short), "Evicted");
    assert_eq!(reason(&requesting("p", json!({"cpu": "1m"})), &[], &short), "admit");
    let tolerant =
        pod("p", json!({"tolerations": [{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]}));
    assert_eq!(reason(&tolerant, &[], &short), "admit");
    short.pressure.disk = true;
    let Verdict::Reject(rejection) = decide(&requesting("p", json!({"cpu": "1m"})), false, &[], &short) else {
        panic!("no room on the disk")
    };
    assert_eq!(rejection.message, "The node had condition: [MemoryPressure DiskPressure]. ");
    assert_eq!(reason(&critical(json!({})), &[], &short), "admit");
    assert_eq!(decide(&best_effort, true, &[], &short), Verdict::Admit);
}

#[test]
fn sysctls_are_safe_allowed_or_forbidden() {
    let with = |name: &str, more: Value| {
        let mut spec = json!({"securityContext": {"sysctls": [{"name": name, "value": "1"}]}});
        spec.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        let mut lenient = node();
        lenient.unsafe_sysctls = vec!["kernel.msg*".into(), "net.core.somaxconn".into()];
        reason(&pod("p", spec), &[], &lenient)
    };
    for (name, expected) in [
        ("kernel.shm_rmid_forced", "admit"),
        ("kernel/shm_rmid_forced", "admit"),
        ("net.ipv4.tcp_rmem", "admit"),
        ("kernel.msgmax", "admit"),
        ("net.core.somaxconn", "admit"),
        ("net.core.somaxconn2", "SysctlForbidden"),
        ("vm.swappiness", "SysctlForbidden"),
    ] {
        assert_eq!(with(name, json!({})), expected, "{name}");
    }
    for (release, expected) in Release::all().into_iter().zip(["SysctlForbidden", "SysctlForbidden", "admit"]) {
        let claimed = NodeFacts { safe_sysctls: release.safe_sysctls, ..node() };
        for name in ["net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"] {
            let spec = json!({"securityContext": {"sysctls": [{"name": name, "value": "0"}]}});
            assert_eq!(reason(&pod("p", spec), &[], &claimed), expected, "{name} in {release:?}");
        }
    }
    assert_eq!(with("kernel.shm_rmid_forced", json!({"hostIPC": true})), "SysctlForbidden");
    assert_eq!(with("net.ipv4.tcp_rmem", json!({"hostNetwork": true})), "SysctlForbidden");
    assert_eq!(with("net.ipv4.tcp_rmem", json!({"hostIPC": true})), "admit");
}

#[test]
fn systems_that_are_not_this_one_are_refused() {
    let strict = json!({"securityContext": {"supplementalGroupsPolicy": "Strict"}});
    assert_eq!(reason(&pod("p", strict.clone()), &[], &node()), "SupplementalGroupsPolicyNotSupported");
    assert_eq!(reason(&pod("p", strict), &[], &NodeFacts { strict_groups: true, ..node() }), "admit");
    assert_eq!(reason(&pod("p", json!({"os": {"name": "windows"}})), &[], &node()), "PodOSNotSupported");
    let mut labelled = (*pod("p", json!({}))).clone();
    labelled.metadata.labels = Some([("kubernetes.io/os".to_owned(), "windows".to_owned())].into());
    assert_eq!(reason(&labelled, &[], &node()), "PodOSSelectorNodeLabelDoesNotMatch");
}

#[test]
fn apparmor_features_and_shutdown_come_last() {
    let profile = |p: Value| pod("p", json!({"securityContext": {"appArmorProfile": p}}));
    assert_eq!(reason(&profile(json!({"type": "RuntimeDefault"})), &[], &node()), "AppArmor");
    assert_eq!(reason(&profile(json!({"type": "Unconfined"})), &[], &node()), "admit");
    let armed = NodeFacts { apparmor: true, ..node() };
    assert_eq!(reason(&profile(json!({"type": "RuntimeDefault"})), &[], &armed), "admit");
    assert_eq!(reason(&profile(json!({"type": "Localhost", "localhostProfile": " "})), &[], &armed), "AppArmor");
    let rules = json!({"containers": [{"name": "c", "restartPolicyRules": [{"action": "RestartAllContainers"}]}]});
    assert_eq!(reason(&pod("p", rules.clone()), &[], &node()), "admit");
    let plain = NodeFacts { features: Default::default(), ..node() };
    assert_eq!(reason(&pod("p", rules), &[], &plain), "PodFeatureUnsupported");
    assert_eq!(reason(&pod("p", json!({})), &[], &NodeFacts { shutting_down: true, ..node() }), "NodeShutdown");
}

#[test]
fn a_pod_of_thousands_of_containers_is_refused() {
    let containers = |count: usize| (0..count).map(|i| json!({"name": format!("c{i}")})).collect::<Vec<_>>();
    let refused = |spec: Value| reason(&pod("p", spec), &[], &node());
    assert_eq!(refused(json!({"containers": containers(1000)})), "admit");
    assert_eq!(refused(json!({"containers": containers(1001)})), "TooManyContainers");
    assert_eq!(refused(json!({"initContainers": containers(1000)})), "TooManyContainers");
    let named = |count: usize| (0..count).map(|i| json!({"name": format!("v{i}")})).collect::<Vec<_>>();
    assert_eq!(refused(json!({"volumes": named(1000)})), "admit");
    assert_eq!(refused(json!({"volumes": named(1001)})), "TooManyVolumes");
    let mounting = |count: usize| {
        let mounts: Vec<_> = (0..count).map(|i| json!({"name": "v", "mountPath": format!("/{i}")})).collect();
        json!({"containers": [{"name": "c", "volumeMounts": mounts.clone()}, {"name": "d", "volumeMounts": mounts}]})
    };
    assert_eq!(refused(mounting(5000)), "admit");
    assert_eq!(refused(mounting(5001)), "TooManyVolumeMounts");
    let debugged = pod("p", json!({"containers": containers(990), "ephemeralContainers": containers(5000)}));
    let kept = without_surplus(&debugged).expect("a smaller one");
    assert_eq!(kept.spec.expect("a spec").ephemeral_containers.expect("some").len(), 10);
    assert_eq!(without_surplus(&pod("p", json!({"ephemeralContainers": containers(999)}))), None);
}

#[test]
fn a_pod_with_a_word_that_nobody_knows_is_refused_before_it_starts_and_left_alone_when_it_runs() {
    let odd = |status: Value| {
        let mut odd = Pod::clone(&pod("odd", json!({"securityContext": {"seccompProfile": {"type": "Strictest"}}})));
        odd.status = serde_json::from_value(status).expect("a status");
        odd
    };
    assert_eq!(reason(&odd(json!({"phase": "Pending"})), &[], &node()), "UnsupportedPodSpec");
    assert_eq!(reason(&odd(json!(null)), &[], &node()), "UnsupportedPodSpec");
    assert_eq!(reason(&odd(json!({"phase": "Running"})), &[], &node()), "admit");
}

#[test]
fn a_refusal_is_not_longer_than_a_status_has_room_for() {
    // Found by fuzzing: each unknown value of a few bytes produced a sentence of a hundred.
    let words = vec!["é"; 50_000];
    let capabilities = json!([{"name": "c", "securityContext": {"capabilities": {"add": words}}}]);
    let sysctl = json!({"sysctls": [{"name": "é".repeat(500_000), "value": ""}]});
    for spec in [json!({"containers": capabilities}), json!({"securityContext": sysctl})] {
        let Verdict::Reject(rejection) = decide(&pod("p", spec), false, &[], &node()) else { panic!("no refusal") };
        assert!((100..=4096).contains(&rejection.message.len()), "{} bytes", rejection.message.len());
    }
}

#[test]
fn devices_that_nobody_hands_out_here_are_no_reason_to_start_without_them() {
    let claims = pod("p", json!({"resourceClaims": [{"name": "gpu", "resourceClaimName": "a"}]}));
    let Verdict::Reject(rejection) = decide(&claims, false, &[], &node()) else {
        panic!("it starts without its device")
    };
    assert_eq!(rejection.reason, "ResourceClaimsNotSupported");
    assert_eq!(rejection.message, "Pod needs the resource claims gpu, and this kubelet prepares none");
    let mut running = Pod::clone(&claims);
    running.status = Some(serde_json::from_value(json!({"phase": "Running"})).expect("a status"));
    assert_eq!(reason(&Arc::new(running), &[], &node()), "admit", "another kubelet gave it its device");
    let mut extended = Pod::clone(&requesting("p", json!({"z.io/gpu": "1"})));
    let status = json!({"extendedResourceClaimStatus": {"requestMappings": [], "resourceClaimName": "p-extended"}});
    extended.status = Some(serde_json::from_value(status).expect("a status"));
    assert_eq!(reason(&Arc::new(extended), &[], &node()), "ResourceClaimsNotSupported");
    // The node's status after the devices of a removed plugin were withdrawn.
    let mut without = node();
    without.allocatable.insert("nvidia.com/gpu".into(), crate::core::model::Amount::ZERO);
    assert_eq!(reason(&requesting("p", json!({"nvidia.com/gpu": "1"})), &[], &without), "OutOfnvidia.com/gpu");
}
