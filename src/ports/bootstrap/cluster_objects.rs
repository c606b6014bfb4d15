//! Whole API objects, as the bootstrapper applies, reads and deletes them.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

/// Identity of an object in the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `apiVersion`, e.g. `v1` or `apps/v1`.
    pub api_version: String,
    /// `kind` of the object, e.g. `ConfigMap`.
    pub kind: String,
    /// Namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// `metadata.name` of the object.
    pub name: String,
}

impl ObjectRef {
    /// The identity of a whole object; `None` if one of the fields is missing.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
        })
    }

    /// An object in a namespace; with `None`, of a cluster-scoped kind.
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

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterObjectsError {
    /// The value is not an object: apiVersion, kind or name is missing.
    #[error("an object without apiVersion, kind and name cannot be applied")]
    NoObject,
    /// The server rejected the request.
    #[error("{verb} {object}: {message}")]
    Refused {
        /// The operation: `get`, `apply`, …
        verb: &'static str,
        /// Identity of the object.
        object: ObjectRef,
        /// HTTP status, e.g. 403.
        code: u16,
        /// Message of the API server.
        message: String,
    },
    /// The server could not be reached.
    #[error("{verb} {object}")]
    Unreachable {
        /// The operation: `get`, `apply`, …
        verb: &'static str,
        /// Identity of the object.
        object: ObjectRef,
        /// Error of the connection.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClusterObjectsError {
    /// True if a retry may succeed: the server is unreachable, overloaded, or still initializing (its namespaces, RBAC
    /// roles and the authorizer's cache are only available some moments after `/readyz`).
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoObject => false,
            Self::Refused { code, .. } => matches!(code, 403 | 404 | 409 | 429 | 500..),
            Self::Unreachable { .. } => true,
        }
    }
}

/// The effect of applying an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The object was created or changed.
    Changed,
    /// The object already had all wanted fields.
    Unchanged,
}

/// Objects in the API, of any kind.
#[async_trait]
pub trait ClusterObjects: Send + Sync {
    /// Server-side apply with our field manager, taking over fields owned by others.
    async fn apply(&self, object: &Value) -> Result<Applied, ClusterObjectsError>;
    /// Reads an object; `None` if it does not exist.
    async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterObjectsError>;
    /// All objects of a kind in a namespace that match a field selector; the name in `kind` is ignored.
    async fn list(&self, kind: &ObjectRef, field_selector: &str) -> Result<Vec<Value>, ClusterObjectsError>;
    /// Creates an object; fails with code 409 if one of that name exists.
    async fn create(&self, object: &Value) -> Result<(), ClusterObjectsError>;
    /// Groups of the user that sends these requests, as the API server sees it.
    async fn own_groups(&self) -> Result<Vec<String>, ClusterObjectsError>;
    /// Applies a JSON merge patch.
    async fn merge_patch(&self, object: &ObjectRef, patch: &Value) -> Result<(), ClusterObjectsError>;
    /// Deletes an object; true if it existed.
    async fn delete(&self, object: &ObjectRef) -> Result<bool, ClusterObjectsError>;
}
