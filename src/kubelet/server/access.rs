//! Who asks, and may they: certificates, tokens, access reviews, with the caches of upstream.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use super::cache::ExpiringMap;
use super::client_ca::ClientCa;
use super::reply::{Reply, text};
use super::{AuthorizationMode, Settings};
use crate::core::model::access::{AccessQuestion, UserInfo};
use crate::core::server::{subresources, verb};
use crate::ports::Reviews;

/// Decides about every request of the secure port.
pub struct Access {
    node: String,
    client_ca: Option<ClientCa>,
    anonymous: bool,
    token_ttl: Option<Duration>,
    mode: AuthorizationMode,
    reviews: Option<Arc<dyn Reviews>>,
    /// By the token's digest, so that no token stays in memory; `None` for one that is not valid.
    users: ExpiringMap<[u8; 32], Option<UserInfo>>,
    decisions: ExpiringMap<(UserInfo, &'static str, &'static str), bool>,
}

impl Access {
    /// Puts the settings to use.
    pub fn new(settings: &Settings, client_ca: Option<ClientCa>, reviews: Option<Arc<dyn Reviews>>) -> Self {
        Self {
            node: settings.node_name.clone(),
            client_ca,
            anonymous: settings.anonymous,
            token_ttl: settings.token_review,
            mode: settings.authorization,
            reviews,
            users: ExpiringMap::new(),
            decisions: ExpiringMap::new(),
        }
    }

    /// Lets the request through, or gives the answer that refuses it.
    pub async fn check(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        chain: &[CertificateDer<'static>],
    ) -> Result<(), Box<Reply>> {
        let Some(user) = self.user(headers, chain).await else {
            return Err(Box::new(text(StatusCode::UNAUTHORIZED, "Unauthorized")));
        };
        self.authorize(&user, method, path).await
    }

    async fn user(&self, headers: &HeaderMap, chain: &[CertificateDer<'static>]) -> Option<UserInfo> {
        if let Some(user) = self.client_ca.as_ref().and_then(|ca| ca.user(chain)) {
            return Some(user);
        }
        if let Some(token) = bearer_token(headers) {
            // A token that is not valid is never taken for an anonymous user.
            return self.token_user(token).await;
        }
        self.anonymous.then(|| UserInfo {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..UserInfo::default()
        })
    }

    async fn token_user(&self, token: &str) -> Option<UserInfo> {
        let (ttl, reviews) = (self.token_ttl?, self.reviews.as_ref()?);
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = self.users.get(&digest) {
            return known;
        }
        match reviews.token(token).await {
            Ok(user) => {
                self.users.insert(digest, user.clone(), ttl);
                user
            }
            Err(error) => {
                tracing::warn!(%error, "a token could not be reviewed");
                None
            }
        }
    }

    async fn authorize(&self, user: &UserInfo, method: &str, path: &str) -> Result<(), Box<Reply>> {
        let AuthorizationMode::Webhook { allowed_ttl, denied_ttl } = self.mode else { return Ok(()) };
        let (verb, wanted) = (verb(method), subresources(path));
        for subresource in wanted.iter().copied() {
            let key = (user.clone(), verb, subresource);
            let allowed = match self.decisions.get(&key) {
                Some(known) => known,
                None => {
                    let question = AccessQuestion { node: self.node.clone(), verb, subresource };
                    let answer = match &self.reviews {
                        Some(reviews) => reviews.access(user, &question).await.map_err(|e| e.to_string()),
                        None => Err("this kubelet runs standalone".to_owned()),
                    };
                    let allowed = answer.map_err(|error| {
                        tracing::warn!(user = user.name, verb, subresource, error, "access could not be reviewed");
                        let message = format!(
                            "Authorization error (user={}, verb={verb}, resource=nodes, subresource={subresource})",
                            user.name
                        );
                        Box::new(text(StatusCode::INTERNAL_SERVER_ERROR, message))
                    })?;
                    self.decisions.insert(key, allowed, if allowed { allowed_ttl } else { denied_ttl });
                    allowed
                }
            };
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

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
