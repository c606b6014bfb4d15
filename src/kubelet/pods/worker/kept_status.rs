//! The status of a static pod that is kept across restarts of the kubelet, since no API server keeps it.

use std::sync::Arc;

use super::Worker;
use crate::core::model::{SourceKind, is_terminal, key_of, with_causes};
use crate::core::plan::Stage;
use crate::core::status::without_ended_init;

impl Worker {
    /// Restores the last status of a static pod before the restart, which its manifest does not contain. A pod that had
    /// finished starts over, as upstream.
    pub(super) async fn recall(&mut self) {
        if !self.source.is_static {
            return;
        }
        let kept = self.shared.ports.files.kept_status(&self.uid).await;
        if let Some(mut status) = kept.filter(|status| !is_terminal(status.phase.as_deref())) {
            // Without a mirror pod, upstream counts from its own start (`updateStatusInternal`).
            if !self.shared.settings.sources.contains(&SourceKind::Api) {
                status.start_time = None;
            }
            self.published.kept = Arc::new(status);
            self.published.status = Arc::new(without_ended_init(&self.pod, &self.published.kept));
        }
    }

    /// Writes to disk why admission rejects a static pod, for nodes without an API server.
    pub(super) async fn note_refusal(&self) {
        if !self.source.is_static {
            return;
        }
        let text =
            self.rejection.as_ref().filter(|_| !self.source.removed).map(|r| format!("{}: {}", r.reason, r.message));
        if let Err(error) = self.shared.ports.files.note_refusal(&key_of(&self.pod), text.as_deref()).await {
            tracing::warn!(error = with_causes(&error), uid = %self.uid, "the reason for rejecting a static pod could not be stored");
        }
    }

    /// Stores the status of a static pod for that.
    pub(super) async fn remember(&mut self) {
        if !self.source.is_static
            || matches!(self.stage, Stage::Finished { .. })
            || Arc::ptr_eq(&self.published.kept, &self.published.status)
        {
            return;
        }
        match self.shared.ports.files.keep_status(&self.uid, &self.published.status).await {
            Ok(()) => self.published.kept = Arc::clone(&self.published.status),
            Err(error) => {
                tracing::warn!(error = with_causes(&error), uid = %self.uid, "the status of a static pod could not be stored")
            }
        }
    }
}
