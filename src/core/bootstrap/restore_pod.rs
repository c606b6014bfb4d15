//! The pod that makes etcd's data from a snapshot: `etcdutl snapshot restore`, once.

use std::path::Path;

use serde_json::json;

use super::membership::peer_url;
use super::objects::render_yaml;
use super::static_pods::{self, SCRATCH_IMAGE};
use crate::core::model::spec::{ComponentSource, Spec};

/// Where the data comes to lie, below etcd's folder.
pub const FOLDER: &str = "restored";

/// Controllers and kubelets remember revisions that the snapshot has not seen. This many are passed over, and all older
/// ones count as compacted, so that everybody lists anew (etcd's guide to disaster recovery).
const PASSED_REVISIONS: u64 = 1_000_000_000;

/// The manifest of a static pod named `name`.
pub fn render(spec: &Spec, name: &str, snapshot: &Path) -> Result<String, static_pods::Error> {
    let data = spec.node.paths.etcd_data.display().to_string();
    let url = peer_url(spec);
    let mut command = vec![
        "etcdutl".to_owned(),
        "snapshot".to_owned(),
        "restore".to_owned(),
        "/snapshot.db".to_owned(),
        format!("--data-dir={data}/{FOLDER}"),
        format!("--name={}", spec.node.name),
        format!("--initial-cluster={}={url}", spec.node.name),
        format!("--initial-advertise-peer-urls={url}"),
        // Members of the lost cluster that live on do not take this one for theirs.
        format!("--initial-cluster-token={name}"),
        format!("--bump-revision={PASSED_REVISIONS}"),
        "--mark-compacted".to_owned(),
    ];
    let host_path =
        |name: &str, path: &str, kind: &str| json!({ "name": name, "hostPath": { "path": path, "type": kind } });
    let mut mounts = vec![
        json!({ "name": "data", "mountPath": data }),
        json!({ "name": "snapshot", "mountPath": "/snapshot.db", "readOnly": true }),
    ];
    let mut volumes = vec![
        host_path("data", &data, "DirectoryOrCreate"),
        host_path("snapshot", &snapshot.display().to_string(), "File"),
    ];
    let mut image = spec.cluster.image(static_pods::ETCD);
    if let ComponentSource::Host { programs } = &spec.cluster.source {
        // Beside etcd when it is not named itself: they come in one archive.
        let program = programs.get("etcdutl").cloned();
        let program = program.or_else(|| Some(programs.get(static_pods::ETCD)?.with_file_name("etcdutl")));
        let program = program.ok_or_else(|| static_pods::Error::Unknown("etcdutl".to_owned()))?;
        image = SCRATCH_IMAGE;
        "/usr/local/bin/etcdutl".clone_into(&mut command[0]);
        mounts.push(json!({ "name": "program", "mountPath": command[0], "readOnly": true }));
        volumes.push(host_path("program", &program.display().to_string(), "File"));
    }
    Ok(render_yaml(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "kube-system", "labels": { "component": "etcd-restore" } },
        "spec": {
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "priority": 2_000_001_000,
            "restartPolicy": "Never",
            "containers": [{
                "name": "restore",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    })))
}
