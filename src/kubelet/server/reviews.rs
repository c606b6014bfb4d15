//! Reviews by the API server: deduplicated, rate-limited, and cached.
//!
//! Upstream's kubelet uses one client with 50 requests per second for everything (`kubeAPIQPS`), so that
//! unauthenticated callers can exhaust it. Here each source of tokens has a small share, and callers that were known
//! before need none.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::cache::ExpiringMap;
use super::rate::{Rate, Rates};
use super::single_flight::Flights;
use crate::core::model::access::{AccessQuestion, UserInfo};
use crate::core::model::with_causes;
use crate::ports::kubelet::{ReviewError, Reviews};

/// Limit of unknown tokens from one source: low, since a client has one token and keeps it.
const TOKENS_OF_SOURCE: Rate = Rate { burst: 10, every: Duration::from_millis(500) };
/// Limit of reviews for one user. There are 54 combinations: nine subresources with six verbs.
const QUESTIONS_OF_USER: Rate = Rate { burst: 54, every: Duration::from_millis(200) };
/// Limit over all sources and all users with tokens (upstream's `kubeAPIQPS` and `kubeAPIBurst`).
const ALL: Rate = Rate { burst: 100, every: Duration::from_millis(20) };
/// Time limit of a review (upstream's `TokenReview` and `SubjectAccessReview` clients: ten seconds too).
const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);
/// Most concurrent calls of each kind.
const MOST_CALLS: usize = 64;

/// How a caller is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a client certificate.
    Certificate,
    /// By a bearer token.
    Token,
    /// Not at all: anonymous.
    None,
}

impl Proof {
    /// False for an anonymous caller.
    pub fn is_known(self) -> bool {
        self != Self::None
    }
}

/// The caller has exceeded its rate and should retry later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited;

type TokenDigest = [u8; 32];

/// Users by bearer token.
pub struct Tokens {
    reviews: Arc<dyn Reviews>,
    ttl: Duration,
    /// By the token's digest, so that no token stays in memory. An expired entry still shows that the token was valid
    /// once.
    valid: ExpiringMap<TokenDigest, UserInfo>,
    /// Separate from the valid ones, so that it cannot evict them.
    invalid: ExpiringMap<TokenDigest, ()>,
    rates: Rates<IpAddr>,
    calls: Flights<TokenDigest, Result<Option<UserInfo>, ReviewError>>,
}

impl Tokens {
    /// Without any cached review. Results are cached for `ttl`.
    pub fn new(reviews: Arc<dyn Reviews>, ttl: Duration) -> Self {
        Self {
            reviews,
            ttl,
            valid: ExpiringMap::new(),
            invalid: ExpiringMap::new(),
            rates: Rates::new(TOKENS_OF_SOURCE, Some(ALL)),
            calls: Flights::new(),
        }
    }

    /// The user of a token that came from `source`; `None` if it is invalid or could not be reviewed (upstream answers
    /// both alike).
    ///
    /// # Errors
    /// Too many unknown tokens were reviewed.
    pub async fn user(&self, token: &str, source: IpAddr) -> Result<Option<UserInfo>, Limited> {
        let digest: TokenDigest = Sha256::digest(token.as_bytes()).into();
        if let Some(user) = self.valid.get(&digest) {
            return Ok(Some(user));
        }
        if self.invalid.get(&digest).is_some() {
            return Ok(None);
        }
        let was_valid = self.valid.was_known(&digest);
        // Tokens that were valid do not wait for unknown ones: there are at most as many as the cache holds.
        let most = if was_valid { usize::MAX } else { MOST_CALLS };
        let start = || (was_valid || self.rates.take(source)).then(|| self.review(token));
        match self.calls.join(digest, most, start).await.ok_or(Limited)? {
            Ok(Some(user)) => {
                self.valid.insert(digest, user.clone(), self.ttl);
                Ok(Some(user))
            }
            Ok(None) => {
                self.valid.remove(&digest);
                self.invalid.insert(digest, (), self.ttl);
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "a token could not be reviewed");
                Ok(None)
            }
        }
    }

    fn review(&self, token: &str) -> BoxFuture<'static, Result<Option<UserInfo>, ReviewError>> {
        let (reviews, token) = (Arc::clone(&self.reviews), token.to_owned());
        in_time("TokenReview", async move { reviews.token(&token).await })
    }
}

type Question = (UserInfo, AccessQuestion);

/// Access decisions by user.
pub struct Access {
    reviews: Arc<dyn Reviews>,
    allowed_ttl: Duration,
    denied_ttl: Duration,
    allowed: ExpiringMap<Question, ()>,
    /// Separate from what is allowed, so that denied requests cannot evict it.
    denied: ExpiringMap<Question, ()>,
    certified: Rates<String>,
    others: Rates<String>,
    calls: Flights<Question, Result<bool, ReviewError>>,
}

impl Access {
    pub fn new(reviews: Arc<dyn Reviews>, allowed_ttl: Duration, denied_ttl: Duration) -> Self {
        Self {
            reviews,
            allowed_ttl,
            denied_ttl,
            allowed: ExpiringMap::new(),
            denied: ExpiringMap::new(),
            certified: Rates::new(QUESTIONS_OF_USER, None),
            others: Rates::new(QUESTIONS_OF_USER, Some(ALL)),
            calls: Flights::new(),
        }
    }

    /// Whether the user has access; an error of the API server is not a decision.
    ///
    /// # Errors
    /// Too many reviews for this user, or for all users without a certificate.
    pub async fn allowed(
        &self,
        user: &UserInfo,
        proof: Proof,
        question: AccessQuestion,
    ) -> Result<Result<bool, ReviewError>, Limited> {
        let key = (user.clone(), question);
        if self.allowed.get(&key).is_some() {
            return Ok(Ok(true));
        }
        if self.denied.get(&key).is_some() {
            return Ok(Ok(false));
        }
        let certified = proof == Proof::Certificate;
        let (rates, most) = if certified { (&self.certified, usize::MAX) } else { (&self.others, MOST_CALLS) };
        let was_allowed = self.allowed.was_known(&key);
        let start = || (was_allowed || rates.take(user.name.clone())).then(|| self.review(&key));
        let answer = self.calls.join(key.clone(), most, start).await.ok_or(Limited)?;
        match answer {
            Ok(true) => self.allowed.insert(key, (), self.allowed_ttl),
            Ok(false) => {
                self.allowed.remove(&key);
                self.denied.insert(key, (), self.denied_ttl);
            }
            Err(_) => {}
        }
        Ok(answer)
    }

    fn review(&self, (user, question): &Question) -> BoxFuture<'static, Result<bool, ReviewError>> {
        let (reviews, user, question) = (Arc::clone(&self.reviews), user.clone(), question.clone());
        in_time("SubjectAccessReview", async move { reviews.access(&user, &question).await })
    }
}

fn in_time<T: Send + 'static>(
    review: &'static str,
    call: impl Future<Output = Result<T, ReviewError>> + Send + 'static,
) -> BoxFuture<'static, Result<T, ReviewError>> {
    let late = move |_| Err(ReviewError { review, message: "no answer in time".to_owned() });
    tokio::time::timeout(REVIEW_TIMEOUT, call).map(move |answer| answer.unwrap_or_else(late)).boxed()
}
