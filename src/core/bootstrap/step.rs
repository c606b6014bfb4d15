//! Steps: each describes one wanted state, with everything that is needed to reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use super::key_handover::Wanted;
use super::pki::{Authority, Certificate, KeyPairFiles, Leaf};
use crate::core::model::Secret;

/// One wanted state. `Display` prints it as a line of a plan, without secrets.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The folder exists with this mode; missing parents are created with 0755.
    EnsureDir {
        /// Path of the folder.
        path: PathBuf,
        /// Permission bits, e.g. 0o700.
        mode: u32,
    },
    /// The file has this content and mode; it is replaced atomically.
    WriteFile {
        /// Path of the file.
        path: PathBuf,
        /// Permission bits, e.g. 0o600.
        mode: u32,
        /// The content of the file.
        content: Content,
    },
    /// The file is the concatenation of these files.
    JoinFiles {
        /// Path of the file.
        path: PathBuf,
        /// The files to concatenate; earlier steps create them.
        parts: Vec<PathBuf>,
        /// Permission bits, e.g. 0o644.
        mode: u32,
    },
    /// The file does not exist.
    RemoveFile {
        /// Path of the file.
        path: PathBuf,
    },
    /// The folder is empty or does not exist. Mounts below it are unmounted first.
    EmptyDir {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The CA exists; it is created if missing and never replaced.
    MakeAuthority(Authority),
    /// The leaf certificate exists and matches; a matching one is kept.
    IssueCert(Certificate),
    /// The ECDSA key pair exists; an existing one is kept.
    GenerateKey {
        /// Path of the private key, PEM, mode 0600.
        key: PathBuf,
        /// Path of the public key, PEM, mode 0644.
        public: PathBuf,
    },
    /// The kubeconfig exists with a valid client certificate; a matching one is kept.
    WriteKubeconfig(ClientKubeconfig),
    /// What an external CA signs was provided by the operator and matches.
    FindSigned {
        /// Certificate file of the CA whose key is not on this node.
        signer: PathBuf,
        /// The required leaf certificates.
        certificates: Vec<Certificate>,
        /// The required kubeconfigs, each with its client certificate inline.
        kubeconfigs: Vec<ClientKubeconfig>,
    },
    /// An existing kubeconfig has this server and CA. Its user is not changed.
    PointKubeconfig {
        /// Path of the kubeconfig; the step is met if it does not exist.
        path: PathBuf,
        /// URL of the API server.
        server: String,
        /// File of the trusted certificates, PEM.
        ca: PathBuf,
        /// Units that read it at startup; they are stopped while it changes.
        readers: Vec<String>,
    },
    /// The runtime has an image of this name.
    EnsureImage {
        /// Full name with tag.
        reference: String,
        /// Where the image comes from.
        from: ImageOrigin,
        /// Exempt from the kubelet's image garbage collection.
        pinned: bool,
    },
    /// The unit file or drop-in has this content; systemd is reloaded after a change.
    WriteUnit {
        /// Path of the unit file or drop-in.
        path: PathBuf,
        /// Text of the unit file or drop-in.
        content: String,
    },
    /// The unit exists. The system declares it, so only the system's configuration can make this true.
    FindUnit {
        /// Full name of the unit.
        unit: String,
        /// True if the unit must also be enabled.
        enabled: bool,
    },
    /// The unit is enabled: it starts at boot.
    EnableUnit {
        /// Full name of the unit.
        unit: String,
    },
    /// The unit is active, and was started after the last change of each of these files.
    StartUnit {
        /// Full name of the unit.
        unit: String,
        /// Files that it reads only at startup.
        configured_by: Vec<PathBuf>,
    },
    /// Like `StartUnit`, but an activating unit is enough: whether it becomes active depends on other nodes.
    LaunchUnit {
        /// Full name of the unit.
        unit: String,
        /// Files that it reads only at startup.
        configured_by: Vec<PathBuf>,
    },
    /// The folder and everything in it belong to this user. Symbolic links in it are not followed.
    OwnTree {
        /// Path of the folder; the step is met if it does not exist.
        path: PathBuf,
        /// Name of the user; the group is that of its passwd entry.
        user: String,
    },
    /// The unit is stopped and disabled.
    StopUnit {
        /// Full name of the unit.
        unit: String,
    },
    /// The API has the object with these fields (server-side apply, field manager `roost`).
    ApplyObject {
        /// The whole object with apiVersion, kind and metadata.
        object: Value,
        /// Keep an existing object unchanged (its users may have modified it).
        create_only: bool,
    },
    /// The API has no such object.
    DeleteObject {
        /// The object's identity: apiVersion, kind, metadata.name and metadata.namespace.
        object: Value,
    },
    /// The condition holds; it is polled until the time is up.
    WaitFor {
        /// What to wait for.
        condition: Condition,
        /// Time after which the step fails.
        within: Duration,
    },
    /// The Node has the label of control planes, and the taint if wanted.
    MarkControlPlane {
        /// Name of the Node.
        node: String,
        /// True to repel ordinary pods.
        taint: bool,
    },
    /// The Node has these labels, and none that earlier settings gave it.
    LabelNode {
        /// Name of the Node.
        node: String,
        /// Labels from the settings.
        labels: BTreeMap<String, String>,
    },
    /// The Node has pod subnets: these ones, if no node of the cluster has any yet.
    AssignPodSubnets {
        /// Name of the Node.
        node: String,
        /// One per address family.
        subnets: Vec<IpNet>,
    },
    /// The folder contains the PKI files that control planes share; a control plane that has them hands them over.
    ReceiveKeys {
        /// Kubeconfig with which the request is sent.
        kubeconfig: PathBuf,
        /// Name of this node.
        node: String,
        /// The PKI folder that receives the files.
        folder: PathBuf,
        /// Files that must exist, relative to the folder; without those that an external CA keeps.
        needed: Vec<String>,
        /// Which set of keys is requested.
        wanted: Wanted,
    },
    /// This node is a member of etcd; it is added as a learner.
    AddMember {
        /// Name of the member.
        name: String,
        /// URL at which the other members reach it.
        peer_url: String,
    },
    /// This node is a voting member of etcd: it has caught up with the leader.
    PromoteMember {
        /// Name of the member.
        name: String,
        /// URL at which the other members reach it.
        peer_url: String,
    },
    /// The container runtime has no pods.
    RemovePods,
    /// The pod network is removed from the node: routes, rules, bridge, CNI configuration and leases.
    RemovePodNetwork,
    /// The unit file does not exist; systemd is reloaded after a change.
    RemoveUnit {
        /// Path of the unit file.
        path: PathBuf,
    },
    /// The other members of etcd reach this node's member at this URL.
    MoveMember {
        /// Name of the member.
        name: String,
        /// URL at which the other members reach it from now on.
        peer_url: String,
        /// True if it may be done later: a member that lost its address must first be started with the new one.
        may_wait: bool,
    },
    /// This node is not a member of etcd, unless it is the only one.
    RemoveMember {
        /// Name of the member.
        name: String,
        /// URL at which the other members reach it.
        peer_url: String,
    },
}

