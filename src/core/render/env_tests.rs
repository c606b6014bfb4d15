//! Tests of the environment's rules.

use std::path::Path;

use super::*;

fn pod(container: serde_json::Value) -> Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": "ns", "labels": {"app": "x"}},
        "spec": {"nodeName": "n1", "enableServiceLinks": true, "containers": [container]}
    }))
    .expect("a pod")
}

fn config_map(data: &[(&str, &str)]) -> Result<Arc<ConfigMap>, FetchError> {
    let data = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Ok(Arc::new(ConfigMap { data: Some(data), ..ConfigMap::default() }))
}

fn render(container: serde_json::Value, fetched: &Fetched) -> Result<String, Error> {
    let pod = pod(container);
    let node = NodeContext { host_ips: vec![[10, 0, 0, 1].into()], ..NodeContext::defaults(Path::new("/k")) };
    let volumes = BTreeMap::new();
    let ctx = PodContext {
        pod: &pod,
        cgroup_parent: "",
        pod_ips: &["fd00::1".to_owned(), "10.1.0.2".to_owned()],
        volumes: &volumes,
        user_namespace: None,
        recursive_read_only: false,
    };
    let container = &pod.spec.as_ref().expect("spec").containers[0];
    let vars = environment(&node, &ctx, container, fetched, &[])?;
    Ok(vars.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "))
}

#[test]
fn later_sources_win_and_values_see_earlier_ones() {
    let fetched = Fetched {
        config_maps: BTreeMap::from([
            ("a".into(), config_map(&[("X", "1"), ("Y", "2")])),
            ("b".into(), config_map(&[("X", "3")])),
        ]),
        ..Fetched::default()
    };
    let container = serde_json::json!({"name": "c",
        "envFrom": [{"configMapRef": {"name": "a"}}, {"prefix": "p_", "configMapRef": {"name": "a"}},
                    {"configMapRef": {"name": "b"}}],
        "env": [{"name": "Y", "value": "$(X)-$(LATER)"}, {"name": "LATER", "value": "$$(X)"}]});
    assert_eq!(render(container, &fetched).expect("renders"), "LATER=$(X) X=3 Y=3-$(LATER) p_X=1 p_Y=2");
}

#[test]
fn fields_tell_the_pod_about_itself() {
    let field =
        |name: &str, path: &str| serde_json::json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let container = serde_json::json!({"name": "c", "env": [
        field("A", "metadata.name"), field("B", "status.hostIP"), field("C", "status.podIP"),
        field("D", "status.podIPs"), field("E", "metadata.labels['app']"), field("F", "spec.nodeName")]});
    let text = render(container, &Fetched::default()).expect("renders");
    assert_eq!(text, "A=p B=10.0.0.1 C=10.1.0.2 D=10.1.0.2,fd00::1 E=x F=n1");
    let bad = serde_json::json!({"name": "c", "env": [field("A", "spec.x")]});
    assert_eq!(render(bad, &Fetched::default()), Err(Error("unsupported fieldPath: spec.x".into())));
}

#[test]
fn missing_objects_and_keys_are_told_in_upstreams_words_unless_optional() {
    let missing = || Err(FetchError { not_found: true, message: "configmap \"m\" not found".into() });
    let fetched = Fetched {
        config_maps: BTreeMap::from([("m".into(), missing()), ("a".into(), config_map(&[("X", "1")]))]),
        ..Fetched::default()
    };
    let with = |name: &str, key: &str, optional: bool| {
        let source = serde_json::json!({"configMapKeyRef": {"name": name, "key": key, "optional": optional}});
        let env = serde_json::json!([{"name": "V", "valueFrom": source}]);
        render(serde_json::json!({"name": "c", "env": env}), &fetched)
    };
    assert_eq!(with("m", "k", false), Err(Error("configmap \"m\" not found".into())));
    assert_eq!(with("m", "k", true), Ok(String::new()));
    assert_eq!(with("a", "k", false), Err(Error("couldn't find key k in ConfigMap ns/a".into())));
    assert_eq!(with("a", "k", true), Ok(String::new()));
    assert_eq!(with("a", "X", false), Ok("V=1".into()));
}

#[test]
fn references_name_each_object_once() {
    let pod = pod(serde_json::json!({"name": "c",
        "envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "a"}}],
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "B", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}}},
                {"name": "C", "value": "x"}]}));
    let found: Vec<_> = references(&pod.spec.expect("spec").containers[0]).into_iter().collect();
    let expected =
        [Reference::ConfigMap("a".into()), Reference::Secret("s".into()), Reference::File("v".into(), "p".into())];
    assert_eq!(found, expected);
}

#[test]
fn env_files_take_only_single_quoted_values() {
    let text = "# c\n\n  A='1' # x\nB='two\nlines'\nC= 'x'\nD=''\n";
    assert_eq!(parse_env_file(text, "A"), Ok("1".into()));
    assert_eq!(parse_env_file(text, "B"), Ok("two\nlines".into()));
    assert_eq!(parse_env_file(text, "C"), Ok(String::new()));
    assert_eq!(parse_env_file(text, "E"), Ok(String::new()));
    for bad in ["A", "A =1", "A=x", "A='x", "A='x' y", "=1"] {
        assert_eq!(parse_env_file(bad, "A"), Err(()), "{bad}");
    }
}

fn doubling(steps: usize) -> serde_json::Value {
    let mut env = vec![serde_json::json!({"name": "V0", "value": "x".repeat(8)})];
    env.extend((1..=steps).map(|step| {
        let before = format!("$(V{})", step - 1);
        serde_json::json!({"name": format!("V{step}"), "value": before.repeat(2)})
    }));
    serde_json::json!({"name": "c", "env": env})
}

#[test]
fn values_that_double_at_each_step_are_refused_once_no_process_could_be_given_them() {
    assert!(render(doubling(14), &Fetched::default()).is_ok(), "128 KiB");
    for steps in [15, 18, 64] {
        let error = render(doubling(steps), &Fetched::default()).expect_err("too long").to_string();
        assert!(error.starts_with("environment variable V15 is longer than 131072 bytes"), "{error}");
    }
}

#[test]
fn an_environment_larger_than_any_process_can_be_given_is_refused() {
    let value = "y".repeat(1 << 20);
    let fetched =
        Fetched { config_maps: BTreeMap::from([("big".into(), config_map(&[("X", &value)]))]), ..Fetched::default() };
    let from = |count: usize| {
        let source = |i: usize| serde_json::json!({"prefix": format!("P{i}_"), "configMapRef": {"name": "big"}});
        serde_json::json!({"name": "c", "envFrom": (0..count).map(source).collect::<Vec<_>>()})
    };
    assert!(render(from(5), &fetched).is_ok());
    let error = render(from(6), &fetched).expect_err("too much").to_string();
    assert!(error.starts_with("the environment is longer than 6291456 bytes"), "{error}");

    let long = serde_json::json!({"name": "A", "value": "z".repeat(100 << 10)});
    let copies = (0..100).map(|i| serde_json::json!({"name": format!("B{i}"), "value": "$(A)"}));
    let env: Vec<_> = [long].into_iter().chain(copies).collect();
    assert!(render(serde_json::json!({"name": "c", "env": env}), &Fetched::default()).is_err());
}
