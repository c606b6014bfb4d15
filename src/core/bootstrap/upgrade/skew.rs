//! Version-skew rules: which versions may run together (<https://kubernetes.io/releases/version-skew-policy/>), and
//! other checks before an upgrade.

use super::observed::ObservedCluster;
use crate::core::model::Version;
use crate::core::model::spec::Component;

/// The components of a control plane that have the cluster's version.
/// How many minor versions kubelet and kube-proxy may be older than the API server.
const NODE_LAG: i64 = 3;

/// A failed check of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The target version is newer than this program supports.
    #[error("{wanted} is newer than this program supports (v{}.{}); install a newer bootstrap first", .known.major, .known.minor)]
    Unknown {
        /// Target version of the upgrade.
        wanted: Version,
        /// The newest version that this program supports.
        known: Version,
    },
    /// A downgrade: an older version may be unable to read data and objects of a newer one.
    #[error(
        "{component} of {node} runs {running}: a downgrade to {wanted} is not supported; the only way back is `bootstrap etcd restore`"
    )]
    Downgrade {
        /// Name of the component.
        component: String,
        /// Name of its node.
        node: String,
        /// The version it runs.
        running: Version,
        /// Target version of the upgrade.
        wanted: Version,
    },
    /// A minor version would be skipped.
    #[error(
        "{component} of {node} runs {running}: {wanted} would skip a minor version; upgrade to the next minor version first"
    )]
    LeavesOneOut {
        /// Name of the component.
        component: String,
        /// Name of its node.
        node: String,
        /// The version it runs.
        running: Version,
        /// Target version of the upgrade.
        wanted: Version,
    },
    /// API servers differ by more than one minor version.
    #[error("API servers run {oldest} and {newest}: they may differ by at most one minor version")]
    Apart {
        /// Version of the oldest API server.
        oldest: Version,
        /// Version of the newest API server.
        newest: Version,
    },
    /// A kubelet or kube-proxy that is newer than the target version.
    #[error("{component} of {node} runs {running}: it may not be newer than the API server's {wanted}")]
    NewerThanApi {
        /// Name of the component.
        component: &'static str,
        /// Name of its node.
        node: String,
        /// The version it runs.
        running: Version,
        /// The API server's version.
        wanted: Version,
    },
    /// A kubelet that is too old for the target version.
    #[error(
        "kubelet of {node} runs {running}: it may be at most three minor versions older than {wanted}; upgrade it first"
    )]
    TooOld {
        /// Name of its node.
        node: String,
        /// The version it runs.
        running: Version,
        /// Target version of the upgrade.
        wanted: Version,
    },
    /// A kubelet that is newer than an API server which this upgrade will replace.
    #[error("kubelet of {node} runs {running}, newer than the API server's {oldest}: upgrade the API servers")]
    AheadForNow {
        /// Name of its node.
        node: String,
        /// The version it runs.
        running: Version,
        /// Version of the oldest API server.
        oldest: Version,
    },
    /// Not a version-skew rule; `--ignore-preflight` overrides it.
    #[error("node {0} is not Ready")]
    NodeNotReady(String),
    /// Not a version-skew rule; `--ignore-preflight` overrides it.
    #[error("{component} of {node} is not Ready")]
    ComponentNotReady {
        /// Name of the component.
        component: String,
        /// Name of its node.
        node: String,
    },
    /// Not a version-skew rule; `--ignore-preflight` overrides it.
    #[error("etcd member {name} is unhealthy: {fault}")]
    MemberNotWell {
        /// Name of the etcd member.
        name: String,
        /// Why it is unhealthy.
        fault: String,
    },
    /// The running version cannot be determined.
    #[error("the version of {component} of {node} cannot be derived from its image {image}")]
    Untold {
        /// Name of the component.
        component: String,
        /// Name of its node.
        node: String,
        /// The image reference, whose tag is not a version.
        image: String,
    },
}

impl Fault {
    /// True if it violates a version-skew rule, which nothing overrides.
    pub fn forbids(&self) -> bool {
        match self {
            Self::Unknown { .. }
            | Self::Downgrade { .. }
            | Self::LeavesOneOut { .. }
            | Self::Apart { .. }
            | Self::NewerThanApi { .. }
            | Self::TooOld { .. } => true,
            Self::AheadForNow { .. }
            | Self::NodeNotReady(_)
            | Self::ComponentNotReady { .. }
            | Self::MemberNotWell { .. }
            | Self::Untold { .. } => false,
        }
    }

    /// True when it blocks the upgrade unless overridden. Unhealthy components of the node that is being upgraded
    /// (`own`) do not: an interrupted upgrade must be able to continue.
    pub fn holds_up(&self, own: &str, control_planes: &[&str]) -> bool {
        match self {
            Self::NodeNotReady(node) => node != own && control_planes.contains(&node.as_str()),
            Self::ComponentNotReady { component, node } => node != own && component != "kube-proxy",
            Self::MemberNotWell { name, .. } => name != own,
            Self::AheadForNow { .. } | Self::Untold { .. } => false,
            fault => fault.forbids(),
        }
    }
}

