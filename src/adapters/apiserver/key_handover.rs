//! Keys for a joining control plane, through a CertificateSigningRequest: requests them, and answers requests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::PostParams;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use super::connect;
use super::reconnecting::{Events, Reconnecting};
use crate::adapters::sealing::{OneTimeKey, seal};
use crate::core::bootstrap::key_handover::{
    HANDED_TO, PUBLIC_KEY_LENGTH, Requester, SIGNER, SharedFiles, TokenUse, Wanted, judge_token, parse_answer,
    parse_files, parse_request, render_answer, render_files, render_key_uri, render_wanted,
};
use crate::core::model::with_causes;
use crate::ports::bootstrap::{ApprovalError, HandoverError, HandoverRequests, KeyHandover, PendingHandover};

/// How long to wait for an answer: long enough for a person to approve.
const PATIENCE: Duration = Duration::from_secs(300);
/// Interval between checks of the request.
const LOOK: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, Default)]
pub struct CsrHandover;

#[async_trait]
impl KeyHandover for CsrHandover {
    async fn receive(&self, kubeconfig: &Path, node: &str, wanted: &Wanted) -> Result<SharedFiles, HandoverError> {
        let api_failed = |what: String| {
            move |source: kube::Error| HandoverError::Api { what: what.clone(), source: Box::new(source) }
        };
        let client = connect::connect(kubeconfig).await.map_err(|source| HandoverError::Api {
            what: format!("connect by {}", kubeconfig.display()),
            source: Box::new(source),
        })?;
        let requests: Api<CertificateSigningRequest> = Api::all(client);
        let key = OneTimeKey::generate().map_err(|error| HandoverError::Request(error.to_string()))?;
        let request = render_request(node, key.public(), wanted)?;
        let name = request.metadata.name.clone().unwrap_or_default();
        let created = requests.create(&PostParams::default(), &request).await;
        let mut created = created.map_err(api_failed(format!("create certificate request {name}")))?;
        if *wanted != Wanted::Shared {
            let reason = (
                "ReplacementOfAuthorities",
                "requested by an administrator for a control plane that follows a CA rotation",
            );
            let conditions = &mut created.status.get_or_insert_default().conditions;
            conditions.get_or_insert_default().push(approval(Timestamp::now(), reason));
            let approved = requests.replace_subresource("approval", &name, &PostParams::default(), &created).await;
            approved.map_err(api_failed(format!("approve certificate request {name}")))?;
        }
        let answer = tokio::time::timeout(PATIENCE, wait(&requests, &name)).await;
        let unanswered = |_| HandoverError::Unanswered { name: name.clone(), seconds: PATIENCE.as_secs() };
        let answer = answer.map_err(unanswered)??;
        let unusable =
            |source: Box<dyn std::error::Error + Send + Sync>| HandoverError::Answer { name: name.clone(), source };
        let sealed = parse_answer(&answer).map_err(|error| unusable(error.into()))?;
        let plain = key.open(&name, &sealed).map_err(|error| unusable(error.into()))?;
        parse_files(&plain).map_err(|error| unusable(error.into()))
    }
}

