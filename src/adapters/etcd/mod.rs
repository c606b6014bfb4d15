//! etcd, through the etcd client.

mod files;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Certificate, Client, CompactionOptions, ConnectOptions, Error, GetOptions,
    Identity, MemberAddOptions, TlsOptions,
};
use tokio::io::AsyncWriteExt;

use crate::core::bootstrap::membership::Member;
use crate::ports::bootstrap::{Etcd, EtcdIdentity, Holdings, MemberHealth, Members, MembersError};

pub use files::HostEtcdFiles;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates clients of etcd.
pub struct EtcdClients;

impl Etcd for EtcdClients {
    fn connect(&self, endpoints: Vec<String>, identity: EtcdIdentity) -> Arc<dyn Members> {
        Arc::new(EtcdMembers { endpoints, identity })
    }
}

/// A loopback port that is currently free.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

struct EtcdMembers {
    endpoints: Vec<String>,
    identity: EtcdIdentity,
}

impl EtcdMembers {
    /// Membership calls are rare, so each opens a connection. The first endpoint that responds is used: a balanced
    /// connection might pick one that is down.
    async fn client(&self, timeout: Duration) -> Result<Client, MembersError> {
        let identity = &self.identity;
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(&identity.ca))
            .identity(Identity::from_pem(&identity.certificate, identity.key.reveal()));
        let options = ConnectOptions::new()
            .with_tls(tls)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(timeout)
            .with_require_leader(false);
        let mut last = None;
        for endpoint in &self.endpoints {
            match Client::connect([endpoint], Some(options.clone())).await {
                Ok(mut client) => match client.status().await {
                    Ok(_) => return Ok(client),
                    Err(error) => last = Some(error),
                },
                Err(error) => last = Some(error),
            }
        }
        let what = format!("no member answers at {}", self.endpoints.join(", "));
        let nobody = Error::EndpointError("there are no endpoints".to_owned());
        Err(MembersError::Failed { what, source: Box::new(last.unwrap_or(nobody)) })
    }
}

#[async_trait]
impl Members for EtcdMembers {
    async fn list(&self) -> Result<Vec<Member>, MembersError> {
        let answer = self.client(CALL_TIMEOUT).await?.member_list().await.map_err(failed("list members"))?;
        Ok(answer.members().iter().map(convert).collect())
    }

    async fn add_learner(&self, peer_url: &str) -> Result<u64, MembersError> {
        let options = MemberAddOptions::new().with_is_learner();
        let answer = self.client(CALL_TIMEOUT).await?.member_add([peer_url], Some(options)).await;
        let answer = answer.map_err(|error| match &error {
            Error::GRpcStatus(status) if status.message().contains("too many learner") => MembersError::TooManyLearners,
            _ => failed(format!("add member {peer_url}"))(error),
        })?;
        Ok(answer.member().map_or(0, etcd_client::Member::id))
    }

    async fn promote(&self, id: u64) -> Result<(), MembersError> {
        match self.client(CALL_TIMEOUT).await?.member_promote(id).await {
            Ok(_) => Ok(()),
            Err(Error::GRpcStatus(status)) if status.message().contains("in sync with leader") => {
                Err(MembersError::NotCaughtUp)
            }
            Err(Error::GRpcStatus(status)) if status.message().contains("can only promote a learner") => Ok(()),
            Err(error) => Err(failed(format!("promote member {id:x}"))(error)),
        }
    }

    async fn set_peer_url(&self, id: u64, peer_url: &str) -> Result<(), MembersError> {
        let answer = self.client(CALL_TIMEOUT).await?.member_update(id, vec![peer_url.to_owned()]).await;
        answer.map(drop).map_err(failed(format!("move member {id:x} to {peer_url}")))
    }

    async fn remove(&self, id: u64) -> Result<(), MembersError> {
        match self.client(CALL_TIMEOUT).await?.member_remove(id).await {
            Ok(_) => Ok(()),
            Err(Error::GRpcStatus(status)) if status.message().contains("member not found") => Ok(()),
            Err(error) => Err(failed(format!("remove member {id:x}"))(error)),
        }
    }

    async fn confirm_quorum(&self) -> Result<(), MembersError> {
        // A linearizable read, which only a leader with a current quorum answers; the key need not exist.
        self.client(CALL_TIMEOUT).await?.get("health", None).await.map(drop).map_err(failed("read with a quorum"))
    }

