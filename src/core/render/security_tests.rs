//! Unknown values in a security context.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn render(container: Value, pod: Value, annotations: Value) -> Result<cri::LinuxContainerSecurityContext, Error> {
    let mut container = container;
    container["name"] = json!("c");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "annotations": annotations},
        "spec": {"containers": [container], "securityContext": pod},
    }))
    .expect("a pod");
    let ctx = PodContext {
        pod: &pod,
        cgroup_parent: "",
        pod_ips: &[],
        volumes: &BTreeMap::new(),
        user_namespace: None,
        recursive_read_only: false,
    };
    let node = NodeContext::defaults(Path::new("/k"));
    container_security(&node, &ctx, &pod.spec.as_ref().expect("a spec").containers[0], &ImageUser::default(), None)
}

#[test]
fn a_word_that_is_not_known_is_refused_and_never_taken_for_a_laxer_one() {
    let seccomp = |profile: Value| json!({ "seccompProfile": profile });
    for (context, refusal) in [
        (seccomp(json!({"type": "Strictest"})), "unknown seccomp profile type: \"Strictest\""),
        (seccomp(json!({"type": "unconfined"})), "unknown seccomp profile type: \"unconfined\""),
        (seccomp(json!({"type": ""})), "unknown seccomp profile type: \"\""),
        (
            seccomp(json!({"type": "Localhost", "localhostProfile": "../../etc/x"})),
            "must be a path below the kubelet's",
        ),
        (seccomp(json!({"type": "Localhost", "localhostProfile": "/etc/x"})), "must be a path below the kubelet's"),
        (json!({"appArmorProfile": {"type": "Strict"}}), "unknown apparmor profile type: \"Strict\""),
    ] {
        let of_container = render(json!({ "securityContext": context }), json!({}), json!({})).unwrap_err().0;
        let of_pod = render(json!({}), context, json!({})).unwrap_err().0;
        assert!(of_container.contains(refusal) && of_pod.contains(refusal), "{of_container} / {of_pod}");
    }
    for (context, refusal) in [
        (json!({"procMount": "unmasked"}), "unsupported procMount: \"unmasked\""),
        (json!({"capabilities": {"drop": ["NET_RAWW"]}}), "got \"NET_RAWW\""),
        (json!({"capabilities": {"add": ["EVERYTHING"]}}), "got \"EVERYTHING\""),
    ] {
        let error = render(json!({ "securityContext": context }), json!({}), json!({})).unwrap_err().0;
        assert!(error.contains(refusal), "{error}");
    }
    let annotations = json!({"container.apparmor.security.beta.kubernetes.io/c": "runtime-default"});
    assert_eq!(
        render(json!({}), json!({}), annotations).unwrap_err().0,
        "unknown apparmor profile: \"runtime-default\""
    );
}

#[test]
fn known_words_are_what_they_say() {
    let context = json!({
        "seccompProfile": {"type": "Localhost", "localhostProfile": "a/b.json"},
        "procMount": "Default",
        // containerd would look for CAP_CAP_NET_RAW, and expects upper case.
        "capabilities": {"drop": ["CAP_NET_RAW", "all"], "add": ["sys_time"]},
    });
    let rendered = render(json!({ "securityContext": context }), json!({}), json!({})).unwrap();
    assert_eq!(rendered.seccomp.unwrap().localhost_ref, "/k/seccomp/a/b.json");
    let capabilities = rendered.capabilities.unwrap();
    assert_eq!(capabilities.drop_capabilities, ["NET_RAW", "ALL"]);
    assert_eq!(capabilities.add_capabilities, ["SYS_TIME"]);
    assert_eq!(rendered.masked_paths.len(), MASKED_PATHS.len());
    let unconfined = json!({"seccompProfile": {"type": "Unconfined"}});
    let rendered = render(json!({ "securityContext": unconfined }), json!({}), json!({})).unwrap();
    assert_eq!(rendered.seccomp.unwrap().profile_type, ProfileType::Unconfined as i32);
}
