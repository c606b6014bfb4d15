//! Authentication and authorization: certificates, tokens, access reviews, with upstream's caches.
//!
//! Unknown callers cost the API server little: an unknown token is reviewed once and at a limited rate, and cannot
//! evict cached entries of others. A client with a certificate never waits for the review of a token.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, StatusCode};
use rustls_pki_types::CertificateDer;

use super::client_ca::ClientCa;
use super::reply::{Reply, text};
use super::reviews::{Access as AccessReviews, Limited, Proof, Tokens};
use super::{AuthorizationMode, Settings};
use crate::core::model::access::{AccessQuestion, UserInfo};
use crate::core::model::with_causes;
use crate::core::server::{subresources, verb};
use crate::ports::kubelet::{ReviewError, Reviews};

/// Decides about every request on the secure port.
pub struct Access {
    node: String,
    client_ca: Option<ClientCa>,
    anonymous: bool,
    /// True if tokens are reviewed; otherwise they are ignored, as upstream has no authenticator for them then.
    token_review: bool,
    tokens: Option<Tokens>,
    mode: AuthorizationMode,
    reviews: Option<AccessReviews>,
}

impl Access {
    /// Access with these settings.
    pub fn new(settings: &Settings, client_ca: Option<ClientCa>, reviews: Option<Arc<dyn Reviews>>) -> Self {
        let tokens = settings.token_review.zip(reviews.clone()).map(|(ttl, reviews)| Tokens::new(reviews, ttl));
        let reviews = match settings.authorization {
            AuthorizationMode::Webhook { allowed_ttl, denied_ttl } => {
                reviews.map(|reviews| AccessReviews::new(reviews, allowed_ttl, denied_ttl))
            }
            AuthorizationMode::AlwaysAllow => None,
        };
        Self {
            node: settings.node_name.clone(),
            client_ca,
            anonymous: settings.anonymous,
            token_review: settings.token_review.is_some(),
            tokens,
            mode: settings.authorization,
            reviews,
        }
    }

    /// True if the certificate chain is signed by a client CA.
    pub fn has_certificate(&self, chain: &[CertificateDer<'static>]) -> bool {
        self.client_ca.as_ref().and_then(|ca| ca.user(chain)).is_some()
    }

    /// Allows the request (`Ok`), or returns the response that rejects it.
    pub async fn check(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        chain: &[CertificateDer<'static>],
        source: IpAddr,
    ) -> Result<Proof, Box<Reply>> {
        let user = self.user(headers, chain, source).await.map_err(|Limited| Box::new(too_many("token reviews")))?;
        let Some((user, proof)) = user else {
            return Err(Box::new(text(StatusCode::UNAUTHORIZED, "Unauthorized")));
        };
        self.authorize(&user, proof, method, path).await.map(|()| proof)
    }

    async fn user(
        &self,
        headers: &HeaderMap,
        chain: &[CertificateDer<'static>],
        source: IpAddr,
    ) -> Result<Option<(UserInfo, Proof)>, Limited> {
        if let Some(user) = self.client_ca.as_ref().and_then(|ca| ca.user(chain)) {
            return Ok(Some((user, Proof::Certificate)));
        }
        if let Some(token) = bearer_token(headers).filter(|_| self.token_review) {
            // A request with an invalid token, or one that cannot be reviewed, is never treated as anonymous.
            let Some(tokens) = &self.tokens else { return Ok(None) };
            return Ok(tokens.user(token, source).await?.map(|user| (user, Proof::Token)));
        }
        let anonymous = || UserInfo {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..UserInfo::default()
        };
        Ok(self.anonymous.then(|| (anonymous(), Proof::None)))
    }

    async fn authorize(&self, user: &UserInfo, proof: Proof, method: &str, path: &str) -> Result<(), Box<Reply>> {
        if self.mode == AuthorizationMode::AlwaysAllow {
            return Ok(());
        }
        let (verb, wanted) = (verb(method), subresources(path));
        for subresource in wanted.iter().copied() {
            let question = AccessQuestion { node: self.node.clone(), verb, subresource };
            let answer = match &self.reviews {
                Some(reviews) => reviews.allowed(user, proof, question).await,
                None => Ok(Err(ReviewError {
                    review: "SubjectAccessReview",
                    message: "this kubelet runs standalone".to_owned(),
                })),
            };
            let answer = answer.map_err(|Limited| Box::new(too_many("access reviews")))?;
            let allowed = answer.map_err(|error| {
                tracing::warn!(
                    user = user.name,
                    verb,
                    subresource,
                    error = with_causes(&error),
                    "access could not be reviewed"
                );
                let message = format!(
                    "Authorization error (user={}, verb={verb}, resource=nodes, subresource={subresource})",
                    user.name
                );
                Box::new(text(StatusCode::INTERNAL_SERVER_ERROR, message))
            })?;
            if allowed {
                return Ok(());
            }
        }
        tracing::info!(user = user.name, verb, subresources = ?wanted, "forbidden");
        let message = format!(
            "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])\n",
            user.name,
            wanted.join(" ")
        );
        Err(Box::new(text(StatusCode::FORBIDDEN, message)))
    }
}

fn too_many(what: &str) -> Reply {
    let message = format!("Too many {what} of unauthenticated callers; retry later\n");
    let mut reply = text(StatusCode::TOO_MANY_REQUESTS, message);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
