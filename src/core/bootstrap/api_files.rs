//! Operator-provided files that the API server reads only at startup: the audit policy and the encryption
//! configuration.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use super::Facts;
use super::hardening::AUDIT_POLICY;
use super::pod_parts::{Error, HostPath, add_host_path};
use crate::core::model::short_digest;
use crate::core::model::spec::{ClusterSpec, Component, ExternalEtcd};

/// Annotation with the digests of those files: a changed file changes the manifest, and so restarts the pod.
const DIGESTS: &str = "roost.io/files";

/// Each file with the setting that names it.
pub fn files(cluster: &ClusterSpec) -> Vec<(&'static str, &Path)> {
    let audit = cluster.audit().map(|audit| ("audit.policy", audit.policy.as_path()));
    let encryption = cluster.encryption.as_deref().map(|path| ("encryption.config", path));
    audit.into_iter().chain(encryption).collect()
}

/// The API server flags for those files. Audit logs are kept for thirty days in ten files of 100 MB unless `args`
/// overrides it.
pub fn flags(cluster: &ClusterSpec) -> Vec<(&'static str, String)> {
    let mut flags = Vec::new();
    if let Some(audit) = cluster.audit() {
        flags.extend([
            ("audit-policy-file", audit.policy.display().to_string()),
            ("audit-log-path", audit.log.display().to_string()),
            ("audit-log-maxage", "30".to_owned()),
            ("audit-log-maxbackup", "10".to_owned()),
            ("audit-log-maxsize", "100".to_owned()),
        ]);
    }
    if let Some(path) = &cluster.encryption {
        flags.push(("encryption-provider-config", path.display().to_string()));
    }
    flags
}

/// The client files of an external etcd, each with the setting that names it. The API server reloads them by itself.
pub fn etcd_files(etcd: &ExternalEtcd) -> Vec<(&'static str, &Path)> {
    vec![("etcd.ca", &etcd.ca), ("etcd.certificate", &etcd.certificate), ("etcd.key", &etcd.key)]
}

/// The digests of those files, in their order.
///
/// # Errors
/// One of them does not exist.
pub fn digests(cluster: &ClusterSpec, facts: &Facts) -> Result<Vec<String>, Error> {
    // The built-in policy is written before the API server starts, so its content is known without the disk.
    let ours = built_in(cluster).map(|(_, content)| short_digest(content));
    let (_, theirs): (Vec<_>, Vec<_>) = files(cluster).into_iter().partition(|(_, path)| is_ours(cluster, path));
    Ok(ours.into_iter().chain(are_there(theirs, facts)?.into_iter().map(str::to_owned)).collect())
}

/// The built-in audit policy: where it is written, and its content. `None` if disabled or replaced by the operator's
/// own.
pub fn built_in(cluster: &ClusterSpec) -> Option<(&Path, &'static str)> {
    cluster.audit().filter(|audit| audit.built_in).map(|audit| (audit.policy.as_path(), AUDIT_POLICY))
}

fn is_ours(cluster: &ClusterSpec, path: &Path) -> bool {
    built_in(cluster).is_some_and(|(ours, _)| ours == path)
}

/// The same for any files that settings name.
///
/// # Errors
/// One of them does not exist.
pub fn are_there<'a>(files: Vec<(&'static str, &Path)>, facts: &'a Facts) -> Result<Vec<&'a str>, Error> {
    let digest = |(setting, path): (&'static str, &Path)| {
        let missing = || Error::NoFile { setting, path: path.to_owned() };
        facts.file_digests.get(path).map(String::as_str).ok_or_else(missing)
    };
    files.into_iter().map(digest).collect()
}

/// Adds those files to the API server's pod: mounts, flags and the digest annotation.
///
/// # Errors
/// One of them does not exist: the API server would crash in a loop.
pub fn lay(cluster: &ClusterSpec, facts: &Facts, pod: &mut Pod) -> Result<(), Error> {
    let digests = digests(cluster, facts)?;
    for (setting, path) in files(cluster) {
        let name = setting.replace('.', "-");
        add_host_path(
            pod,
            &name,
            HostPath { path, inside: &path.display().to_string(), kind: "File", writable: false },
        );
    }
    // An `audit-log-path` set by the user wins; its folder must outlive the pod as well.
    let own =
        cluster.extra_args.get(Component::ApiServer.name()).and_then(|args| args.get("audit-log-path")).map(Path::new);
    let own = own.filter(|path| path.is_absolute());
    let log = own.or_else(|| cluster.audit().map(|audit| audit.log.as_path()));
    if let Some(folder) = log.and_then(Path::parent) {
        let inside = folder.display().to_string();
        add_host_path(
            pod,
            "audit-log",
            HostPath { path: folder, inside: &inside, kind: "DirectoryOrCreate", writable: true },
        );
    }
    if !digests.is_empty() {
        pod.metadata.annotations.get_or_insert_default().insert(DIGESTS.to_owned(), digests.join(","));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cluster::{HostDefaults, Layers, derive_spec};
    use crate::core::bootstrap::static_pods::render;
    use crate::core::model::spec::Spec;

    fn spec() -> Spec {
        let mut layers = Layers::defaults();
        for (name, value) in [("audit.policy", "/etc/roost/audit.yaml"), ("encryption.config", "/etc/roost/keys.yaml")]
        {
            assert_eq!(layers.add_flag(name, value), []);
        }
        let host = HostDefaults { name: "n1".into(), address: Some([10, 0, 0, 1].into()), program: "/b".into() };
        derive_spec(&layers, &host).unwrap()
    }

    fn facts(policy: &str) -> Facts {
        let mut facts = Facts::at(jiff::Timestamp::UNIX_EPOCH);
        facts.file_digests.insert("/etc/roost/audit.yaml".into(), policy.to_owned());
        facts.file_digests.insert("/etc/roost/keys.yaml".into(), "beef".to_owned());
        facts
    }

    #[test]
    fn the_pod_has_the_files_and_another_content_makes_another_pod() {
        let manifest = render(Component::ApiServer, &spec(), &facts("cafe")).unwrap();
        for line in [
            "- --audit-policy-file=/etc/roost/audit.yaml",
            "- --audit-log-path=/var/log/kubernetes/audit/audit.log",
            "- --encryption-provider-config=/etc/roost/keys.yaml",
            "roost.io/files: cafe,beef",
            "path: /var/log/kubernetes/audit",
        ] {
            assert!(manifest.contains(line), "{line} is not in\n{manifest}");
        }
        assert_ne!(manifest, render(Component::ApiServer, &spec(), &facts("fade")).unwrap());
        assert!(!render(Component::Scheduler, &spec(), &facts("cafe")).unwrap().contains("roost.io/files"));
    }

    #[test]
    fn the_folder_of_a_log_by_a_flag_is_the_nodes() {
        let mut spec = spec();
        let flag = [("audit-log-path".to_owned(), "/srv/audit/api.log".to_owned())];
        spec.cluster.extra_args.insert("kube-apiserver".to_owned(), flag.into());
        let manifest = render(Component::ApiServer, &spec, &facts("cafe")).unwrap();
        assert!(manifest.contains("path: /srv/audit\n") && !manifest.contains("/var/log/kubernetes"), "{manifest}");
    }

    #[test]
    fn a_file_that_is_not_there_is_told_before_anything_is_written() {
        let error = render(Component::ApiServer, &spec(), &Facts::at(jiff::Timestamp::UNIX_EPOCH)).unwrap_err();
        assert_eq!(error.to_string(), "audit.policy: file /etc/roost/audit.yaml does not exist");
    }
}
