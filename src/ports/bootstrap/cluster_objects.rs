//! Cluster objects as whole values: what bootstrap applies, reads and removes.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

/// Names an object of the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `apiVersion`, e.g. `v1` or `apps/v1`.
    pub api_version: String,
    /// Kind, e.g. `ConfigMap`.
    pub kind: String,
    /// Namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// The name of a whole object; `None` when it lacks one of the fields.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
        })
    }

    /// An object in a namespace, or of a cluster-scoped kind when that is none.
    pub fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.map(str::to_owned);
        Self { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace, name: name.to_owned() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Why the API server did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterObjectsError {
    /// The value is no object: it lacks apiVersion, kind or name.
    #[error("an object without apiVersion, kind and name cannot be applied")]
    NoObject,
    /// The server refused.
    #[error("{verb} {object}: {message}")]
    Refused {
        /// What was tried: `get`, `apply`, …
        verb: &'static str,
        /// The object.
        object: ObjectRef,
        /// HTTP status, e.g. 403.
        code: u16,
        /// Message of the API server.
        message: String,
    },
    /// The server could not be reached.
    #[error("{verb} {object}")]
    Unreachable {
        /// The operation.
        verb: &'static str,
        /// The object.
        object: ObjectRef,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClusterObjectsError {
    /// True when another try may succeed: the server is away, overloaded, or still setting itself up (its own
    /// namespaces, RBAC roles and the cache of its authorizer come some moments after `/readyz`).
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoObject => false,
            Self::Refused { code, .. } => matches!(code, 403 | 404 | 409 | 429 | 500..),
            Self::Unreachable { .. } => true,
        }
    }
}

/// What applying an object did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was made or changed.
    Changed,
    /// It was as wanted.
    Unchanged,
}

/// The API server's objects.
#[async_trait]
pub trait ClusterObjects: Send + Sync {
    /// Server-side apply in our name, taking over fields that others own.
    async fn apply(&self, object: &Value) -> Result<Applied, ClusterObjectsError>;
    /// Reads one; `None` when it does not exist.
    async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterObjectsError>;
    /// Every object of a kind in a namespace, filtered by a field selector; the name in `kind` is ignored.
    async fn list(&self, kind: &ObjectRef, field_selector: &str) -> Result<Vec<Value>, ClusterObjectsError>;
    /// Creates an object, failing with code 409 when there is one of that name.
    async fn create(&self, object: &Value) -> Result<(), ClusterObjectsError>;
    /// Applies a JSON merge patch.
    async fn merge_patch(&self, object: &ObjectRef, patch: &Value) -> Result<(), ClusterObjectsError>;
    /// Removes one; true when it was there.
    async fn delete(&self, object: &ObjectRef) -> Result<bool, ClusterObjectsError>;
}
