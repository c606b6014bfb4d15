//! Commands in containers, in memory.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::core::model::ContainerId;
use crate::cri;
use crate::ports::kubelet::ContainerExec;
use crate::ports::node::RuntimeError;

type Answer = Result<i32, RuntimeError>;

/// Every command exits with the code that the test sets, initially 0.
pub struct FakeExec {
    answer: Mutex<Answer>,
    ran: Mutex<Vec<Vec<String>>>,
}

impl Default for FakeExec {
    fn default() -> Self {
        Self { answer: Mutex::new(Ok(0)), ran: Mutex::default() }
    }
}

impl FakeExec {
    /// Sets the exit code, or the error, of all later commands.
    pub fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// Returns and clears the commands run so far.
    pub fn take(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.ran.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl ContainerExec for FakeExec {
    async fn exec_sync(
        &self,
        _: &ContainerId,
        command: Vec<String>,
        _: Duration,
    ) -> Result<cri::ExecSyncResponse, RuntimeError> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        let exit_code = self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Ok(cri::ExecSyncResponse { exit_code, stdout: b"output".to_vec(), ..Default::default() })
    }
}