async fn wait(requests: &Api<CertificateSigningRequest>, name: &str) -> Result<Vec<u8>, HandoverError> {
    let mut looks: u32 = 0;
    loop {
        match requests.get(name).await {
            Ok(request) => {
                let status = request.status.unwrap_or_default();
                if let Some(answer) = status.certificate {
                    return Ok(answer.0);
                }
                let denied = status.conditions.into_iter().flatten().find(|condition| condition.type_ == "Denied");
                if let Some(condition) = denied {
                    let message = condition.message.unwrap_or_default();
                    return Err(HandoverError::Denied { name: name.to_owned(), message });
                }
            }
            Err(kube::Error::Api(status)) if status.code < 500 => {
                return Err(HandoverError::Api {
                    what: format!("get certificate request {name}"),
                    source: Box::new(kube::Error::Api(status)),
                });
            }
            // A server that is temporarily unreachable is asked again.
            Err(error) => tracing::debug!(error = with_causes(&error), name, "the request cannot be read"),
        }
        looks = looks.saturating_add(1);
        if looks == 20 {
            tracing::warn!("no answer yet; on a control plane: kubectl certificate approve {name}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn render_request(
    node: &str,
    public_key: &[u8; PUBLIC_KEY_LENGTH],
    wanted: &Wanted,
) -> Result<CertificateSigningRequest, HandoverError> {
    let failed = |error: rcgen::Error| HandoverError::Request(error.to_string());
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, node);
    params.subject_alt_names = vec![SanType::URI(render_key_uri(public_key).try_into().map_err(failed)?)];
    if let Some(uri) = render_wanted(wanted) {
        params.subject_alt_names.push(SanType::URI(uri.try_into().map_err(failed)?));
    }
    let signing_key = KeyPair::generate().map_err(failed)?;
    let pem = params.serialize_request(&signing_key).and_then(|request| request.pem()).map_err(failed)?;
    // The sealed answer is bound to the name, so it must be unique.
    let unique: String = public_key.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(CertificateSigningRequest {
        metadata: ObjectMeta { name: Some(format!("roost-join-{node}-{unique}")), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(pem.into_bytes()),
            signer_name: SIGNER.to_owned(),
            usages: Some(vec!["client auth".to_owned()]),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    })
}

/// The answering side, with a kubeconfig that may sign for our signer.
pub struct CsrHandoverRequests(Reconnecting<PendingHandover>);

impl CsrHandoverRequests {
    /// Connects on first use; the file need not exist yet.
    pub fn new(kubeconfig: PathBuf) -> Self {
        Self(Reconnecting::new(kubeconfig, watch))
    }

    async fn client(&mut self) -> Result<Client, ApprovalError> {
        self.0.client().await.map_err(failed("connect"))
    }
}

#[async_trait]
impl HandoverRequests for CsrHandoverRequests {
    async fn next(&mut self) -> PendingHandover {
        loop {
            match self.0.next().await {
                Ok(Some(pending)) => return pending,
                Ok(None) => {}
                Err(error) => tracing::debug!(error = with_causes(&error), "requests for keys cannot be watched yet"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn use_up(&mut self, pending: &PendingHandover) -> Result<bool, ApprovalError> {
        let Some(id) = pending.requester.token_id() else { return Ok(false) };
        let secrets: Api<Secret> = Api::namespaced(self.client().await?, "kube-system");
        let name = format!("bootstrap-token-{id}");
        let failed = failed(format!("mark token {id} as used"));
        let Some(mut secret) = secrets.get_opt(&name).await.map_err(&failed)? else { return Ok(false) };
        let groups = secret.data.as_ref().and_then(|data| data.get("auth-extra-groups"));
        let groups = groups.map(|groups| String::from_utf8_lossy(&groups.0).into_owned()).unwrap_or_default();
        let handed_to = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(HANDED_TO));
        let groups = match judge_token(&groups, handed_to.map(String::as_str), &pending.uid) {
            TokenUse::Fresh(groups) => groups,
            TokenUse::Same => return Ok(true),
            TokenUse::Spent => return Ok(false),
        };
        let data = secret.data.get_or_insert_default();
        data.insert("auth-extra-groups".to_owned(), ByteString(groups.into_bytes()));
        let annotations = secret.metadata.annotations.get_or_insert_default();
        annotations.insert(HANDED_TO.to_owned(), pending.uid.clone());
        // The version is a precondition: if two read the token as unused, the second write fails and is tried again.
        secrets.replace(&name, &PostParams::default(), &secret).await.map_err(failed)?;
        Ok(true)
    }

    async fn deny(&mut self, pending: &PendingHandover, reason: &str) -> Result<(), ApprovalError> {
        let requests: Api<CertificateSigningRequest> = Api::all(self.client().await?);
        let name = pending.name.as_str();
        let failed = failed(format!("deny certificate request {name}"));
        let Some(mut object) = requests.get_opt(name).await.map_err(&failed)? else { return Ok(()) };
        if parse_pending(&object).as_ref() != Some(pending) {
            return Ok(());
        }
        let denial = CertificateSigningRequestCondition {
            type_: "Denied".into(),
            ..approval(Timestamp::now(), ("TokenIsUsed", reason))
        };
        object.status.get_or_insert_default().conditions.get_or_insert_default().push(denial);
        match requests.replace_subresource("approval", name, &PostParams::default(), &object).await {
            Ok(_) => Ok(()),
            Err(error) if is_overtaken(&error) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn answer(
        &mut self,
        pending: &PendingHandover,
        key: &[u8; PUBLIC_KEY_LENGTH],
        files: &SharedFiles,
    ) -> Result<(), ApprovalError> {
        let requests: Api<CertificateSigningRequest> = Api::all(self.client().await?);
        let name = pending.name.as_str();
        let failed = failed(format!("answer certificate request {name}"));
        let Some(mut object) = requests.get_opt(name).await.map_err(&failed)? else { return Ok(()) };
        if parse_pending(&object).as_ref() != Some(pending) {
            return Ok(());
        }
        let params = PostParams::default();
        if !has_condition(&object, "Approved") {
            let status = object.status.get_or_insert_default();
            let reason = ("TokenOfControlPlanes", "the token is for joining control planes");
            status.conditions.get_or_insert_default().push(approval(Timestamp::now(), reason));
            object = match requests.replace_subresource("approval", name, &params, &object).await {
                Ok(object) => object,
                Err(error) if is_overtaken(&error) => return Ok(()),
                Err(error) => return Err(failed(error)),
            };
        }
        let sealed = seal(key, name, &render_files(files)).map_err(self::failed("seal the shared keys"))?;
        let ca = ["ca.crt", "ca-next.crt", "kubelet-serving-ca.crt"]
            .iter()
            .find_map(|name| files.get(*name))
            .map(|ca| ca.reveal().clone())
            .unwrap_or_default();
        let status = object.status.get_or_insert_default();
        status.certificate = Some(ByteString(render_answer(&sealed, &ca).into_bytes()));
        match requests.replace_status(name, &params, &object).await {
            Ok(_) => Ok(()),
            Err(error) if is_overtaken(&error) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// True if another control plane was faster, or the request was deleted; a request that stays undecided is returned
/// again.
fn is_overtaken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 || status.code == 404)
}

fn failed<E: std::error::Error + Send + Sync + 'static>(what: impl Into<String>) -> impl Fn(E) -> ApprovalError {
    let what = what.into();
    move |source| ApprovalError { what: what.clone(), source: Box::new(source) }
}

fn watch(client: Client) -> Events<PendingHandover> {
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

fn approval(now: Timestamp, (reason, message): (&str, &str)) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        type_: "Approved".into(),
        status: "True".into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

fn has_condition(object: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind)
}

/// A pending request; `None` if it was answered or denied.
fn parse_pending(object: &CertificateSigningRequest) -> Option<PendingHandover> {
    let answered = object.status.as_ref().is_some_and(|status| status.certificate.is_some());
    if answered || has_condition(object, "Denied") || object.spec.signer_name != SIGNER {
        return None;
    }
    Some(PendingHandover {
        name: object.metadata.name.clone()?,
        uid: object.metadata.uid.clone()?,
        resource_version: object.metadata.resource_version.clone()?,
        requester: Requester {
            username: object.spec.username.clone().unwrap_or_default(),
            groups: object.spec.groups.clone().unwrap_or_default(),
        },
        approved: has_condition(object, "Approved"),
        asked: parse_request(&object.spec.request.0),
    })
}
