//! Answers control planes with the keys that all of them share, or with those of authorities to come. Every control plane may run it at once:
//! the first answer stands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::bootstrap::key_handover::{Asked, NEXT_FILES, SHARED_FILES, SharedFiles, Wanted};
use crate::core::bootstrap::rotation::digest;
use crate::core::model::Secret;
use crate::ports::{FileError, HandoverRequests, NodeFiles, PendingHandover};

/// Runs for ever.
pub async fn run_key_handover(mut requests: Box<dyn HandoverRequests>, files: Arc<dyn NodeFiles>, pki: PathBuf) {
    loop {
        let pending = requests.next().await;
        let name = pending.name.clone();
        let user = pending.requester.username.clone();
        match decide(&pending).and_then(|asked| {
            let shared = gather(files.as_ref(), &pki, &asked.wanted)?;
            Ok((asked.key, shared))
        }) {
            Ok((key, shared)) => match requests.answer(&name, &key, &shared).await.map_err(|error| error.to_string()) {
                Ok(()) => tracing::warn!(request = name, user, "handed the cluster's keys to a control plane"),
                Err(error) => tracing::warn!(request = name, error, "the cluster's keys cannot be handed over"),
            },
            Err(reason) => tracing::warn!(request = name, user, reason, "left a request for the cluster's keys alone"),
        }
    }
}

fn decide(pending: &PendingHandover) -> Result<Asked, String> {
    if !pending.approved && !pending.requester.may_join_control_planes() {
        return Err("its token is not for control planes; kubectl certificate approve lets it in".to_owned());
    }
    pending.asked.clone().map_err(|error| error.to_string())
}

/// What is asked for, as far as this node has it.
fn gather(files: &dyn NodeFiles, pki: &Path, wanted: &Wanted) -> Result<SharedFiles, String> {
    let read = |names: &[&str]| read(files, pki, names).map_err(|error| error.to_string());
    match wanted {
        Wanted::Shared => {
            // A control plane that comes in between would be of neither authority.
            if !read(&["ca-former.crt", "ca-next.crt"])?.is_empty() {
                return Err("the cluster's authorities are being replaced; join when that is done".to_owned());
            }
            read(&SHARED_FILES)
        }
        Wanted::Next(wanted) => {
            let next = read(&NEXT_FILES)?;
            // In the order in which control planes have their authorities.
            let order = ["ca-next.crt", "front-proxy-ca-next.crt", "etcd/ca-next.crt"];
            let certificates = order.iter().filter_map(|name| next.get(*name)).map(|text| text.reveal().as_str());
            if digest(certificates) != *wanted {
                return Err("this node has no such authorities to come".to_owned());
            }
            Ok(next)
        }
    }
}

/// The files that this node has; keys of an external CA it has not.
fn read(files: &dyn NodeFiles, pki: &Path, names: &[&str]) -> Result<SharedFiles, FileError> {
    let mut shared = SharedFiles::new();
    for &name in names {
        if let Some(text) = files.read(&pki.join(name))? {
            shared.insert(name.to_owned(), Secret::new(text));
        }
    }
    Ok(shared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::fake::node::FakeNode;
    use crate::core::bootstrap::key_handover::{Requester, TOKEN_GROUP};

    fn pending(user: &str, groups: &[&str], approved: bool) -> PendingHandover {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let requester = Requester { username: user.to_owned(), groups };
        let asked = Asked { key: [1; 32], wanted: Wanted::Shared };
        PendingHandover { name: "r".to_owned(), requester, approved, asked: Ok(asked) }
    }

    #[test]
    fn keys_go_to_tokens_of_control_planes_and_to_whom_somebody_approved() {
        let worker = ["system:bootstrappers:kubeadm:default-node-token"];
        assert!(decide(&pending("system:bootstrap:abcdef", &[TOKEN_GROUP], false)).is_ok());
        assert!(decide(&pending("system:bootstrap:abcdef", &worker, false)).is_err());
        assert!(decide(&pending("system:node:n2", &[TOKEN_GROUP], false)).is_err());
        assert!(decide(&pending("system:bootstrap:abcdef", &worker, true)).is_ok());
    }

    #[test]
    fn of_authorities_to_come_only_those_are_handed_over_that_were_asked_for() {
        let (node, pki) = (FakeNode::new(), Path::new("/pki"));
        for name in SHARED_FILES {
            node.write(&pki.join(name), b"shared", 0o600).unwrap();
        }
        assert!(gather(node.as_ref(), pki, &Wanted::Shared).unwrap().contains_key("ca.key"));
        for name in NEXT_FILES {
            node.write(&pki.join(name), name.as_bytes(), 0o600).unwrap();
        }
        let all = digest(["ca-next.crt", "front-proxy-ca-next.crt", "etcd/ca-next.crt"]);
        let handed = gather(node.as_ref(), pki, &Wanted::Next(all)).unwrap();
        assert_eq!(handed.len(), NEXT_FILES.len());
        assert!(!handed.contains_key("ca.key"));
        let other = gather(node.as_ref(), pki, &Wanted::Next("0123456789abcdef".to_owned()));
        assert!(other.unwrap_err().contains("no such authorities"));
        let joins = gather(node.as_ref(), pki, &Wanted::Shared);
        assert!(joins.unwrap_err().contains("are being replaced"), "one that joins would be of neither");
    }
}