/// All failed checks for `wanted`, version-skew rules first.
pub fn find_faults(
    cluster: &ObservedCluster,
    wanted: Version,
    wanted_etcd: Option<Version>,
    known: Version,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    if (wanted.major, wanted.minor) > (known.major, known.minor) {
        faults.push(Fault::Unknown { wanted, known });
    }
    for component in Component::CONTROL_PLANE.map(Component::name) {
        for (node, seen) in cluster.everywhere(component) {
            let (component, node) = (component.to_owned(), node.to_owned());
            match seen.version {
                None => faults.push(Fault::Untold { component, node, image: seen.image.clone() }),
                Some(running) => faults.extend(check_step(&component, &node, running, wanted)),
            }
        }
    }
    let api_servers: Vec<Version> =
        cluster.everywhere(Component::ApiServer.name()).filter_map(|(_, seen)| seen.version).collect();
    if let (Some(oldest), Some(newest)) = (api_servers.iter().min(), api_servers.iter().max())
        && newest.minors_ahead_of(*oldest).is_none_or(|minors| minors > 1)
    {
        faults.push(Fault::Apart { oldest: *oldest, newest: *newest });
    }
    if let Some(wanted) = wanted_etcd {
        for member in &cluster.etcd {
            let step = member.version.and_then(|running| check_step("etcd", &member.name, running, wanted));
            // A member's reported patch version may differ from the one in its image tag.
            faults.extend(step.filter(|_| member.version.and_then(|v| wanted.minors_ahead_of(v)) != Some(0)));
        }
    }
    for node in &cluster.nodes {
        let proxy = node.components.get("kube-proxy").and_then(|seen| seen.version);
        for (component, running) in [("kubelet", node.kubelet), ("kube-proxy", proxy)] {
            let Some(running) = running else { continue };
            let node = node.name.clone();
            match wanted.minors_ahead_of(running) {
                None | Some(..0) => faults.push(Fault::NewerThanApi { component, node, running, wanted }),
                Some(lag) if lag > NODE_LAG && component == "kubelet" => {
                    faults.push(Fault::TooOld { node, running, wanted });
                }
                Some(_) => faults.extend(
                    cluster
                        .oldest_api_server()
                        .filter(|oldest| {
                            component == "kubelet" && oldest.minors_ahead_of(running).is_none_or(|n| n < 0)
                        })
                        .map(|oldest| Fault::AheadForNow { node, running, oldest }),
                ),
            }
        }
    }
    faults.extend(ill(cluster));
    faults
}

fn check_step(component: &str, node: &str, running: Version, wanted: Version) -> Option<Fault> {
    let (component, node) = (component.to_owned(), node.to_owned());
    if wanted < running {
        return Some(Fault::Downgrade { component, node, running, wanted });
    }
    let next = wanted.minors_ahead_of(running).is_some_and(|minors| minors <= 1);
    (!next).then_some(Fault::LeavesOneOut { component, node, running, wanted })
}

