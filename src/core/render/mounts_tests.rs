//! Tests of mounts and sub-paths.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::core::model::MountedVolume;
use crate::core::render::{DeviceGrant, ImageUser};

fn volumes() -> BTreeMap<String, MountedVolume> {
    let at = |path: &str| MountedVolume { path: PathBuf::from(path), ..MountedVolume::default() };
    BTreeMap::from([
        ("data".to_owned(), at("/v/data")),
        ("ro".to_owned(), MountedVolume { read_only: true, ..at("/v/ro") }),
        ("dev".to_owned(), MountedVolume { block: true, ..at("/v/dev") }),
        ("img".to_owned(), MountedVolume { image: Some(("i".to_owned(), None)), ..at("") }),
    ])
}

fn with<T>(
    container: serde_json::Value,
    f: impl FnOnce(&NodeContext, &PodContext<'_>, &ContainerInputs<'_>) -> T,
) -> T {
    let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {"containers": [container]}})).expect("a pod");
    let node = NodeContext::defaults(Path::new("/k"));
    let volumes = volumes();
    let ctx = PodContext {
        pod: &pod,
        cgroup_parent: "",
        pod_ips: &[],
        volumes: &volumes,
        user_namespace: None,
        recursive_read_only: true,
    };
    let env = [("A".to_owned(), "x/y".to_owned()), ("E".to_owned(), String::new())];
    let images =
        BTreeMap::from([("img".to_owned(), cri::ImageSpec { image: "sha".to_owned(), ..cri::ImageSpec::default() })]);
    let inputs = ContainerInputs {
        container: &pod.spec.as_ref().expect("spec").containers[0],
        attempt: 0,
        image_ref: "i",
        image_user: &ImageUser::default(),
        env: &env,
        sub_paths: &BTreeMap::from([(0, PathBuf::from("/bound/0"))]),
        image_volumes: &images,
        hosts_file: Some(Path::new("/p/etc-hosts")),
        termination_file: Some(Path::new("/p/containers/c/0")),
        target: None,
        grant: &DeviceGrant::default(),
    };
    f(&node, &ctx, &inputs)
}

fn rendered(container: serde_json::Value) -> Result<Vec<String>, String> {
    with(container, |node, ctx, inputs| {
        let line = |m: cri::Mount| {
            let (ro, rro) = (if m.readonly { " ro" } else { "" }, if m.recursive_read_only { " rro" } else { "" });
            let image = m.image.map(|i| format!("image:{}:{}", i.image, m.image_sub_path)).unwrap_or(m.host_path);
            format!("{image} {}{ro}{rro} {}", m.container_path, m.propagation)
        };
        let list = mounts(node, ctx, inputs).map_err(|e| e.to_string())?;
        Ok(list.into_iter().map(line).collect())
    })
}

#[test]
fn volumes_come_first_then_hosts_and_termination_message() {
    let list =
        rendered(serde_json::json!({"name": "c", "terminationMessagePath": "/dev/termination-log", "volumeMounts": [
        {"name": "data", "mountPath": "/d", "subPath": "s"},
        {"name": "ro", "mountPath": "rel", "mountPropagation": "HostToContainer"},
        {"name": "img", "mountPath": "/i", "subPath": "in"},
        {"name": "data", "mountPath": "/r", "readOnly": true, "recursiveReadOnly": "IfPossible"}]}));
    let expected = [
        "/bound/0 /d 0",
        "/v/ro /rel ro 1",
        "image:sha:in /i 0",
        "/v/data /r ro rro 0",
        "/p/etc-hosts /etc/hosts 0",
        "/p/containers/c/0 /dev/termination-log 0",
    ];
    assert_eq!(list.expect("renders"), expected);
}

#[test]
fn a_mount_at_etc_hosts_replaces_ours() {
    let list =
        rendered(serde_json::json!({"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/etc/hosts"}]}));
    assert_eq!(list.expect("renders"), ["/v/data /etc/hosts 0"]);
}

#[test]
fn faults_are_told_in_upstreams_words() {
    let fault = |mount: serde_json::Value| {
        rendered(serde_json::json!({"name": "c", "volumeMounts": [mount]})).expect_err("fails")
    };
    assert_eq!(
        fault(serde_json::json!({"name": "none", "mountPath": "/x"})),
        "cannot find volume \"none\" to mount into container \"c\""
    );
    assert_eq!(
        fault(serde_json::json!({"name": "data", "mountPath": "/x", "recursiveReadOnly": "Enabled"})),
        "failed to resolve recursive read-only mode: volume \"data\" requested recursive read-only mode, but it is not read-only"
    );
}

#[test]
fn sub_paths_are_expanded_and_stay_inside() {
    let paths = |mount: serde_json::Value| {
        let container = serde_json::json!({"name": "c", "volumeMounts": [mount]});
        with(container, |_, ctx, inputs| sub_paths(ctx, inputs.container, inputs.env).map_err(|e| e.to_string()))
    };
    let one = paths(serde_json::json!({"name": "data", "mountPath": "/x", "subPathExpr": "$(A)/z"})).expect("expands");
    assert_eq!(one, [SubPath { index: 0, volume: "data".into(), path: "x/y/z".into() }]);
    for (mount, text) in [
        (serde_json::json!({"name": "data", "mountPath": "/x", "subPathExpr": "$(E)$(N)"}), "missing value for E, N"),
        (
            serde_json::json!({"name": "data", "mountPath": "/x", "subPath": "/a"}),
            "error SubPath `/a` must not be an absolute path",
        ),
        (
            serde_json::json!({"name": "data", "mountPath": "/x", "subPath": "a/../b"}),
            "unable to provision SubPath `a/../b`: must not contain '..'",
        ),
    ] {
        assert_eq!(paths(mount), Err(text.to_owned()));
    }
}

#[test]
fn block_volumes_become_devices() {
    let container = serde_json::json!({"name": "c", "volumeDevices": [{"name": "dev", "devicePath": "/dev/x"}]});
    let list = with(container, |_, ctx, inputs| devices(ctx, inputs)).expect("renders");
    assert_eq!((list[0].host_path.as_str(), list[0].permissions.as_str()), ("/v/dev", "mrw"));
}
