//! Steps about objects of the API.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use serde_json::Value;

/// What shall be true of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectStep {
    /// The object is in the API with these fields (server-side apply, field manager `roost`).
    Apply {
        /// The whole object with apiVersion, kind and metadata.
        object: Value,
        /// Keep an existing object as it is, because its users may have changed it.
        create_only: bool,
    },
    /// The object is not in the API.
    Delete {
        /// apiVersion, kind, metadata.name and metadata.namespace are enough.
        object: Value,
    },
    /// The Node has the labels of a control plane, and its taint if that is configured.
    MarkControlPlane {
        /// Name of the Node.
        node: String,
        /// Keep ordinary pods off the node.
        taint: bool,
    },
    /// The Node has these labels, and none that its settings gave it earlier.
    LabelNode {
        /// Name of the Node.
        node: String,
        /// Label keys and values of `node.labels`.
        labels: BTreeMap<String, String>,
    },
    /// The Node has pod subnets; these ones, as long as no node of the cluster has any.
    AssignPodSubnets {
        /// Name of the Node.
        node: String,
        /// One for each address family.
        subnets: Vec<IpNet>,
    },
}

impl fmt::Display for ObjectStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply { object, .. } => write!(f, "apply {}", object_name(object)),
            Self::Delete { object } => write!(f, "delete {}", object_name(object)),
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
            Self::AssignPodSubnets { node, subnets } => {
                let subnets: Vec<_> = subnets.iter().map(ToString::to_string).collect();
                write!(f, "assign pod subnet {} to node {node}", subnets.join(" and "))
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
