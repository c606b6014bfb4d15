//! Steps about this node's member of etcd.

use std::fmt;

/// What shall be true of this node's member of etcd. A member is known by its name (that of the node) and its peer URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberStep {
    /// This node is a member; a new one is a learner.
    Add {
        /// Name of the member.
        name: String,
        /// URL at which the other members reach it.
        peer_url: String,
    },
    /// This node is a voting member: its log has caught up with the leader's.
    Promote {
        /// Name of the member.
        name: String,
        /// URL at which the other members reach it.
        peer_url: String,
    },
    /// The other members reach this node's member at this URL.
    Move {
        /// Name of the member.
        name: String,
        /// URL at which the other members shall reach it.
        peer_url: String,
        /// It may be done later: a member whose old address is gone has to be started with its new one first.
        may_wait: bool,
    },
    /// This node is not a member, unless it is the only one.
    Remove {
        /// Name of the member.
        name: String,
        /// URL at which the other members reach it.
        peer_url: String,
    },
}

impl fmt::Display for MemberStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { name, peer_url } => write!(f, "add etcd member {name} at {peer_url}"),
            Self::Promote { name, .. } => write!(f, "promote etcd member {name}"),
            Self::Move { name, peer_url, .. } => write!(f, "update the peer URL of etcd member {name} to {peer_url}"),
            Self::Remove { name, .. } => write!(f, "remove etcd member {name}"),
        }
    }
}
