//! What `reset` leaves on a machine on purpose, and why.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::core::model::spec::Spec;
use crate::core::network::{cni, conflist};

/// Something that `reset` leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// Path of the file or folder.
    pub path: PathBuf,
    /// What it is, and why it stays.
    pub why: String,
}

/// What is on the machine that could be left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFiles {
    /// Files in the folder of snapshots.
    pub snapshots: Vec<PathBuf>,
    /// Files in the folder of CNI configurations.
    pub cni: Vec<PathBuf>,
    /// Files that the operator wrote and that exist: settings, encryption keys, audit policies, external certificates.
    pub own: Vec<PathBuf>,
    /// The audit log, if it exists.
    pub audit_log: Option<PathBuf>,
}

/// Files of the operator that settings name.
pub fn operators_files(spec: &Spec, settings: &Path) -> Vec<PathBuf> {
    let cluster = &spec.cluster;
    let mut files = vec![settings.to_owned()];
    files.extend(cluster.encryption.clone());
    files.extend(cluster.audit.iter().filter(|audit| !audit.built_in).map(|audit| audit.policy.clone()));
    if let Some(etcd) = &cluster.external_etcd {
        files.extend([etcd.ca.clone(), etcd.certificate.clone(), etcd.key.clone()]);
    }
    // What is in folders of the cluster goes with it.
    let paths = &spec.node.paths;
    let emptied = [paths.pki.clone(), paths.kubelet.clone(), paths.manifests()];
    files.retain(|file| !emptied.iter().any(|folder| file.starts_with(folder)));
    files
}

/// What stays, in the order of its paths' kinds.
pub fn derive(spec: &Spec, files: &MachineFiles) -> Vec<Leftover> {
    let mut left = Vec::new();
    let snapshots = files.snapshots.iter().filter(|path| path.extension().is_some_and(|end| end == "db")).count();
    if snapshots > 0 {
        let why = format!(
            "{snapshots} snapshots of etcd, which are to outlive their cluster; remove them when nobody needs them"
        );
        left.push(Leftover { path: spec.node.paths.snapshots.clone(), why });
    }
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for path in &files.cni {
        let name = name(path);
        if cni::is_configuration(&name) && name != conflist::FILE_NAME {
            let why = "a CNI configuration that another program wrote; it stays in force for other pods".to_owned();
            left.push(Leftover { path: path.clone(), why });
        }
    }
    for path in &files.own {
        left.push(Leftover { path: path.clone(), why: "a file of yours; the next init or join reads it".to_owned() });
    }
    if let Some(path) = &files.audit_log {
        left.push(Leftover { path: path.clone(), why: "the audit log of the API server".to_owned() });
    }
    left
}

/// The leftovers as lines for people; empty if there are none.
pub fn render(left: &[Leftover]) -> String {
    if left.is_empty() {
        return String::new();
    }
    let lines = left.iter().map(|one| format!("\n  {}: {}", one.path.display(), one.why));
    format!("\nLeft on purpose:{}", lines.collect::<String>())
}