fn ill(cluster: &ObservedCluster) -> Vec<Fault> {
    let mut faults = Vec::new();
    for node in &cluster.nodes {
        if !node.ready {
            faults.push(Fault::NodeNotReady(node.name.clone()));
        }
        for (component, _) in node.components.iter().filter(|(_, seen)| !seen.ready) {
            faults.push(Fault::ComponentNotReady { component: component.clone(), node: node.name.clone() });
        }
    }
    for member in &cluster.etcd {
        if let Some(fault) = &member.fault {
            faults.push(Fault::MemberNotWell { name: member.name.clone(), fault: fault.clone() });
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::observed::{ObservedComponent, ObservedMember, ObservedNode};
    use super::*;

    fn version(text: &str) -> Version {
        format!("v1.{text}").parse().unwrap()
    }

    /// `name apiserver controllers proxy kubelet`, each as `36.3`; `-` for none.
    fn cluster(nodes: &[&str]) -> ObservedCluster {
        let node = |line: &&str| {
            let words: Vec<&str> = line.split(' ').collect();
            let told = |word: &str| (word != "-").then(|| version(word));
            let component = |word: &str| {
                told(word).map(|version| ObservedComponent {
                    version: Some(version),
                    image: String::new(),
                    ready: true,
                })
            };
            let names = [
                ("kube-apiserver", words[1]),
                ("kube-controller-manager", words[2]),
                ("kube-scheduler", words[2]),
                ("kube-proxy", words[3]),
            ];
            let components: BTreeMap<_, _> =
                names.iter().filter_map(|(name, word)| Some(((*name).to_owned(), component(word)?))).collect();
            ObservedNode {
                name: words[0].to_owned(),
                control_plane: components.len() > 1,
                kubelet: told(words[4]),
                ready: true,
                components,
            }
        };
        ObservedCluster { nodes: nodes.iter().map(node).collect(), ..ObservedCluster::default() }
    }

    fn told(nodes: &[&str], wanted: &str) -> Vec<String> {
        let faults = find_faults(&cluster(nodes), version(wanted), None, version("36.3"));
        faults.iter().map(|fault| format!("{}{fault}", if fault.forbids() { "" } else { "(" })).collect()
    }

    #[test]
    fn the_rules_of_skew() {
        let well: &[(&[&str], &str)] = &[
            (&["n1 35.4 35.4 35.4 35.4"], "36.3"),
            (&["n1 36.3 36.3 36.3 36.3"], "36.3"),
            (&["n1 36.2 36.2 36.2 36.2"], "36.4"),
            // Half-way through: one control plane is upgraded.
            (&["n1 36.3 36.3 35.4 35.4", "n2 35.4 35.4 35.4 35.4"], "36.3"),
            // Interrupted between two components.
            (&["n1 36.3 35.4 35.4 35.4"], "36.3"),
            (&["n1 35.4 35.4 35.4 35.4", "w1 - - 33.0 33.9"], "36.3"),
            // A newer patch release on a node is allowed.
            (&["n1 36.1 36.1 36.1 36.3"], "36.2"),
        ];
        for (nodes, wanted) in well {
            assert_eq!(told(nodes, wanted), Vec::<String>::new(), "{nodes:?} → {wanted}");
        }
        let faulty: &[(&[&str], &str, &str)] = &[
            (&["n1 35.4 35.4 35.4 35.4"], "37.0", "v1.37.0 is newer than this program supports (v1.36)"),
            (&["n1 34.1 34.1 34.1 34.1"], "36.3", "kube-apiserver of n1 runs v1.34.1: v1.36.3 would skip a minor"),
            (
                &["n1 36.3 36.3 36.3 36.3"],
                "36.2",
                "kube-apiserver of n1 runs v1.36.3: a downgrade to v1.36.2 is not supported",
            ),
            // The second control plane counts as well, and each of its components.
            (&["n1 36.3 36.3 - 36.3", "n2 34.0 34.0 - 34.0"], "36.3", "API servers run v1.34.0 and v1.36.3"),
            (&["n1 35.0 34.0 - 34.0"], "36.3", "kube-controller-manager of n1 runs v1.34.0: v1.36.3 would skip"),
            (
                &["n1 35.4 36.0 - 35.4"],
                "35.5",
                "kube-scheduler of n1 runs v1.36.0: a downgrade to v1.35.5 is not supported",
            ),
            (&["n1 34.4 34.4 - 34.4", "w1 - - - 36.0"], "35.0", "kubelet of w1 runs v1.36.0: it may not be newer than"),
            (
                &["n1 35.4 35.4 - 35.4", "w1 - - - 32.9"],
                "36.3",
                "kubelet of w1 runs v1.32.9: it may be at most three minor",
            ),
            (
                &["n1 35.4 35.4 - 35.4", "w1 - - 37.0 35.4"],
                "36.3",
                "kube-proxy of w1 runs v1.37.0: it may not be newer",
            ),
            (&["n1 35.4 35.4 - 36.3"], "36.3", "(kubelet of n1 runs v1.36.3, newer than the API server's v1.35.4"),
        ];
        for (nodes, wanted, words) in faulty {
            let faults = told(nodes, wanted);
            assert!(faults.iter().any(|fault| fault.starts_with(words)), "{nodes:?} → {wanted}: {faults:#?}");
        }
    }

    #[test]
    fn etcd_goes_one_minor_version_at_a_time_too() {
        let member = |version: &str| ObservedMember { name: "n1".into(), version: version.parse().ok(), fault: None };
        let told = |running: &str, wanted: &str| {
            let cluster = ObservedCluster { etcd: vec![member(running)], ..ObservedCluster::default() };
            find_faults(&cluster, version("36.3"), wanted.parse().ok(), version("36.3")).len()
        };
        assert_eq!(told("3.5.24", "3.6.8"), 0);
        assert_eq!(told("3.6.16", "3.6.8"), 0, "a tag need not tell the patch");
        assert_eq!(told("3.4.30", "3.6.8"), 1);
        assert_eq!(told("3.6.8", "3.5.24"), 1);
    }

    #[test]
    fn what_is_ill_holds_up_others_and_not_itself() {
        let mut sick = cluster(&["n1 35.4 35.4 35.4 35.4", "n2 35.4 35.4 35.4 35.4", "w1 - - 35.4 35.4"]);
        sick.nodes.iter_mut().for_each(|node| node.ready = false);
        for node in &mut sick.nodes {
            node.components.values_mut().for_each(|seen| seen.ready = false);
        }
        sick.etcd = ["n1", "n2"]
            .map(|name| ObservedMember { name: name.into(), version: None, fault: Some("x".into()) })
            .into();
        let faults = find_faults(&sick, version("36.3"), None, version("36.3"));
        let held: Vec<String> =
            faults.iter().filter(|fault| fault.holds_up("n1", &["n1", "n2"])).map(ToString::to_string).collect();
        assert_eq!(
            held,
            [
                "node n2 is not Ready",
                "kube-apiserver of n2 is not Ready",
                "kube-controller-manager of n2 is not Ready",
                "kube-scheduler of n2 is not Ready",
                "etcd member n2 is unhealthy: x",
            ]
        );
        assert!(faults.iter().all(|fault| !fault.forbids()));
    }
}
