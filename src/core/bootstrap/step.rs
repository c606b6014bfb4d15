//! Steps: each states one thing that shall be true, and carries all that is needed to make it true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use super::key_handover::Wanted;
use super::pki::{Authority, Certificate, KeyPairFiles, Leaf};
use crate::core::model::Secret;

/// One thing that shall be true. Its `Display` is the line of a plan; secrets never show.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A folder with this mode (parents are made with 0755).
    EnsureDir {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file with this content and mode, replaced atomically.
    WriteFile {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its content.
        content: Content,
    },
    /// A file that holds what these hold, one after another.
    JoinFiles {
        /// The file.
        path: PathBuf,
        /// The others, which are there by then.
        parts: Vec<PathBuf>,
        /// Its mode.
        mode: u32,
    },
    /// No such file.
    RemoveFile {
        /// The file.
        path: PathBuf,
    },
    /// The folder is there and holds nothing, or does not exist. Mounts below it are unmounted first.
    EmptyDir {
        /// The folder.
        path: PathBuf,
    },
    /// A CA; an existing one is kept.
    MakeAuthority(Authority),
    /// A leaf; a fit existing one is kept.
    IssueCert(Certificate),
    /// An ECDSA key in `key` and its public half in `public`; an existing one is kept.
    GenerateKey {
        /// PEM key, 0600.
        key: PathBuf,
        /// PEM public key, 0644.
        public: PathBuf,
    },
    /// A kubeconfig with a client certificate in it; a fit existing one is kept.
    WriteKubeconfig(ClientKubeconfig),
    /// What a CA signs whose key is elsewhere: brought along, and fit.
    FindSigned {
        /// The CA.
        signer: PathBuf,
        /// Leaves.
        certificates: Vec<Certificate>,
        /// Kubeconfigs with a client certificate in them.
        kubeconfigs: Vec<ClientKubeconfig>,
    },
    /// A kubeconfig that is there leads to this server and trusts this CA. Its user stays as it is.
    PointKubeconfig {
        /// The file; one that does not exist is met.
        path: PathBuf,
        /// URL of the API server.
        server: String,
        /// The certificates that are trusted, PEM.
        ca: PathBuf,
        /// Units that read it when they start; they do not run while it changes.
        readers: Vec<String>,
    },
    /// An image under this name in the runtime's store, and its use.
    EnsureImage {
        /// Full name with tag.
        reference: String,
        /// How to get it.
        from: ImageOrigin,
        /// Never collected by a kubelet.
        pinned: bool,
    },
    /// A unit file or drop-in; systemd is reloaded.
    WriteUnit {
        /// The file.
        path: PathBuf,
        /// Its content.
        content: String,
    },
    /// The system declares the unit; only the system's configuration can make this true.
    FindUnit {
        /// Full name of the unit.
        unit: String,
        /// Whether it has to start with the machine, too.
        enabled: bool,
    },
    /// The unit starts with the machine.
    EnableUnit {
        /// Full name of the unit.
        unit: String,
    },
    /// The unit runs, started after the last change of each of these files.
    StartUnit {
        /// Full name of the unit.
        unit: String,
        /// Files it reads only when it starts.
        configured_by: Vec<PathBuf>,
    },
    /// As `StartUnit`, and on its way is enough: whether it gets there depends on others.
    LaunchUnit {
        /// Full name of the unit.
        unit: String,
        /// Files it reads only when it starts.
        configured_by: Vec<PathBuf>,
    },
    /// The folder and all that is in it belong to this user. Links in it are not followed.
    OwnTree {
        /// The folder; one that does not exist is met.
        path: PathBuf,
        /// Name of the user, whose group is that of the same entry.
        user: String,
    },
    /// The unit does not run and does not start with the machine.
    StopUnit {
        /// Full name of the unit.
        unit: String,
    },
    /// The object is in the API with these fields (server-side apply, field manager `roost`).
    ApplyObject {
        /// The whole object with apiVersion, kind and metadata.
        object: Value,
        /// Keep an object that is there as it is (its users may have changed it).
        create_only: bool,
    },
    /// No such object in the API.
    DeleteObject {
        /// apiVersion, kind, metadata.name and metadata.namespace are enough.
        object: Value,
    },
    /// The condition holds; waited for, at most so long.
    WaitFor {
        /// What to wait for.
        condition: Condition,
        /// When to give up.
        within: Duration,
    },
    /// The Node has the labels of a control plane, and its taint if so wanted.
    MarkControlPlane {
        /// Name of the Node.
        node: String,
        /// Keep ordinary pods off.
        taint: bool,
    },
    /// The Node has these labels, and none that its settings gave it before.
    LabelNode {
        /// Name of the Node.
        node: String,
        /// The labels.
        labels: BTreeMap<String, String>,
    },
    /// The Node has pod subnets; these ones, as long as no node of the cluster has any.
    AssignPodSubnets {
        /// Name of the Node.
        node: String,
        /// One for each address family.
        subnets: Vec<IpNet>,
    },
    /// The PKI files that control planes share are in this folder, handed over by a control plane that has them.
    ReceiveKeys {
        /// Whose credentials ask for them.
        kubeconfig: PathBuf,
        /// Name of this node.
        node: String,
        /// The PKI folder.
        folder: PathBuf,
        /// What must be there, by names below the folder; what an external CA keeps is not among it.
        needed: Vec<String>,
        /// Which ones are asked for.
        wanted: Wanted,
    },
    /// This node is a member of etcd; a new one is a learner.
    AddMember {
        /// Name of the member.
        name: String,
        /// Its peer URL.
        peer_url: String,
    },
    /// This node has a vote in etcd: its log is that of the leader.
    PromoteMember {
        /// Name of the member.
        name: String,
        /// Its peer URL.
        peer_url: String,
    },
    /// No pod is in the container runtime.
    RemovePods,
    /// Nothing of the pod network is on the node: routes, rules, bridge, CNI configuration and leases.
    RemovePodNetwork,
    /// No such unit file; systemd is reloaded.
    RemoveUnit {
        /// The file.
        path: PathBuf,
    },
    /// The other members of etcd reach this node's at this URL.
    MoveMember {
        /// Name of the member.
        name: String,
        /// Its peer URL.
        peer_url: String,
        /// It may be done later: a member whose address is gone has to be started with its new one first.
        may_wait: bool,
    },
    /// This node is no member of etcd, unless it is the only one.
    RemoveMember {
        /// Name of the member.
        name: String,
        /// Its peer URL.
        peer_url: String,
    },
}

