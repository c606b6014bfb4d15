//! etcd's membership and health.

use std::sync::Arc;

use async_trait::async_trait;

use crate::core::bootstrap::membership::Member;
use crate::core::model::Secret;

/// etcd did not do it.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// It is not reachable, or refused.
    #[error("etcd: {what}")]
    Failed {
        /// The operation.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The learner's log is too far behind.
    #[error("etcd: the learner has not caught up yet")]
    NotCaughtUp,
    /// Another learner is there.
    #[error("etcd: another member is joining")]
    TooManyLearners,
}

/// How a client proves itself to etcd, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdIdentity {
    /// The CA of etcd's server certificates.
    pub ca: String,
    /// Client certificate.
    pub certificate: String,
    /// Its key.
    pub key: Secret<String>,
}

/// How one member is doing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemberHealth {
    /// The member's id.
    pub id: u64,
    /// The leader it follows; 0 when it knows none.
    pub leader: u64,
    /// Last entry of its log.
    pub raft_index: u64,
    /// Last entry that it applied.
    pub applied_index: u64,
    /// Bytes of its database on disk.
    pub db_size: i64,
    /// Bytes of it in use.
    pub db_in_use: i64,
    /// Bytes it may come to before it takes no more writes; 0 if it does not report it (etcd before 3.6).
    pub db_quota: i64,
    /// Server version.
    pub version: String,
    /// It has no vote yet.
    pub learner: bool,
    /// Alarms and other faults it reports.
    pub errors: Vec<String>,
}

/// What a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Revision of the newest write.
    pub revision: i64,
    /// Keys that are there.
    pub keys: i64,
    /// Hash over all keys, values and revisions.
    pub hash: u32,
    /// The key that was asked for is there, with a value.
    pub known: bool,
}

/// Connections to etcd.
pub trait Etcd: Send + Sync {
    /// A client of the members at these URLs. Nothing is sent yet.
    fn connect(&self, endpoints: Vec<String>, identity: EtcdIdentity) -> Arc<dyn Members>;
}

/// The members of an etcd cluster, through any of them that answers.
#[async_trait]
pub trait Members: Send + Sync {
    /// All members as the one that answers knows them, which may be from before it lost the others.
    async fn list(&self) -> Result<Vec<Member>, MembersError>;
    /// Adds a learner and returns its id.
    async fn add_learner(&self, peer_url: &str) -> Result<u64, MembersError>;
    /// Promotes a learner to a voting member.
    async fn promote(&self, id: u64) -> Result<(), MembersError>;
    /// Changes the peer URL of a member.
    async fn set_peer_url(&self, id: u64, peer_url: &str) -> Result<(), MembersError>;
    /// Removes a member; one that does not exist is removed.
    async fn remove(&self, id: u64) -> Result<(), MembersError>;
    /// Succeeds when a majority of the members agrees now.
    async fn confirm_quorum(&self) -> Result<(), MembersError>;
    /// How the member that answers is doing; connect to one endpoint to ask that one.
    async fn health(&self) -> Result<MemberHealth, MembersError>;
    /// Defragments the member that answers.
    async fn defragment(&self) -> Result<(), MembersError>;
    /// Compacts all old revisions; clients that watch an older one must re-list.
    async fn compact(&self) -> Result<(), MembersError>;
    /// Clears the NOSPACE alarm; true if it was set.
    async fn disarm_no_space(&self) -> Result<bool, MembersError>;
    /// Reads all that the member that answers holds, for the hash over it, and one key.
    async fn holdings(&self, known: &str) -> Result<Holdings, MembersError>;
    /// Writes a snapshot of the member that answers to this new file; returns its size in bytes.
    async fn snapshot(&self, path: &std::path::Path) -> Result<u64, MembersError>;
}
