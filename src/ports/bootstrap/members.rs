//! etcd's membership and health.

use std::sync::Arc;

use async_trait::async_trait;

use crate::core::bootstrap::membership::Member;
use crate::core::model::Secret;

/// Why a request to etcd failed.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// etcd is unreachable, or rejected the request.
    #[error("etcd: {what}")]
    Failed {
        /// Description of the operation, e.g. `promote member 8e9e05c52164694d`.
        what: String,
        /// Error of the client.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The learner's log is too far behind to be promoted.
    #[error("etcd: the learner has not caught up yet")]
    NotCaughtUp,
    /// Another learner exists; etcd accepts one at a time.
    #[error("etcd: another member is joining")]
    TooManyLearners,
}

/// Credentials for etcd, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdIdentity {
    /// CA that signed etcd's server certificates.
    pub ca: String,
    /// Certificate of the client.
    pub certificate: String,
    /// Private key of the client.
    pub key: Secret<String>,
}

/// Health of one member.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemberHealth {
    /// Id of the member.
    pub id: u64,
    /// Id of the leader it follows; 0 if it knows none.
    pub leader: u64,
    /// Index of the last entry in its log.
    pub raft_index: u64,
    /// Index of the last entry that it applied.
    pub applied_index: u64,
    /// Size of its database on disk, in bytes.
    pub db_size: i64,
    /// Part of it in use, in bytes.
    pub db_in_use: i64,
    /// Size at which it rejects writes, in bytes; 0 if it does not report it (etcd before 3.6).
    pub db_quota: i64,
    /// Version of its etcd server.
    pub version: String,
    /// True if it is a learner, without a vote.
    pub learner: bool,
    /// Alarms and other faults that it reports.
    pub errors: Vec<String>,
}

/// Contents of a member's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Revision of the latest write.
    pub revision: i64,
    /// Number of existing keys.
    pub keys: i64,
    /// etcd's hash over all keys, values and revisions.
    pub hash: u32,
    /// True if the requested key exists and has a value.
    pub known: bool,
}

/// Connects to etcd clusters.
pub trait Etcd: Send + Sync {
    /// A client of the members at these URLs. Nothing is sent yet.
    fn connect(&self, endpoints: Vec<String>, identity: EtcdIdentity) -> Arc<dyn Members>;
}

/// The members of an etcd cluster, through any of them that responds.
#[async_trait]
pub trait Members: Send + Sync {
    /// All members according to the one that responds, whose list may be outdated if it lost the others.
    async fn list(&self) -> Result<Vec<Member>, MembersError>;
    /// Adds a learner and returns its id.
    async fn add_learner(&self, peer_url: &str) -> Result<u64, MembersError>;
    /// Promotes a learner to a voting member.
    async fn promote(&self, id: u64) -> Result<(), MembersError>;
    /// Changes the peer URL of a member.
    async fn set_peer_url(&self, id: u64, peer_url: &str) -> Result<(), MembersError>;
    /// Removes a member; "not found" is success.
    async fn remove(&self, id: u64) -> Result<(), MembersError>;
    /// Succeeds if a majority of the members responds and agrees now.
    async fn confirm_quorum(&self) -> Result<(), MembersError>;
    /// Health of the member that responds; connect to one endpoint to choose it.
    async fn health(&self) -> Result<MemberHealth, MembersError>;
    /// Defragments the database of the member that responds.
    async fn defragment(&self) -> Result<(), MembersError>;
    /// Compacts all old revisions; clients that watch an older one must list again.
    async fn compact(&self) -> Result<(), MembersError>;
    /// Clears the NOSPACE alarm; true if it was set.
    async fn disarm_no_space(&self) -> Result<bool, MembersError>;
    /// Reads the whole database of the member that responds, for its hash, and one key.
    async fn holdings(&self, known: &str) -> Result<Holdings, MembersError>;
    /// Writes a snapshot of the member that responds to a new file; returns its size in bytes.
    async fn snapshot(&self, path: &std::path::Path) -> Result<u64, MembersError>;
}