/// Content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Content that may be printed.
    Text(String),
    /// Content that is never printed: keys and tokens.
    Secret(Secret<String>),
}

impl Content {
    /// The bytes to write.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Secret(secret) => secret.reveal().as_bytes(),
        }
    }
}

/// Source of an image in the runtime's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageOrigin {
    /// Pulled from its registry.
    Registry,
    /// Imported from the first of these archives (or folders of archives) that contains it.
    Archives(Vec<PathBuf>),
    /// Built locally from one small static program of the node (the sandbox image, which mounts nothing).
    Program(PathBuf),
    /// Built locally without any layer, for programs mounted from the node.
    Scratch,
}

/// A kubeconfig whose user is a client certificate issued for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKubeconfig {
    /// Path of the file, mode 0600.
    pub path: PathBuf,
    /// Name of the cluster entry.
    pub cluster: String,
    /// URL of the API server.
    pub server: String,
    /// The CA that signed the API server's certificate.
    pub ca: KeyPairFiles,
    /// Subject and validity of the client's certificate.
    pub leaf: Leaf,
}

/// A condition that becomes true by itself after the previous steps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// An HTTP or HTTPS endpoint responds with 200.
    Answers {
        /// The full URL to request.
        url: String,
        /// CA certificates to verify the endpoint with; `None` for plain HTTP.
        ca: Option<PathBuf>,
    },
    /// The unit is active.
    UnitActive {
        /// Full name of the unit.
        unit: String,
    },
    /// The Node object exists.
    NodeRegistered {
        /// Name of the Node.
        name: String,
    },
    /// The Node is Ready.
    NodeReady {
        /// Name of the Node.
        name: String,
    },
    /// The file exists at this path.
    FileExists {
        /// Path of the file.
        path: PathBuf,
    },
    /// The kubelet has obtained its own credentials in exchange for the bootstrap token.
    KubeletCredentials {
        /// Path of its own kubeconfig.
        path: PathBuf,
        /// Path of the kubeconfig with the token.
        bootstrap: PathBuf,
        /// Name of the node.
        node: String,
        /// Uids of requests that were denied in an earlier attempt, to be ignored.
        denied: BTreeSet<String>,
    },
    /// No container of this component's static pod is running.
    PodGone {
        /// Component name, e.g. `etcd`.
        component: String,
    },
    /// The static pod of this component is running.
    PodRuns {
        /// Component name, e.g. `etcd`.
        component: String,
    },
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers { url, .. } => write!(f, "{url} answers"),
            Self::UnitActive { unit } => write!(f, "{unit} is active"),
            Self::NodeRegistered { name } => write!(f, "node {name} is registered"),
            Self::NodeReady { name } => write!(f, "node {name} is Ready"),
            Self::FileExists { path } | Self::KubeletCredentials { path, .. } => {
                write!(f, "{} exists", path.display())
            }
            Self::PodGone { component } => write!(f, "the static pod of {component} has stopped"),
            Self::PodRuns { component } => write!(f, "the static pod of {component} is running"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnsureDir { path, mode } => write!(f, "create folder {} ({mode:04o})", path.display()),
            Self::WriteFile { path, mode, .. } => write!(f, "write {} ({mode:04o})", path.display()),
            Self::JoinFiles { path, parts, mode } => {
                let parts: Vec<_> = parts.iter().map(|part| part.display().to_string()).collect();
                write!(f, "write {} ({mode:04o}) from {}", path.display(), parts.join(" and "))
            }
            Self::RemoveFile { path } => write!(f, "remove {}", path.display()),
            Self::EmptyDir { path } => write!(f, "empty folder {}", path.display()),
            Self::MakeAuthority(ca) => write!(f, "create CA {} ({})", ca.files.cert.display(), ca.common_name),
            Self::IssueCert(cert) => write!(f, "issue {} for {}", cert.files.cert.display(), cert.leaf.subject),
            Self::GenerateKey { key, .. } => write!(f, "generate key {}", key.display()),
            Self::WriteKubeconfig(config) => {
                write!(f, "write kubeconfig {} for {} at {}", config.path.display(), config.leaf.subject, config.server)
            }
            Self::FindSigned { signer, certificates, kubeconfigs } => {
                let many = certificates.len().saturating_add(kubeconfigs.len());
                write!(f, "check {many} certificates that {} has to sign elsewhere", signer.display())
            }
            Self::PointKubeconfig { path, server, ca, .. } => {
                write!(f, "point kubeconfig {} to {server} and the CA {}", path.display(), ca.display())
            }
            Self::EnsureImage { reference, from, pinned } => {
                let how = match from {
                    ImageOrigin::Registry => "pull",
                    ImageOrigin::Archives(_) => "import",
                    ImageOrigin::Program(_) => "create",
                    ImageOrigin::Scratch => "create scratch",
                };
                write!(f, "{how} image {reference}{}", if *pinned { ", pinned" } else { "" })
            }
            Self::WriteUnit { path, .. } => write!(f, "write unit {}", path.display()),
            Self::EnableUnit { unit } => write!(f, "enable {unit}"),
            Self::FindUnit { unit, enabled: false } => write!(f, "check that the system declares {unit}"),
            Self::FindUnit { unit, enabled: true } => write!(f, "check that the system declares and enables {unit}"),
            Self::StartUnit { unit, .. } | Self::LaunchUnit { unit, .. } => write!(f, "start {unit}"),
            Self::OwnTree { path, user } => write!(f, "change the owner of {} to {user}", path.display()),
            Self::StopUnit { unit } => write!(f, "stop and disable {unit}"),
            Self::ApplyObject { object, .. } => write!(f, "apply {}", object_name(object)),
            Self::DeleteObject { object } => write!(f, "delete {}", object_name(object)),
            Self::WaitFor { condition, within } => write!(f, "wait until {condition} (at most {} s)", within.as_secs()),
            Self::MarkControlPlane { node, taint } => {
                write!(f, "label node {node} as control plane{}", if *taint { " and taint it" } else { "" })
            }
            Self::LabelNode { node, labels } => match labels.is_empty() {
                true => write!(f, "remove from node {node} the labels that the settings no longer have"),
                false => {
                    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    write!(
                        f,
                        "label node {node} {} and remove labels that the settings no longer have",
                        labels.join(" ")
                    )
                }
            },
            Self::RemovePods => f.write_str("stop and remove every pod"),
            Self::RemovePodNetwork => f.write_str("remove the pod network: routes, rules, bridge, CNI configuration"),
            Self::AssignPodSubnets { node, subnets } => {
                let subnets: Vec<_> = subnets.iter().map(ToString::to_string).collect();
                write!(f, "assign pod subnet {} to node {node}", subnets.join(" and "))
            }
            Self::RemoveUnit { path } => write!(f, "remove unit {}", path.display()),
            Self::AddMember { name, peer_url } => write!(f, "add etcd member {name} at {peer_url}"),
            Self::PromoteMember { name, .. } => write!(f, "promote etcd member {name}"),
            Self::MoveMember { name, peer_url, .. } => {
                write!(f, "update the peer URL of etcd member {name} to {peer_url}")
            }
            Self::RemoveMember { name, .. } => write!(f, "remove etcd member {name}"),
            Self::ReceiveKeys { folder, .. } => {
                write!(f, "receive the shared keys of the control planes into {}", folder.display())
            }
        }
    }
}

