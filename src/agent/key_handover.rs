//! Answers joining control planes with the keys that all control planes share. Every control plane may run it at once:
//! the first answer stands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::bootstrap::key_handover::{SHARED_FILES, SharedFiles};
use crate::core::model::Secret;
use crate::ports::{FileError, HandoverRequests, NodeFiles, PendingHandover};

/// Runs for ever.
pub async fn run_key_handover(mut requests: Box<dyn HandoverRequests>, files: Arc<dyn NodeFiles>, pki: PathBuf) {
    loop {
        let pending = requests.next().await;
        let name = pending.name.clone();
        let user = pending.requester.username.clone();
        match decide(&pending) {
            Ok(key) => {
                let outcome = match read_shared(files.as_ref(), &pki) {
                    Ok(shared) => requests.answer(&name, &key, &shared).await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                match outcome {
                    Ok(()) => tracing::warn!(request = name, user, "handed the cluster's keys to a control plane"),
                    Err(error) => tracing::warn!(request = name, error, "the cluster's keys cannot be handed over"),
                }
            }
            Err(reason) => tracing::warn!(request = name, user, reason, "left a request for the cluster's keys alone"),
        }
    }
}

fn decide(pending: &PendingHandover) -> Result<[u8; 32], String> {
    if !pending.approved && !pending.requester.may_join_control_planes() {
        return Err("its token is not for control planes; kubectl certificate approve lets it in".to_owned());
    }
    pending.key.clone().map_err(|error| error.to_string())
}

/// The shared files that this node has; keys of an external CA it has not.
fn read_shared(files: &dyn NodeFiles, pki: &Path) -> Result<SharedFiles, FileError> {
    let mut shared = SharedFiles::new();
    for name in SHARED_FILES {
        if let Some(text) = files.read(&pki.join(name))? {
            shared.insert(name.to_owned(), Secret::new(text));
        }
    }
    Ok(shared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::bootstrap::key_handover::{Requester, TOKEN_GROUP};

    fn pending(user: &str, groups: &[&str], approved: bool) -> PendingHandover {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let requester = Requester { username: user.to_owned(), groups };
        PendingHandover { name: "r".to_owned(), requester, approved, key: Ok([1; 32]) }
    }

    #[test]
    fn keys_go_to_tokens_of_control_planes_and_to_whom_somebody_approved() {
        let worker = ["system:bootstrappers:kubeadm:default-node-token"];
        assert!(decide(&pending("system:bootstrap:abcdef", &[TOKEN_GROUP], false)).is_ok());
        assert!(decide(&pending("system:bootstrap:abcdef", &worker, false)).is_err());
        assert!(decide(&pending("system:node:n2", &[TOKEN_GROUP], false)).is_err());
        assert!(decide(&pending("system:bootstrap:abcdef", &worker, true)).is_ok());
    }
}
