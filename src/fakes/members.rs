//! etcd's member list in memory, and a control plane that hands over keys.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::core::bootstrap::key_handover::{SharedFiles, Wanted};
use crate::core::bootstrap::membership::Member;
use crate::ports::bootstrap::{
    Etcd, EtcdIdentity, HandoverError, Holdings, KeyHandover, MemberHealth, Members, MembersError,
};

/// An etcd with the members that were set or added.
#[derive(Default)]
pub struct FakeEtcd {
    members: Mutex<Vec<Member>>,
    /// Errors of promotions, in this order; then they succeed.
    pub promotions: Mutex<VecDeque<MembersError>>,
    /// The member that is promoted when the list is read the next time.
    pub soon_promoted: Mutex<Option<u64>>,
    /// Size of the database; its quota is 100.
    pub db_size: Mutex<i64>,
    /// True while the NOSPACE alarm is set.
    pub full: Mutex<bool>,
    pub keys: Mutex<i64>,
    /// Endpoints of the last client.
    pub endpoints: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeEtcd {
    /// An etcd with these members.
    pub fn with(members: &[Member]) -> Arc<Self> {
        Arc::new(Self { members: Mutex::new(members.to_vec()), ..Self::default() })
    }

    pub fn members(&self) -> Vec<Member> {
        lock(&self.members).clone()
    }
}

/// A member at a host, with the usual ports.
pub fn member(id: u64, name: &str, host: &str, learner: bool) -> Member {
    let url = |port: u16| vec![format!("https://{host}:{port}")];
    Member { id, name: name.to_owned(), peer_urls: url(2380), client_urls: url(2379), learner }
}

/// Wraps a [`FakeEtcd`] as `Arc<dyn Etcd>`.
pub struct FakeEtcdClients(pub Arc<FakeEtcd>);

impl Etcd for FakeEtcdClients {
    fn connect(&self, endpoints: Vec<String>, _identity: EtcdIdentity) -> Arc<dyn Members> {
        *lock(&self.0.endpoints) = endpoints;
        self.0.clone()
    }
}

#[async_trait]
impl Members for FakeEtcd {
    async fn list(&self) -> Result<Vec<Member>, MembersError> {
        if let Some(id) = lock(&self.soon_promoted).take() {
            lock(&self.members).iter_mut().filter(|member| member.id == id).for_each(|member| member.learner = false);
        }
        Ok(self.members())
    }

    async fn add_learner(&self, peer_url: &str) -> Result<u64, MembersError> {
        let mut members = lock(&self.members);
        if members.iter().any(|member| member.learner) {
            return Err(MembersError::TooManyLearners);
        }
        let id = 100 + members.len() as u64;
        members.push(Member {
            id,
            name: String::new(),
            peer_urls: vec![peer_url.to_owned()],
            client_urls: Vec::new(),
            learner: true,
        });
        Ok(id)
    }

    async fn promote(&self, id: u64) -> Result<(), MembersError> {
        if let Some(refusal) = lock(&self.promotions).pop_front() {
            return Err(refusal);
        }
        lock(&self.members).iter_mut().filter(|member| member.id == id).for_each(|member| member.learner = false);
        Ok(())
    }

    async fn set_peer_url(&self, id: u64, peer_url: &str) -> Result<(), MembersError> {
        let mut members = lock(&self.members);
        let own = members.iter_mut().filter(|member| member.id == id);
        own.for_each(|member| member.peer_urls = vec![peer_url.to_owned()]);
        Ok(())
    }

    async fn remove(&self, id: u64) -> Result<(), MembersError> {
        lock(&self.members).retain(|member| member.id != id);
        Ok(())
    }

    async fn confirm_quorum(&self) -> Result<(), MembersError> {
        Ok(())
    }

    async fn health(&self) -> Result<MemberHealth, MembersError> {
        Ok(MemberHealth {
            id: 1,
            leader: 1,
            raft_index: 7,
            applied_index: 7,
            db_size: *lock(&self.db_size),
            db_in_use: 1,
            db_quota: 100,
            version: "3.6.8".to_owned(),
            learner: false,
            errors: Vec::new(),
        })
    }

    async fn defragment(&self) -> Result<(), MembersError> {
        Ok(())
    }

    async fn compact(&self) -> Result<(), MembersError> {
        Ok(())
    }

    async fn disarm_no_space(&self) -> Result<bool, MembersError> {
        Ok(std::mem::take(&mut *lock(&self.full)))
    }

    async fn holdings(&self, _known: &str) -> Result<Holdings, MembersError> {
        let keys = *lock(&self.keys);
        Ok(Holdings { revision: 42, keys, hash: 7, known: keys > 0 })
    }

    async fn snapshot(&self, _path: &Path) -> Result<u64, MembersError> {
        Ok(0)
    }
}

/// A cluster that hands over these files.
#[derive(Default)]
pub struct FakeHandover(pub SharedFiles);

#[async_trait]
impl KeyHandover for FakeHandover {
    async fn receive(&self, _kubeconfig: &Path, _node: &str, _wanted: &Wanted) -> Result<SharedFiles, HandoverError> {
        Ok(self.0.clone())
    }
}