/// The object as `Kind namespace/name`, without the namespace if it has none.
pub fn object_name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/kind");
    match text("/metadata/namespace") {
        "" => format!("{kind} {}", text("/metadata/name")),
        namespace => format!("{kind} {namespace}/{}", text("/metadata/name")),
    }
}

/// True when `seen` has every field of `wanted`. Lists must have the same length and are compared item by item; an item
/// may have additional fields filled in by the server.
pub fn covers(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => wanted.iter().all(|(name, wanted)| match seen.get(name) {
            Some(seen) => covers(seen, wanted),
            // The server omits empty fields.
            None => {
                wanted.is_null() || *wanted == Value::Object(Default::default()) || *wanted == Value::Array(Vec::new())
            }
        }),
        (Value::Array(seen), Value::Array(wanted)) => {
            seen.len() == wanted.len() && seen.iter().zip(wanted).all(|(seen, wanted)| covers(seen, wanted))
        }
        (seen, wanted) => seen == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_never_shows_a_secret() {
        let step = Step::WriteFile {
            path: "/etc/kubernetes/token".into(),
            mode: 0o600,
            content: Content::Secret(Secret::new("hunter2".to_owned())),
        };
        assert_eq!(step.to_string(), "write /etc/kubernetes/token (0600)");
        assert!(!format!("{step:?}").contains("hunter2"));
        // The line of a Secret object does not contain its data either.
        let object = serde_json::json!({"kind": "Secret", "metadata": {"namespace": "a", "name": "b"}, "data": {"k": "hunter2"}});
        assert_eq!(Step::ApplyObject { object, create_only: false }.to_string(), "apply Secret a/b");
    }
}
