//! Manifests in, static pods or findings out.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use super::mirror::{MirrorAction, derive_mirror, plan_mirror};
use super::parse::parse_pods;
use super::parse_manifest;
use crate::core::model::labels::{CONFIG_HASH, CONFIG_MIRROR};

const GOOD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: a\n    image: r/x:v1\n";

fn parse(text: &str) -> Result<Pod, Vec<String>> {
    parse_manifest(Path::new("/m/web.yaml"), text.as_bytes(), "Node1")
        .map_err(|findings| findings.iter().map(ToString::to_string).collect())
}

#[test]
fn becomes_the_pod_the_api_server_would_have_made() {
    let pod = parse(GOOD).expect("sound");
    let (meta, spec) = (&pod.metadata, pod.spec.as_ref().expect("a spec"));
    assert_eq!(meta.name.as_deref(), Some("web-node1"));
    assert_eq!(meta.namespace.as_deref(), Some("default"));
    assert_eq!(meta.uid.as_ref().map(String::len), Some(32));
    assert_eq!(meta.annotations.as_ref().and_then(|a| a.get(CONFIG_HASH)), meta.uid.as_ref());
    assert_eq!(spec.restart_policy.as_deref(), Some("Always"));
    assert_eq!(spec.enable_service_links, Some(true));
    assert_eq!(spec.containers[0].image_pull_policy.as_deref(), Some("IfNotPresent"));
    assert_eq!(spec.tolerations.as_ref().map(Vec::len), Some(1));
}

#[test]
fn identity_follows_content_node_and_path_but_not_form() {
    let uid = |text: &str, path: &str, node: &str| {
        parse_manifest(Path::new(path), text.as_bytes(), node).expect("sound").metadata.uid
    };
    let same = "kind: Pod\nspec: {containers: [{image: 'r/x:v1', name: a}]}\nmetadata: {name: web, labels: {}}\napiVersion: v1\n";
    let base = uid(GOOD, "/m/web.yaml", "n");
    assert_eq!(base, uid(same, "/m/web.yaml", "n"));
    assert_ne!(
        base,
        uid(&GOOD.replace("v1\n", "v2\n").replace("apiVersion: v2", "apiVersion: v1"), "/m/web.yaml", "n")
    );
    assert_ne!(base, uid(GOOD, "/m/other.yaml", "n"));
    assert_ne!(base, uid(GOOD, "/m/web.yaml", "m"));
    // A kubelet upgrade must not restart static pods: this value is fixed for version 1 of the hash.
    assert_eq!(base.as_deref(), Some("a033b85640522ea28ea6c9ac4f9e543c"));
}

#[test]
fn says_what_is_wrong_and_where() {
    for (text, want) in [
        ("", "the document is empty or not an object"),
        ("a: [", "line 1"),
        (&GOOD.replace("kind: Pod", "kind: Job"), "line 2, column 1: kind: want Pod, got Job"),
        (&GOOD.replace("name: web", "labels: {}"), "metadata.name: is missing"),
        (&GOOD.replace("image: r/x:v1", "ports: []"), "spec.containers[0].image: is missing"),
        (
            &GOOD.replace("  - name: a", "  - name: A"),
            "line 7, column 5: spec.containers[0].name: \"A\" is not a container name",
        ),
        (
            &format!("{GOOD}    volumeMounts:\n    - {{name: v, mountPath: /v}}\n"),
            "line 10, column 8: spec.containers[0].volumeMounts[0].name: there is no volume named \"v\"",
        ),
        (&format!("{GOOD}    tty: [1]\n"), "line 9, column 5: spec.containers[0].tty"),
        (&format!("{GOOD}  serviceAccountName: x\n"), "static pods may not reference serviceaccounts"),
        (
            &format!("{GOOD}  volumes:\n  - name: v\n    configMap: {{name: c}}\n"),
            "static pods may not reference configmaps (via configmap volumes)",
        ),
        (
            &format!("{GOOD}    resources: {{requests: {{cpu: 2}}, limits: {{cpu: 1}}}}\n"),
            "must not be more than the limit",
        ),
    ] {
        let findings = parse(text).expect_err(want);
        assert!(findings.iter().any(|f| f.contains(want)), "{want}\n{findings:?}");
    }
}

