//! Service-account tokens bound to pods, cached until four fifths of their lifetime.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest as ApiTokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Api;
use kube::api::PostParams;

use crate::adapters::apiserver::session::{Session, ask};
use crate::core::model::time::Moment;
use crate::core::model::{PodUid, key_of, uid_of};
use crate::ports::kubelet::{ObjectError, TokenRequest};
use crate::ports::node::ApiError;
use rand::RngExt;

/// A token is renewed after a day even if it is valid longer.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);
/// Largest random shift of the renewal, so that tokens issued together are not renewed together.
const JITTER_MS: i64 = 10_000;

#[derive(Clone)]
struct Token {
    text: String,
    expires: Timestamp,
    renew: Timestamp,
}

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// The tokens of the node's pods.
pub struct Tokens {
    session: Session,
    cache: Mutex<HashMap<PodUid, HashMap<TokenRequest, Slot>>>,
}

impl Tokens {
    pub fn new(session: &Session) -> Self {
        Self { session: session.clone(), cache: Mutex::default() }
    }

    /// Removes the tokens of a pod.
    pub fn forget(&self, uid: &PodUid) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// A token for the pod; concurrent requests for the same token are serialized.
    pub async fn of(&self, pod: &Pod, request: &TokenRequest) -> Result<(String, Timestamp), ObjectError> {
        let slot = {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.entry(uid_of(pod)).or_default().entry(request.clone()).or_default().clone()
        };
        let mut kept = slot.lock().await;
        let now = Timestamp::now();
        if let Some(token) = kept.as_ref().filter(|token| now < token.renew) {
            return Ok((token.text.clone(), token.expires));
        }
        match self.request(pod, request, now).await {
            Ok(token) => {
                let answer = (token.text.clone(), token.expires);
                *kept = Some(token);
                Ok(answer)
            }
            Err(error) => match kept.as_ref().filter(|token| now < token.expires) {
                Some(old) => Ok((old.text.clone(), old.expires)),
                None => Err(error),
            },
        }
    }

    async fn request(&self, pod: &Pod, request: &TokenRequest, now: Timestamp) -> Result<Token, ObjectError> {
        let key = key_of(pod);
        let account = pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).filter(|n| !n.is_empty());
        let account = account.unwrap_or_else(|| "default".into());
        let failed = |message: String| ObjectError::Failed {
            kind: "serviceaccount token",
            namespace: key.namespace.to_string(),
            name: account.clone(),
            message,
        };
        let body = ApiTokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(request.audiences.clone()),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Pod".into()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
                expiration_seconds: Some(request.expiration_seconds),
            }),
            ..ApiTokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.session.client(), &key.namespace);
        let params = PostParams::default();
        let asked = ask(
            || format!("request a token of service account {}/{account}", key.namespace),
            api.create_subresource("token", &account, &params, &body),
        );
        let answer: ApiTokenRequest = asked.await.map_err(|error: ApiError| match error {
            ApiError::NotFound(_) => ObjectError::NotFound { kind: "serviceaccount", name: account.clone() },
            error => failed(error.to_string()),
        })?;
        let status = answer.status.and_then(|status| Some((status.token?, status.expiration_timestamp?.0)));
        let (text, expires) = status.ok_or_else(|| failed("the answer has no token".into()))?;
        let life = expires.duration_since(now);
        let keep = life.checked_div(5).unwrap_or_default().saturating_mul(4).min(OLDEST);
        let jitter = SignedDuration::from_millis(rand::rng().random_range(0..JITTER_MS));
        Ok(Token { text, expires, renew: now.later(keep.saturating_sub(jitter)) })
    }
}
