//! Gives joining control planes the keys that all control planes share, and existing ones the next CAs. Every control
//! plane may run this concurrently: the first answer wins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::core::bootstrap::key_handover::{
    self, Asked, KUBELET_SERVING_FILES, NEXT_FILES, PUBLIC_KEY_LENGTH, SHARED_FILES, SharedFiles, Wanted,
};
use crate::core::bootstrap::rotation::digest;
use crate::core::model::{Secret, with_causes};
use crate::ports::bootstrap::{ApprovalError, FileError, HandoverRequests, NodeFiles, PendingHandover};

/// Pause after a failed attempt.
const RETRY: Duration = Duration::from_secs(2);
/// Number of attempts: as long as a joining node waits.
const TRIES: u32 = 150;
/// Answer to a request whose token was already used.
const USED: &str = "the token was already used by a control plane, and each one needs its own: run `bootstrap token create --control-plane --print-join-command` on a control plane and join with the new token";

/// Why a request is left to another control plane, or to nobody.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// The token is not for control planes, and nobody approved the request.
    #[error("its token is not for control planes; approve the request with kubectl certificate approve")]
    WrongToken,
    /// The request cannot be read.
    #[error(transparent)]
    Request(#[from] key_handover::Error),
    /// A control plane that joins during a rotation would match neither set of CAs.
    #[error("a CA rotation is in progress; join when it is finished")]
    InRotation,
    /// The CAs that are asked for are not on this node.
    #[error("this node does not have {0}")]
    OtherAuthorities(&'static str),
    /// A file of this node cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

pub async fn run_key_handover(mut requests: Box<dyn HandoverRequests>, files: Arc<dyn NodeFiles>, pki: PathBuf) {
    loop {
        let pending = requests.next().await;
        let (name, user) = (&pending.name, &pending.requester.username);
        match decide(&pending).and_then(|asked| {
            let shared = gather(files.as_ref(), &pki, &asked.wanted)?;
            Ok((asked.key, shared))
        }) {
            Ok((key, shared)) => {
                for _ in 0..TRIES {
                    let Err(error) = answer(requests.as_mut(), &pending, &key, &shared).await else { break };
                    tracing::warn!(
                        request = name,
                        error = with_causes(&error),
                        "cannot hand over the cluster's keys yet"
                    );
                    tokio::time::sleep(RETRY).await;
                }
            }
            Err(refusal) => tracing::warn!(
                request = name,
                user,
                error = &refusal as &dyn std::error::Error,
                "did not answer a request for the cluster's keys"
            ),
        }
    }
}

/// The token is marked as used before the answer can be read: a second request with it gets nothing.
async fn answer(
    requests: &mut dyn HandoverRequests,
    pending: &PendingHandover,
    key: &[u8; PUBLIC_KEY_LENGTH],
    shared: &SharedFiles,
) -> Result<(), ApprovalError> {
    let (name, user) = (&pending.name, &pending.requester.username);
    // A request that an administrator approved needs no token.
    if !pending.approved && !requests.use_up(pending).await? {
        tracing::warn!(request = name, user, "denied a request for the cluster's keys: the token was already used");
        return requests.deny(pending, USED).await;
    }
    requests.answer(pending, key, shared).await?;
    tracing::warn!(request = name, user, "handed the cluster's keys to a control plane");
    Ok(())
}

fn decide(pending: &PendingHandover) -> Result<Asked, Refusal> {
    if !pending.approved && !pending.requester.may_join_control_planes() {
        return Err(Refusal::WrongToken);
    }
    Ok(pending.asked.clone()?)
}

/// What is asked for, as far as this node has it.
fn gather(files: &dyn NodeFiles, pki: &Path, wanted: &Wanted) -> Result<SharedFiles, Refusal> {
    let read = |names: &[&str]| read(files, pki, names);
    let certificates = |files: &SharedFiles, order: &[&str]| {
        digest(order.iter().filter_map(|name| files.get(*name)).map(|text| text.reveal().as_str()))
    };
    match wanted {
        Wanted::Shared => {
            if !read(&["ca-former.crt", "ca-next.crt"])?.is_empty() {
                return Err(Refusal::InRotation);
            }
            Ok(read(&SHARED_FILES)?)
        }
        Wanted::Next(wanted) => {
            let next = read(&NEXT_FILES)?;
            // In the order in which control planes list their CAs.
            let order = ["ca-next.crt", "front-proxy-ca-next.crt", "etcd/ca-next.crt", "kubelet-serving-ca-next.crt"];
            if certificates(&next, &order) != *wanted {
                return Err(Refusal::OtherAuthorities("these next CAs"));
            }
            Ok(next)
        }
        Wanted::KubeletServing(wanted) => {
            let own = read(&KUBELET_SERVING_FILES)?;
            if certificates(&own, &KUBELET_SERVING_FILES[..1]) != *wanted {
                return Err(Refusal::OtherAuthorities("this kubelet serving CA"));
            }
            Ok(own)
        }
    }
}

/// Those of the files that exist on this node; keys of an external CA do not.
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
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::core::bootstrap::key_handover::{Requester, TOKEN_GROUP};
    use crate::fakes::node::FakeNode;

    fn pending(user: &str, groups: &[&str], approved: bool) -> PendingHandover {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let requester = Requester { username: user.to_owned(), groups };
        let asked = Asked { key: [1; 32], wanted: Wanted::Shared };
        let name = |what: &str| what.to_owned();
        PendingHandover {
            name: name("r"),
            uid: name("u1"),
            resource_version: name("7"),
            requester,
            approved,
            asked: Ok(asked),
        }
    }

    /// One token, and a record of all calls.
    #[derive(Default)]
    struct Fake {
        coming: Vec<PendingHandover>,
        used_by: Option<String>,
        done: Arc<Mutex<Vec<String>>>,
    }

    #[async_trait]
    impl HandoverRequests for Fake {
        async fn next(&mut self) -> PendingHandover {
            match self.coming.pop() {
                Some(pending) => pending,
                None => std::future::pending().await,
            }
        }

        async fn use_up(&mut self, pending: &PendingHandover) -> Result<bool, ApprovalError> {
            let first = self.used_by.get_or_insert_with(|| pending.uid.clone());
            let may = *first == pending.uid;
            self.done.lock().unwrap().push(format!("{} uses the token: {may}", pending.uid));
            Ok(may)
        }

        async fn answer(
            &mut self,
            pending: &PendingHandover,
            _key: &[u8; PUBLIC_KEY_LENGTH],
            _files: &SharedFiles,
        ) -> Result<(), ApprovalError> {
            self.done.lock().unwrap().push(format!("{} gets keys", pending.uid));
            Ok(())
        }

        async fn deny(&mut self, pending: &PendingHandover, reason: &str) -> Result<(), ApprovalError> {
            assert!(reason.contains("bootstrap token create --control-plane"), "{reason}");
            self.done.lock().unwrap().push(format!("{} is denied", pending.uid));
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_up_before_its_keys_can_be_read_and_gives_none_a_second_time() {
        let by_token = |uid: &str, approved| PendingHandover {
            uid: uid.to_owned(),
            ..pending("system:bootstrap:abcdef", &[TOKEN_GROUP], approved)
        };
        let coming = vec![by_token("by-hand", true), by_token("second", false), by_token("first", false)];
        let done = Arc::<Mutex<Vec<String>>>::default();
        let fake = Fake { coming, done: done.clone(), ..Fake::default() };
        let running = tokio::spawn(run_key_handover(Box::new(fake), FakeNode::new(), "/pki".into()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let expected = [
            "first uses the token: true",
            "first gets keys",
            "second uses the token: false",
            "second is denied",
            "by-hand gets keys",
        ];
        assert_eq!(*done.lock().unwrap(), expected);
        running.abort();
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
        let order = ["ca-next.crt", "front-proxy-ca-next.crt", "etcd/ca-next.crt", "kubelet-serving-ca-next.crt"];
        let all = digest(order);
        let handed = gather(node.as_ref(), pki, &Wanted::Next(all)).unwrap();
        assert_eq!(handed.len(), NEXT_FILES.len());
        assert!(!handed.contains_key("ca.key"));
        let other = gather(node.as_ref(), pki, &Wanted::Next("0123456789abcdef".to_owned()));
        assert!(other.unwrap_err().to_string().contains("does not have these next CAs"));
        let joins = gather(node.as_ref(), pki, &Wanted::Shared);
        assert!(
            joins.unwrap_err().to_string().contains("a CA rotation is in progress"),
            "one that joins would be of neither"
        );
    }
}
