//! The enum values of a pod that affect its permissions, and the allowed values of each.
//!
//! The API server rejects others (`pkg/apis/core/validation/validation.go`), but a newer API server knows values that
//! this kubelet does not, and a manifest may contain anything. An unknown value is rejected: any substitute could be
//! less strict than what was asked for.

use k8s_openapi::api::core::v1::{Capabilities, Container, Pod, PodSecurityContext, PodSpec, SecurityContext};

use super::{ContainerKind, containers_of};

const RESTART: &[&str] = &["Always", "OnFailure", "Never"];
const PULL: &[&str] = &["Always", "IfNotPresent", "Never"];
const DNS: &[&str] = &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
const PROFILE: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
const HOST_PATH: &[&str] =
    &["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Names of capabilities without `CAP_` (capabilities(7), up to Linux 6.18), and `ALL`.
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

/// An enum value that this kubelet does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {}", self.message())]
pub struct UnknownWord {
    /// The field, e.g. `spec.containers[0].securityContext.procMount`.
    pub field: String,
    /// The allowed values, as text.
    pub wanted: String,
    /// The value in the pod.
    pub got: String,
}

impl UnknownWord {
    /// The message without the field.
    pub fn message(&self) -> String {
        format!("want {}, got {:?}", self.wanted, self.got)
    }
}

/// Every unknown value of a pod.
pub fn unknown_words(pod: &Pod) -> Vec<UnknownWord> {
    let mut out = Found(Vec::new());
    if let Some(spec) = &pod.spec {
        out.of_spec(spec);
    }
    let mut indices = [0_usize; 3];
    for (kind, container) in containers_of(pod) {
        let (list, index) = match kind {
            ContainerKind::Init | ContainerKind::Sidecar => ("initContainers", &mut indices[0]),
            ContainerKind::Regular => ("containers", &mut indices[1]),
            ContainerKind::Ephemeral => ("ephemeralContainers", &mut indices[2]),
        };
        out.of_container(&format!("spec.{list}[{index}]"), &container);
        *index = index.saturating_add(1);
    }
    for (key, value) in pod.metadata.annotations.iter().flatten() {
        let known = ["", "runtime/default", "unconfined"].contains(&value.as_str()) || value.starts_with("localhost/");
        if key.starts_with(APPARMOR_ANNOTATION) && !known {
            out.add(format!("metadata.annotations[{key}]"), "runtime/default, unconfined or localhost/NAME", value);
        }
    }
    out.0
}

/// A capability's name as runtimes expect it: upper case, without `CAP_`.
///
/// containerd drops exactly the names it is given: with an unknown name, a capability would silently stay granted.
///
/// # Errors
/// There is no such capability.
pub fn capability(name: &str) -> Result<String, UnknownWord> {
    let capitals = name.to_ascii_uppercase();
    let bare = capitals.strip_prefix("CAP_").unwrap_or(&capitals);
    if CAPABILITIES.contains(&bare) {
        return Ok(bare.to_owned());
    }
    Err(UnknownWord {
        field: "securityContext.capabilities".to_owned(),
        wanted: "the name of a capability of Linux, such as NET_ADMIN, or ALL".to_owned(),
        got: name.to_owned(),
    })
}

struct Found(Vec<UnknownWord>);

impl Found {
    fn add(&mut self, field: String, wanted: impl Into<String>, got: &str) {
        self.0.push(UnknownWord { field, wanted: wanted.into(), got: got.to_owned() });
    }

    fn word(&mut self, field: impl FnOnce() -> String, value: Option<&String>, known: &[&str]) {
        if let Some(value) = value.filter(|value| !known.contains(&value.as_str())) {
            self.add(field(), format!("one of {}", known.join(", ")), value);
        }
    }

    fn of_spec(&mut self, spec: &PodSpec) {
        self.word(|| "spec.restartPolicy".into(), spec.restart_policy.as_ref(), RESTART);
        self.word(|| "spec.dnsPolicy".into(), spec.dns_policy.as_ref(), DNS);
        if let Some(context) = &spec.security_context {
            self.of_pod_security(context);
        }
        for (i, volume) in spec.volumes.iter().flatten().enumerate() {
            let at = || format!("spec.volumes[{i}]");
            let host_path = volume.host_path.as_ref().and_then(|source| source.type_.as_ref());
            self.word(|| format!("{}.hostPath.type", at()), host_path, HOST_PATH);
            let pull = volume.image.as_ref().and_then(|source| source.pull_policy.as_ref());
            self.word(|| format!("{}.image.pullPolicy", at()), pull, PULL);
        }
    }

    fn of_pod_security(&mut self, context: &PodSecurityContext) {
        let at = |field: &str| format!("spec.securityContext.{field}");
        let seccomp = context.seccomp_profile.as_ref().map(|profile| &profile.type_);
        self.word(|| at("seccompProfile.type"), seccomp, PROFILE);
        let apparmor = context.app_armor_profile.as_ref().map(|profile| &profile.type_);
        self.word(|| at("appArmorProfile.type"), apparmor, PROFILE);
        let fs_group = context.fs_group_change_policy.as_ref();
        self.word(|| at("fsGroupChangePolicy"), fs_group, &["Always", "OnRootMismatch"]);
        let groups = context.supplemental_groups_policy.as_ref();
        self.word(|| at("supplementalGroupsPolicy"), groups, &["Merge", "Strict"]);
        let selinux = context.se_linux_change_policy.as_ref();
        self.word(|| at("seLinuxChangePolicy"), selinux, &["MountOption", "Recursive"]);
    }

    fn of_container(&mut self, at: &str, container: &Container) {
        self.word(|| format!("{at}.imagePullPolicy"), container.image_pull_policy.as_ref(), PULL);
        self.word(|| format!("{at}.restartPolicy"), container.restart_policy.as_ref(), RESTART);
        let message = container.termination_message_policy.as_ref();
        self.word(|| format!("{at}.terminationMessagePolicy"), message, &["File", "FallbackToLogsOnError"]);
        for (i, port) in container.ports.iter().flatten().enumerate() {
            self.word(|| format!("{at}.ports[{i}].protocol"), port.protocol.as_ref(), &["TCP", "UDP", "SCTP"]);
        }
        for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let at = || format!("{at}.volumeMounts[{i}]");
            let propagation = mount.mount_propagation.as_ref();
            let known = &["None", "HostToContainer", "Bidirectional"];
            self.word(|| format!("{}.mountPropagation", at()), propagation, known);
            let recursive = mount.recursive_read_only.as_ref();
            self.word(|| format!("{}.recursiveReadOnly", at()), recursive, &["Disabled", "IfPossible", "Enabled"]);
        }
        if let Some(context) = &container.security_context {
            self.of_container_security(at, context);
        }
    }

    fn of_container_security(&mut self, at: &str, context: &SecurityContext) {
        let at = |field: &str| format!("{at}.securityContext.{field}");
        let seccomp = context.seccomp_profile.as_ref().map(|profile| &profile.type_);
        self.word(|| at("seccompProfile.type"), seccomp, PROFILE);
        let apparmor = context.app_armor_profile.as_ref().map(|profile| &profile.type_);
        self.word(|| at("appArmorProfile.type"), apparmor, PROFILE);
        self.word(|| at("procMount"), context.proc_mount.as_ref(), &["Default", "Unmasked"]);
        let Some(Capabilities { add, drop }) = &context.capabilities else { return };
        for (list, names) in [("add", add), ("drop", drop)] {
            let unknown = names.iter().flatten().filter_map(|name| capability(name).err());
            self.0.extend(unknown.map(|word| UnknownWord { field: at(&format!("capabilities.{list}")), ..word }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})).unwrap()
    }

    fn with(place: &str, word: &str) -> Pod {
        let mut value = serde_json::json!(word);
        // Innermost first: `a.[].b` is an object with a list of objects.
        for step in place.split('.').rev() {
            value = if step == "[]" { serde_json::json!([value]) } else { serde_json::json!({ step: value }) };
        }
        let mut spec = serde_json::json!({"containers": [{"name": "c"}]});
        merge(&mut spec, value);
        pod(spec)
    }

    fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
        use serde_json::Value;
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
            (Value::Array(into), Value::Array(from)) if !into.is_empty() => {
                for (into, from) in into.iter_mut().zip(from) {
                    merge(into, from);
                }
            }
            (into, from) => *into = from,
        }
    }

    #[test]
    fn a_word_that_decides_something_is_known_or_refused() {
        for (place, known) in [
            ("restartPolicy", RESTART),
            ("dnsPolicy", DNS),
            ("securityContext.seccompProfile.type", PROFILE),
            ("securityContext.appArmorProfile.type", PROFILE),
            ("securityContext.fsGroupChangePolicy", &["Always", "OnRootMismatch"]),
            ("securityContext.supplementalGroupsPolicy", &["Merge", "Strict"]),
            ("securityContext.seLinuxChangePolicy", &["MountOption", "Recursive"]),
            ("containers.[].imagePullPolicy", PULL),
            ("containers.[].restartPolicy", RESTART),
            ("containers.[].terminationMessagePolicy", &["File", "FallbackToLogsOnError"]),
            ("containers.[].securityContext.seccompProfile.type", PROFILE),
            ("containers.[].securityContext.appArmorProfile.type", PROFILE),
            ("containers.[].securityContext.procMount", &["Default", "Unmasked"]),
            ("containers.[].securityContext.capabilities.add.[]", &["NET_ADMIN", "ALL", "CAP_SYS_TIME", "chown"]),
            ("containers.[].securityContext.capabilities.drop.[]", &["NET_RAW", "all", "CAP_BPF"]),
            ("containers.[].ports.[].protocol", &["TCP", "UDP", "SCTP"]),
            ("containers.[].volumeMounts.[].mountPropagation", &["None", "HostToContainer", "Bidirectional"]),
            ("containers.[].volumeMounts.[].recursiveReadOnly", &["Disabled", "IfPossible", "Enabled"]),
            ("initContainers.[].securityContext.procMount", &["Default"]),
            ("ephemeralContainers.[].securityContext.seccompProfile.type", PROFILE),
            ("volumes.[].hostPath.type", HOST_PATH),
            ("volumes.[].image.pullPolicy", PULL),
        ] {
            for word in known {
                assert_eq!(unknown_words(&with(place, word)), [], "{place}: {word}");
            }
            for word in ["Anything", "unconfined", "NET_RAWW", "CAP_"] {
                let found = unknown_words(&with(place, word));
                assert_eq!(found.len(), 1, "{place}: {word}");
                assert_eq!(found[0].got, word);
            }
        }
    }

    #[test]
    fn an_apparmor_annotation_is_known_or_refused() {
        for (value, count) in
            [("unconfined", 0), ("localhost/x", 0), ("", 0), ("Unconfined", 1), ("runtime-default", 1)]
        {
            let mut pod = pod(serde_json::json!({"containers": []}));
            pod.metadata.annotations = Some([(format!("{APPARMOR_ANNOTATION}c"), value.to_owned())].into());
            assert_eq!(unknown_words(&pod).len(), count, "{value:?}");
        }
    }

    #[test]
    fn the_refusal_names_field_and_words() {
        let found = unknown_words(&with("containers.[].securityContext.procMount", "unmasked"));
        let text = "spec.containers[0].securityContext.procMount: want one of Default, Unmasked, got \"unmasked\"";
        assert_eq!(found[0].to_string(), text);
    }
}
