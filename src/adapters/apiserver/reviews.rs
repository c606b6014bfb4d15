//! TokenReview and SubjectAccessReview for the kubelet's server.

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo as ReviewedUser};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::session::{Session, ask};
use crate::core::model::access::{AccessQuestion, UserInfo};
use crate::ports::kubelet::{ReviewError, Reviews};

/// Sends reviews through a session.
#[derive(Clone)]
pub struct SessionReviews {
    session: Session,
}

impl SessionReviews {
    pub fn new(session: Session) -> Self {
        Self { session }
    }
}

#[async_trait]
impl Reviews for SessionReviews {
    async fn token(&self, token: &str) -> Result<Option<UserInfo>, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: None },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.session.client());
        let answer = ask(|| "TokenReview".to_owned(), api.create(&PostParams::default(), &review)).await;
        let status = answer.map_err(|e| failed("TokenReview", &e))?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        Ok(user.map(user_of))
    }

    async fn access(&self, user: &UserInfo, question: &AccessQuestion) -> Result<bool, ReviewError> {
        let review = SubjectAccessReview { spec: access_spec(user, question), ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.session.client());
        let answer = ask(|| "SubjectAccessReview".to_owned(), api.create(&PostParams::default(), &review)).await;
        Ok(answer.map_err(|e| failed("SubjectAccessReview", &e))?.status.is_some_and(|status| status.allowed))
    }
}

fn failed(review: &'static str, error: &crate::ports::node::ApiError) -> ReviewError {
    ReviewError { review, message: error.to_string() }
}

fn user_of(user: ReviewedUser) -> UserInfo {
    UserInfo {
        name: user.username.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    }
}

fn access_spec(user: &UserInfo, question: &AccessQuestion) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        uid: Some(user.uid.clone()).filter(|uid| !uid.is_empty()),
        groups: Some(user.groups.clone()),
        extra: Some(user.extra.clone()).filter(|extra| !extra.is_empty()),
        resource_attributes: Some(ResourceAttributes {
            name: Some(question.node.clone()),
            resource: Some("nodes".to_owned()),
            subresource: Some(question.subresource.to_owned()),
            verb: Some(question.verb.to_owned()),
            version: Some("v1".to_owned()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}