#[test]
fn defaults_requests_from_limits_and_ports_of_host_network() {
    let text = format!(
        "{GOOD}    resources: {{limits: {{cpu: 1}}}}\n    ports: [{{containerPort: 80}}]\n    livenessProbe: {{httpGet: {{port: 80}}}}\n  hostNetwork: true\n"
    );
    let pod = parse(&text).expect("sound");
    let container = &pod.spec.as_ref().expect("a spec").containers[0];
    let requests = container.resources.as_ref().and_then(|r| r.requests.as_ref()).expect("requests");
    assert_eq!(requests["cpu"].0, "1");
    let port = &container.ports.as_ref().expect("ports")[0];
    assert_eq!((port.host_port, port.protocol.as_deref()), (Some(80), Some("TCP")));
    let probe = container.liveness_probe.as_ref().expect("a probe");
    assert_eq!((probe.period_seconds, probe.failure_threshold), (Some(10), Some(3)));
    assert_eq!(probe.http_get.as_ref().and_then(|g| g.path.as_deref()), Some("/"));
}

#[test]
fn nulls_are_what_the_api_server_reads_in_their_place() {
    let text = "apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: null, tier: x}, annotations: {note: }, finalizers: null, creationTimestamp: null}
spec:
  nodeSelector: null
  tolerations:
  volumes: [{name: v, emptyDir: null}]
  initContainers: null
  securityContext: null
  restartPolicy: null
  terminationGracePeriodSeconds: null
  containers:
  - name: a
    image: r/x:v1
    command: null
    args: [a, null, b]
    env: [{name: X, value: null}]
    ports: null
    resources: {limits: {cpu: null}, requests: null}
    livenessProbe: null
    volumeMounts: [{name: v, mountPath: /v, readOnly: null}]
status: null
---
";
    let pod = parse(text).expect("sound");
    let labels = pod.metadata.labels.expect("labels");
    assert_eq!((labels["app"].as_str(), labels["tier"].as_str()), ("", "x"));
    assert_eq!(pod.metadata.annotations.expect("annotations")["note"], "");
    let spec = pod.spec.expect("a spec");
    assert_eq!(spec.restart_policy.as_deref(), Some("Always"));
    assert!(spec.volumes.expect("volumes")[0].empty_dir.is_some());
    let container = &spec.containers[0];
    assert_eq!(container.args.as_deref(), Some(&["a".to_owned(), String::new(), "b".to_owned()][..]));
    assert_eq!(container.resources.as_ref().and_then(|r| r.limits.as_ref()).expect("limits")["cpu"].0, "0");
    // A null object has no name, and is rejected for that.
    let findings = parse(&GOOD.replace("containers:\n", "volumes: [null]\n  containers:\n")).expect_err("no name");
    assert!(findings.iter().any(|found| found.contains("spec.volumes[0].name")), "{findings:?}");
}

#[test]
fn a_url_may_give_a_list() {
    let list = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[{}]}}",
        serde_json::to_string(&parse(GOOD).expect("sound")).expect("json")
    );
    assert_eq!(parse_pods(list.as_bytes()).map(|p| p.len()), Ok(1));
    assert_eq!(parse_pods(b" \n").map(|p| p.len()), Ok(0));
}

#[test]
fn mirror_follows_its_static_pod() {
    let pod = parse(GOOD).expect("sound");
    let mut mirror = derive_mirror(&pod, "node1", "node-uid");
    mirror.metadata.uid = Some("m1".into());
    let delete = MirrorAction::Delete("m1".into());
    assert_eq!(plan_mirror(Some(&pod), None, false), MirrorAction::Create);
    assert_eq!(plan_mirror(Some(&pod), Some(&mirror), false), MirrorAction::Keep);
    assert_eq!(plan_mirror(None, Some(&mirror), true), MirrorAction::Keep);
    assert_eq!(plan_mirror(None, Some(&mirror), false), delete);
    mirror.metadata.annotations.get_or_insert_default().insert(CONFIG_MIRROR.into(), "old".into());
    assert_eq!(plan_mirror(Some(&pod), Some(&mirror), true), MirrorAction::Keep, "it stands for the one that ends");
    assert_eq!(plan_mirror(Some(&pod), None, true), MirrorAction::Keep, "its own pod does not run yet");
    assert_eq!(plan_mirror(Some(&pod), Some(&mirror), false), delete);
}

#[test]
fn thousands_of_faults_are_told_with_their_places() {
    let count = 3000;
    let container = |n: usize| format!("  - {{name: c{n}, image: i, ports: [{{containerPort: 99999999}}]}}\n");
    let containers: String = (0..count).map(container).collect();
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n{containers}");
    let (done, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(parse_manifest(Path::new("/m/web.yaml"), text.as_bytes(), "n1")));
    // The text is parsed a few times. Parsing it once per fault would take a quarter of an hour; this limit only ends
    // the wait.
    let findings = result.recv_timeout(std::time::Duration::from_secs(120)).expect("an answer").expect_err("faults");
    assert!(findings.len() >= count);
    assert!(findings.iter().all(|finding| finding.place.is_some()));
}
