//! Certificate requests of kubelet servers: watched, and approved through their own subresource.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};

use super::connect::Connector;
use crate::core::bootstrap::serving_certificate::{NodeNames, SIGNER, ServingRequest};
use crate::ports::{ApprovalError, PendingRequest, ServingApprovals};

const RETRY: Duration = Duration::from_secs(2);

/// Requests to the kubelet-serving signer, through the approver's kubeconfig.
pub struct ServingRequests {
    kubeconfig: PathBuf,
    connector: Connector,
    connection: Option<Connection>,
}

struct Connection {
    client: Client,
    credentials: Option<Vec<Option<SystemTime>>>,
    events: BoxStream<'static, Result<PendingRequest, watcher::Error>>,
}

impl ServingRequests {
    /// Connects when it is first asked; the file need not exist yet.
    pub fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, connector: Connector::default(), connection: None }
    }

    /// The connection, made anew when there is none or the credentials were renewed.
    async fn connection(&mut self) -> Result<&mut Connection, ApprovalError> {
        let credentials = self.connector.observe_credentials(&self.kubeconfig).await;
        let current = self.connection.take().filter(|connection| connection.credentials == credentials);
        let connection = match current {
            Some(connection) => connection,
            None => {
                let client = self.connector.connect(&self.kubeconfig).await.map_err(failed("connect"))?;
                Connection { events: watch(client.clone()), client, credentials }
            }
        };
        Ok(self.connection.insert(connection))
    }
}

#[async_trait]
impl ServingApprovals for ServingRequests {
    async fn next(&mut self) -> PendingRequest {
        loop {
            let outcome = match self.connection().await {
                Ok(connection) => match connection.events.next().await {
                    Some(Ok(pending)) => return pending,
                    Some(Err(error)) => Err(failed("watch certificate requests")(error)),
                    None => Ok(()),
                },
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::debug!(error = &error as &dyn std::error::Error, "certificate requests cannot be watched yet");
            }
            self.connection = None;
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn node_names(&mut self, node: &str) -> Result<Option<NodeNames>, ApprovalError> {
        let nodes: Api<Node> = Api::all(self.connection().await?.client.clone());
        let found = nodes.get_opt(node).await.map_err(failed(format!("get node {node}")))?;
        Ok(found.map(|node| parse_names(&node)))
    }

    async fn approve(&mut self, name: &str) -> Result<(), ApprovalError> {
        let requests: Api<CertificateSigningRequest> = Api::all(self.connection().await?.client.clone());
        let failed = failed(format!("approve certificate request {name}"));
        let Some(mut object) = requests.get_opt(name).await.map_err(&failed)? else { return Ok(()) };
        if parse_pending(&object).is_none() {
            return Ok(());
        }
        let status = object.status.get_or_insert_with(CertificateSigningRequestStatus::default);
        status.conditions.get_or_insert_default().push(approval(Timestamp::now()));
        match requests.replace_subresource("approval", name, &PostParams::default(), &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed<E: std::error::Error + Send + Sync + 'static>(what: impl Into<String>) -> impl Fn(E) -> ApprovalError {
    let what = what.into();
    move |source| ApprovalError { what: what.clone(), source: Box::new(source) }
}

fn watch(client: Client) -> BoxStream<'static, Result<PendingRequest, watcher::Error>> {
    let config = watcher::Config::default().fields(&format!("spec.signerName={SIGNER}"));
    watcher::watcher(Api::<CertificateSigningRequest>::all(client), config)
        .filter_map(|event| async {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => parse_pending(&object).map(Ok),
                Ok(Event::Init | Event::InitDone | Event::Delete(_)) => None,
                Err(error) => Some(Err(error)),
            }
        })
        .boxed()
}

fn approval(now: Timestamp) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        type_: "Approved".into(),
        status: "True".into(),
        reason: Some("NamesOfTheNode".into()),
        message: Some("every name in the request belongs to the node that made it".into()),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

fn parse_pending(object: &CertificateSigningRequest) -> Option<PendingRequest> {
    let decided = object.status.as_ref().is_some_and(|status| {
        status.certificate.is_some() || status.conditions.as_ref().is_some_and(|conditions| !conditions.is_empty())
    });
    if decided || object.spec.signer_name != SIGNER {
        return None;
    }
    let request = ServingRequest {
        username: object.spec.username.clone().unwrap_or_default(),
        groups: object.spec.groups.clone().unwrap_or_default(),
        usages: object.spec.usages.clone().unwrap_or_default(),
        pem: object.spec.request.0.clone(),
    };
    Some(PendingRequest { name: object.metadata.name.clone()?, request })
}

fn parse_names(node: &Node) -> NodeNames {
    let mut names = NodeNames { dns: node.metadata.name.clone().into_iter().collect(), addresses: Vec::new() };
    for address in node.status.iter().flat_map(|status| status.addresses.iter().flatten()) {
        match address.type_.as_str() {
            "Hostname" | "InternalDNS" | "ExternalDNS" => names.dns.push(address.address.clone()),
            "InternalIP" | "ExternalIP" => names.addresses.extend(address.address.parse::<IpAddr>()),
            _ => {}
        }
    }
    names
}
