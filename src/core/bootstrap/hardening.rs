//! What the CIS benchmark for Kubernetes requires of the components where it has no cost for users: flags, kubelet
//! fields, the audit policy. `security.hardening = false` disables all of it; `[args]` and `[kubelet]` override it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::core::model::spec::{Component, Paths};

/// The default audit policy: metadata without request bodies.
pub const AUDIT_POLICY: &str = include_str!("audit-policy.yaml");

/// TLS 1.2 suites with forward secrecy and authenticated encryption; TLS 1.3 suites are not configurable. Two of them
/// are mandatory for HTTP/2 (RFC 9113, section 9.2.2; Go's net/http2 refuses to serve without).
pub const CIPHER_SUITES: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// Limit of processes per pod: enough for large Java programs, and well below a node's limit.
const POD_PIDS: u32 = 4096;

/// Path of the built-in audit policy.
pub fn audit_policy_path(paths: &Paths) -> PathBuf {
    paths.kubernetes.join("audit-policy.yaml")
}

/// The hardening flags of a component; none for etcd, whose defaults already comply.
pub fn flags(component: Component) -> Vec<(&'static str, String)> {
    if component == Component::Etcd {
        return Vec::new();
    }
    let mut flags = vec![("profiling", "false".to_owned())];
    if component == Component::ApiServer {
        flags.extend([
            ("enable-admission-plugins", "NodeRestriction,DenyServiceExternalIPs".to_owned()),
            ("service-account-extend-token-expiration", "false".to_owned()),
            ("tls-cipher-suites", CIPHER_SUITES.join(",")),
        ]);
    } else if component == Component::ControllerManager {
        // Upstream's default, made explicit: finished pods beyond it are deleted.
        flags.push(("terminated-pod-gc-threshold", "12500".to_owned()));
    }
    flags
}

/// Fields of the KubeletConfiguration of all nodes.
pub fn kubelet_fields() -> Value {
    json!({ "podPidsLimit": POD_PIDS, "seccompDefault": true, "tlsCipherSuites": CIPHER_SUITES })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cluster::{HostDefaults, Layers, derive_spec};
    use crate::core::bootstrap::phases::{control_plane, objects};
    use crate::core::bootstrap::static_pods::render;
    use crate::core::bootstrap::step::FileStep;
    use crate::core::bootstrap::{Facts, Step, api_files};
    use crate::core::model::spec::Spec;
    use crate::core::yaml;

    fn spec(settings: &[(&str, &str)]) -> Spec {
        let mut layers = Layers::defaults();
        for (name, value) in settings {
            assert_eq!(layers.add_flag(name, value), []);
        }
        let host = HostDefaults { name: "n1".into(), address: Some([10, 0, 0, 1].into()), program: "/b".into() };
        derive_spec(&layers, &host).unwrap()
    }

    fn manifest(component: Component, settings: &[(&str, &str)]) -> String {
        render(component, &spec(settings), &Facts::at(jiff::Timestamp::UNIX_EPOCH)).unwrap()
    }

    #[test]
    fn the_users_own_flags_and_fields_win() {
        let args = "[kube-apiserver]\nenable-admission-plugins = \"NodeRestriction\"\nprofiling = \"\"\naudit-log-maxage = \"90\"";
        let api = manifest(Component::ApiServer, &[("args", args)]);
        for line in ["--enable-admission-plugins=NodeRestriction\n", "--audit-log-maxage=90\n", "--audit-policy-file="]
        {
            assert!(api.contains(line), "{line} is not in\n{api}");
        }
        assert!(!api.contains("--profiling"), "{api}");
        let own = spec(&[("kubelet", "seccompDefault = false\npodPidsLimit = -1")]);
        let fields = super::super::objects::render_kubelet_configuration(&objects::derive(&own));
        assert_eq!((&fields["seccompDefault"], &fields["podPidsLimit"]), (&json!(false), &json!(-1)));
        assert!(fields["tlsCipherSuites"].is_array());
    }

    #[test]
    fn an_audit_log_of_the_users_own_making_is_left_alone() {
        for flag in ["audit-policy-file", "audit-log-path", "audit-webhook-config-file"] {
            let args = format!("[kube-apiserver]\n{flag} = \"/etc/own\"");
            let api = manifest(Component::ApiServer, &[("args", &args)]);
            assert!(api.contains(&format!("--{flag}=/etc/own")) && !api.contains("/etc/kubernetes/audit"), "{api}");
        }
        for settings in [("audit.policy", "none"), ("security.hardening", "false")] {
            let api = manifest(Component::ApiServer, &[settings]);
            assert!(!api.contains("audit"), "{api}");
        }
    }

    #[test]
    fn the_policy_is_written_before_the_api_server_and_mounted_into_it() {
        let spec = spec(&[]);
        let steps = control_plane::plan_api_files(&spec, &Facts::at(jiff::Timestamp::UNIX_EPOCH)).unwrap();
        let [Step::File(FileStep::Write { path, mode, content })] = steps.as_slice() else { panic!("{steps:?}") };
        assert_eq!((path.as_path(), *mode), (audit_policy_path(&spec.node.paths).as_path(), 0o600));
        assert_eq!(content.as_bytes(), AUDIT_POLICY.as_bytes());
        let api = manifest(Component::ApiServer, &[]);
        for line in [
            "--audit-policy-file=/etc/kubernetes/audit-policy.yaml\n",
            "mountPath: /etc/kubernetes/audit-policy.yaml\n",
            "mountPath: /var/log/kubernetes/audit\n",
        ] {
            assert!(api.contains(line), "{line} is not in\n{api}");
        }
        assert_eq!(api_files::built_in(&spec.cluster).unwrap().0, path);
    }

    /// Requests that no rule names are logged, and nothing is logged with a body: bodies contain Secrets.
    #[test]
    fn the_policy_logs_all_else_and_no_bodies() {
        let policy = yaml::parse_document(AUDIT_POLICY.as_bytes()).unwrap();
        let rules = policy["rules"].as_array().unwrap();
        let levels: Vec<&str> = rules.iter().map(|rule| rule["level"].as_str().unwrap()).collect();
        assert!(levels.iter().all(|level| ["None", "Metadata"].contains(level)), "{levels:?}");
        assert_eq!(rules.last(), Some(&json!({ "level": "Metadata" })));
        let quiet = rules.iter().filter(|rule| rule["level"] == "None").flat_map(|rule| {
            let groups = rule["resources"].as_array().into_iter().flatten();
            groups.flat_map(|group| group["resources"].as_array().into_iter().flatten())
        });
        let quiet: Vec<&str> = quiet.filter_map(Value::as_str).collect();
        assert_eq!(quiet, ["events", "events", "leases"]);
    }

    #[test]
    fn all_components_but_etcd_profile_nobody() {
        for component in Component::CONTROL_PLANE {
            assert!(manifest(component, &[]).contains("- --profiling=false\n"), "{component}");
        }
        assert!(!manifest(Component::Etcd, &[]).contains("profiling"));
    }
}