    async fn health(&self) -> Result<MemberHealth, MembersError> {
        let status = self.client(CALL_TIMEOUT).await?.status().await.map_err(failed("get the status"))?;
        Ok(MemberHealth {
            id: status.header().map_or(0, etcd_client::ResponseHeader::member_id),
            leader: status.leader(),
            raft_index: status.raft_index(),
            applied_index: status.raft_applied_index(),
            db_size: status.db_size(),
            db_in_use: status.raft_used_db_size(),
            db_quota: status.db_size_quota(),
            version: status.version().to_owned(),
            learner: status.is_learner(),
            errors: status.errors().to_vec(),
        })
    }

    async fn defragment(&self) -> Result<(), MembersError> {
        let mut client = self.client(Duration::from_secs(120)).await?;
        client.defragment().await.map(drop).map_err(failed("defragment"))
    }

    async fn compact(&self) -> Result<(), MembersError> {
        let mut client = self.client(Duration::from_secs(120)).await?;
        let now = client.get("health", None).await.map_err(failed("get the revision"))?;
        let revision = now.header().map_or(0, etcd_client::ResponseHeader::revision);
        // Completes only when the space is free, so that a following defragmentation can use it.
        let physical = CompactionOptions::new().with_physical();
        match client.compact(revision, Some(physical)).await {
            // Another process was faster.
            Err(Error::GRpcStatus(status)) if status.message().contains("has been compacted") => Ok(()),
            outcome => outcome.map(drop).map_err(failed(format!("compact to revision {revision}"))),
        }
    }

    async fn disarm_no_space(&self) -> Result<bool, MembersError> {
        let mut client = self.client(CALL_TIMEOUT).await?;
        let answer = client.alarm(AlarmAction::Get, AlarmType::None, None).await.map_err(failed("list alarms"))?;
        let full = answer.alarms().iter().filter(|alarm| alarm.alarm() == AlarmType::Nospace);
        let members: Vec<u64> = full.map(etcd_client::AlarmMember::member_id).collect();
        for member in &members {
            let mut options = AlarmOptions::new();
            options.with_member(*member);
            client
                .alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(options))
                .await
                .map_err(failed(format!("disarm the alarm of member {member:x}")))?;
        }
        Ok(!members.is_empty())
    }

    async fn holdings(&self, known: &str) -> Result<Holdings, MembersError> {
        let mut client = self.client(Duration::from_secs(600)).await?;
        let hash = client.hash_kv(0).await.map_err(failed("hash all keys"))?;
        let every = GetOptions::new().with_all_keys().with_count_only();
        let all = client.get("", Some(every)).await.map_err(failed("count the keys"))?;
        let one = client.get(known, None).await.map_err(failed(format!("read {known}")))?;
        Ok(Holdings {
            revision: all.header().map_or(0, etcd_client::ResponseHeader::revision),
            keys: all.count(),
            hash: hash.hash(),
            known: one.kvs().first().is_some_and(|pair| !pair.value().is_empty()),
        })
    }

    async fn snapshot(&self, path: &Path) -> Result<u64, MembersError> {
        let what = || format!("write snapshot {}", path.display());
        let mut client = self.client(Duration::from_secs(600)).await?;
        let mut stream = client.snapshot().await.map_err(failed(what()))?;
        let unwritten = |source: std::io::Error| MembersError::Failed { what: what(), source: Box::new(source) };
        let file = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await;
        let mut file = file.map_err(unwritten)?;
        let mut size: u64 = 0;
        let mut remaining = 0;
        while let Some(part) = stream.message().await.map_err(failed(what()))? {
            size = size.saturating_add(part.blob().len() as u64);
            remaining = part.remaining_bytes();
            file.write_all(part.blob()).await.map_err(unwritten)?;
        }
        if remaining != 0 {
            let cut = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, format!("{remaining} bytes are missing"));
            return Err(unwritten(cut));
        }
        file.sync_all().await.map_err(unwritten)?;
        Ok(size)
    }
}

fn failed(what: impl Into<String>) -> impl Fn(Error) -> MembersError {
    let what = what.into();
    move |source| MembersError::Failed { what: what.clone(), source: Box::new(source) }
}

fn convert(member: &etcd_client::Member) -> Member {
    Member {
        id: member.id(),
        name: member.name().to_owned(),
        peer_urls: member.peer_urls().to_vec(),
        client_urls: member.client_urls().to_vec(),
        learner: member.is_learner(),
    }
}
