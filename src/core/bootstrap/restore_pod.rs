//! The pods that create etcd's data from a snapshot by `etcdutl snapshot restore`: for a restore, which leaves the data
//! to the node's etcd, and for a drill, which runs a separate etcd on it.

use std::path::Path;

use serde_json::{Value, json};

use super::membership::peer_url;
use super::objects::render_yaml;
use super::static_pods::{self, SCRATCH_IMAGE};
use crate::core::model::spec::{Component, ComponentSource, Spec};

/// Folder of the restored data, below etcd's data directory.
pub const FOLDER: &str = "restored";

/// Controllers and kubelets remember revisions newer than the snapshot. The revision is bumped by this much and older
/// ones are marked compacted, so that all clients list again (etcd's guide to disaster recovery).
const PASSED_REVISIONS: u64 = 1_000_000_000;
/// Path of the snapshot in the pods.
const SNAPSHOT: &str = "/snapshot.db";
/// Seconds after which the pod of an interrupted drill is terminated.
const DRILL_LIFE: u64 = 900;
/// Path of a drill's data in its pod; it is removed with the pod.
const DRILL: &str = "/drill";

/// The manifest of a static pod named `name`.
pub fn render(spec: &Spec, name: &str, snapshot: &Path) -> Result<String, static_pods::Error> {
    let data = spec.node.paths.etcd_data.display().to_string();
    let url = peer_url(spec);
    let arguments = vec![
        "snapshot".to_owned(),
        "restore".to_owned(),
        SNAPSHOT.to_owned(),
        format!("--data-dir={data}/{FOLDER}"),
        format!("--name={}", spec.node.name),
        format!("--initial-cluster={}={url}", spec.node.name),
        format!("--initial-advertise-peer-urls={url}"),
        // So that surviving members of the lost cluster do not take this one for theirs.
        format!("--initial-cluster-token={name}"),
        format!("--bump-revision={PASSED_REVISIONS}"),
        "--mark-compacted".to_owned(),
    ];
    let mut volumes =
        vec![host_path("data", &data, "DirectoryOrCreate"), host_path("snapshot", &snapshot.display(), "File")];
    let mounts = vec![
        json!({ "name": "data", "mountPath": data }),
        json!({ "name": "snapshot", "mountPath": SNAPSHOT, "readOnly": true }),
    ];
    let container = container(spec, "restore", "etcdutl", arguments, mounts, &mut volumes)?;
    Ok(render_yaml(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "kube-system", "labels": { "component": "etcd-restore" } },
        "spec": {
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "priority": 2_000_001_000,
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": volumes,
        },
    })))
}

/// The manifest of a drill's static pod: an etcd with the snapshot's data that listens on a loopback port and accepts
/// only clients with a certificate of etcd's CA, as the node's own etcd does.
pub fn render_drill(spec: &Spec, name: &str, snapshot: &Path, port: u16) -> Result<String, static_pods::Error> {
    // Required, but never used: a single member has no peers.
    let peer = "http://localhost:1";
    let data = format!("{DRILL}/data");
    let member = [
        format!("--data-dir={data}"),
        "--name=drill".to_owned(),
        format!("--initial-cluster=drill={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
    ];
    let mut restore = vec!["snapshot".to_owned(), "restore".to_owned(), SNAPSHOT.to_owned()];
    restore.extend(member.clone());
    let pki = spec.node.paths.pki("etcd").display().to_string();
    let url = format!("https://127.0.0.1:{port}");
    let mut serve = member.to_vec();
    serve.extend([
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls=unix://{DRILL}/peer.sock"),
        format!("--cert-file={pki}/server.crt"),
        format!("--key-file={pki}/server.key"),
        format!("--trusted-ca-file={pki}/ca.crt"),
        "--client-cert-auth=true".to_owned(),
        // The data is disposable.
        "--unsafe-no-fsync=true".to_owned(),
    ]);
    let mut volumes = vec![
        json!({ "name": "data", "emptyDir": {} }),
        host_path("snapshot", &snapshot.display(), "File"),
        host_path("pki", &pki, "Directory"),
    ];
    let place = json!({ "name": "data", "mountPath": DRILL });
    let file = json!({ "name": "snapshot", "mountPath": SNAPSHOT, "readOnly": true });
    let keys = json!({ "name": "pki", "mountPath": pki, "readOnly": true });
    let restore = container(spec, "restore", "etcdutl", restore, vec![place.clone(), file], &mut volumes)?;
    let etcd = container(spec, Component::Etcd.name(), Component::Etcd.name(), serve, vec![place, keys], &mut volumes)?;
    Ok(render_yaml(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "kube-system", "labels": { "component": "etcd-drill" } },
        "spec": {
            "hostNetwork": true,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": DRILL_LIFE,
            "terminationGracePeriodSeconds": 5,
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "initContainers": [restore],
            "containers": [etcd],
            "volumes": volumes,
        },
    })))
}

fn host_path(name: &str, path: &impl ToString, kind: &str) -> Value {
    json!({ "name": name, "hostPath": { "path": path.to_string(), "type": kind } })
}

/// A container of etcd's image that runs one of its programs, or the host's program of that name.
fn container(
    spec: &Spec,
    name: &str,
    program: &str,
    arguments: Vec<String>,
    mut mounts: Vec<Value>,
    volumes: &mut Vec<Value>,
) -> Result<Value, static_pods::Error> {
    let mut image = spec.cluster.image(Component::Etcd.name());
    let mut executable = program.to_owned();
    if let ComponentSource::Host { programs } = &spec.cluster.source {
        // Looked for beside etcd unless named explicitly: they come in one archive.
        let path = programs.get(program).cloned();
        let path = path.or_else(|| Some(programs.get(Component::Etcd.name())?.with_file_name(program)));
        let path = path.ok_or_else(|| static_pods::Error::NoProgram(program.to_owned()))?;
        image = SCRATCH_IMAGE;
        executable = format!("/usr/local/bin/{program}");
        let volume = format!("program-{program}");
        mounts.push(json!({ "name": volume, "mountPath": executable, "readOnly": true }));
        volumes.push(host_path(&volume, &path.display(), "File"));
    }
    let command: Vec<String> = std::iter::once(executable).chain(arguments).collect();
    Ok(json!({
        "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": command, "volumeMounts": mounts,
    }))
}