/// Content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Anyone may see it.
    Text(String),
    /// Keys and tokens.
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

/// How an image comes into the runtime's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageOrigin {
    /// Pulled by its name.
    Registry,
    /// Imported from whichever of these archives (or folders of archives) holds it.
    Archives(Vec<PathBuf>),
    /// Made on the spot of one small static program of the node (the sandbox image, which mounts nothing).
    Program(PathBuf),
    /// Made on the spot: an image without any layer, for programs mounted from the node.
    Scratch,
}

/// A kubeconfig whose user is a certificate made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKubeconfig {
    /// The file, mode 0600.
    pub path: PathBuf,
    /// Name of the cluster in it.
    pub cluster: String,
    /// URL of the API server.
    pub server: String,
    /// The CA that the API server's certificate comes from.
    pub ca: KeyPairFiles,
    /// The client's certificate.
    pub leaf: Leaf,
}

/// Something that becomes true by itself once the previous steps are done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// An HTTPS or HTTP endpoint answers 200.
    Answers {
        /// Full URL.
        url: String,
        /// CA to check its certificate with; `None` for plain HTTP.
        ca: Option<PathBuf>,
    },
    /// The unit is active.
    UnitActive {
        /// Full name of the unit.
        unit: String,
    },
    /// The Node object is there.
    NodeRegistered {
        /// Its name.
        name: String,
    },
    /// The Node is Ready.
    NodeReady {
        /// Its name.
        name: String,
    },
    /// A file is there.
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// The kubelet has exchanged its bootstrap credentials for its own.
    KubeletCredentials {
        /// Its kubeconfig.
        path: PathBuf,
        /// The kubeconfig with which it asks.
        bootstrap: PathBuf,
        /// Name of its node.
        node: String,
        /// Uids of denied requests that are of an earlier attempt.
        denied: BTreeSet<String>,
    },
    /// No static pod of this component runs.
    PodGone {
        /// Component.
        component: String,
    },
    /// A static pod of this component runs.
    PodRuns {
        /// Component.
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

/// `Kind namespace/name` of an object.
pub fn object_name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/kind");
    match text("/metadata/namespace") {
        "" => format!("{kind} {}", text("/metadata/name")),
        namespace => format!("{kind} {namespace}/{}", text("/metadata/name")),
    }
}

/// True when `seen` has everything that `wanted` has. Lists are compared as wholes, item by item: an item may have
/// fields that the server filled in.
pub fn covers(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => wanted.iter().all(|(name, wanted)| match seen.get(name) {
            Some(seen) => covers(seen, wanted),
            // The server leaves out what is empty.
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
        // The content of Secret objects is not in their line either.
        let object = serde_json::json!({"kind": "Secret", "metadata": {"namespace": "a", "name": "b"}, "data": {"k": "hunter2"}});
        assert_eq!(Step::ApplyObject { object, create_only: false }.to_string(), "apply Secret a/b");
    }
}
