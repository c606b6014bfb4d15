//! Checks whose answers the test sets.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::core::model::{HttpAnswer, HttpGet};
use crate::ports::node::{CheckError, Checks};

/// Results by URL (`http://…`, `tcp://host:port`, `grpc://host:port/service`); others refuse the connection.
#[derive(Debug, Default)]
pub struct FakeChecks {
    answers: Mutex<HashMap<String, Result<HttpAnswer, CheckError>>>,
    asked: Mutex<Vec<String>>,
}

impl FakeChecks {
    /// Sets the result of a URL.
    pub fn set(&self, url: &str, answer: Result<u16, CheckError>) {
        let answer = answer.map(|status| HttpAnswer { status, body: "body".into() });
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(url.into(), answer);
    }

    /// Returns and clears the URLs requested so far.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(&self, url: String) -> Result<HttpAnswer, CheckError> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(&url).cloned().unwrap_or_else(|| Err(CheckError::Failed("refused".into())));
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(url);
        answer
    }
}

#[async_trait]
impl Checks for FakeChecks {
    async fn http(&self, get: &HttpGet, _: Option<Duration>) -> Result<HttpAnswer, CheckError> {
        self.answer(get.url())
    }

    async fn tcp(&self, host: &str, port: u16, _: Duration) -> Result<(), CheckError> {
        self.answer(format!("tcp://{host}:{port}")).map(drop)
    }

    async fn grpc(&self, host: &str, port: u16, service: &str, _: Duration) -> Result<(), CheckError> {
        self.answer(format!("grpc://{host}:{port}/{service}")).map(drop)
    }
}
