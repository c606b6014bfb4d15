//! Updates the pull records on disk (KEP-2535). A record that cannot be written only costs another pull.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::ports::ImagePorts;
use crate::core::images::{
    Access, Credential, PullCredentials, PullIntent, PulledRecord, RecordedAccount, RecordedSecret, Verification,
    decide_access, file_name, without_tag,
};
use crate::core::model::with_causes;
use crate::cri;
use crate::ports::kubelet::RecordKind;

/// A pull in progress.
pub(super) struct Intent {
    records: Arc<Records>,
    ports: ImagePorts,
    name: String,
}

impl Drop for Intent {
    fn drop(&mut self) {
        // Without a runtime the kubelet is exiting; the file informs its successor.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (records, ports, name) = (Arc::clone(&self.records), self.ports.clone(), std::mem::take(&mut self.name));
        runtime.spawn(async move { records.end(&ports, &name).await });
    }
}

/// The records, and the number of pulls in progress by image.
pub(super) struct Records {
    verification: Verification,
    in_flight: Mutex<HashMap<String, u32>>,
}

impl Records {
    pub(super) fn new(verification: Verification) -> Self {
        Self { verification, in_flight: Mutex::default() }
    }

    /// Whether a pod may use an image that is present; `shown` returns its credentials if they are needed.
    pub(super) async fn may_use<F>(
        &self,
        ports: &ImagePorts,
        name: &str,
        image: &cri::Image,
        shown: impl FnOnce() -> F,
    ) -> Result<bool, String>
    where
        F: Future<Output = Result<Vec<Credential>, String>>,
    {
        // No file is read if the answer does not depend on one.
        if !self.verification.requires(name, true) {
            return Ok(true);
        }
        let record = self.read(ports, &image.id).await;
        let ours = record.is_some() || self.is_pulling(ports, name).await;
        if !self.verification.requires(name, ours) {
            return Ok(true);
        }
        if decide_access(record.as_ref(), name, &[], None) == Access::Granted {
            return Ok(true);
        }
        let shown: Vec<PullCredentials> = shown().await?.iter().map(Credential::recorded).collect();
        let secrets: Vec<RecordedSecret> = shown.iter().flat_map(|c| c.kubernetes_secrets.clone()).collect();
        let account: Option<&RecordedAccount> = shown.iter().find_map(|c| c.kubernetes_service_accounts.first());
        Ok(match decide_access(record.as_ref(), name, &secrets, account) {
            Access::Granted => true,
            Access::GrantedAndLearn(credentials) => {
                self.merge(ports, name, &image.id, Some(&credentials)).await;
                true
            }
            Access::MustPull => false,
        })
    }

    /// Records the start of a pull. Dropping the intent records its end, even if the pull was cancelled.
    pub(super) async fn begin(self: &Arc<Self>, ports: &ImagePorts, name: &str) -> Intent {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .and_modify(|count| *count = count.saturating_add(1))
            .or_insert(1);
        let content = serde_json::to_vec(&PullIntent::new(name)).unwrap_or_default();
        if let Err(error) = ports.records.write(RecordKind::Pulling, &file_name(name), content).await {
            tracing::warn!(image = name, error = with_causes(&error), "the intent to pull could not be recorded");
        }
        Intent { records: Arc::clone(self), ports: ports.clone(), name: name.to_owned() }
    }

    /// Records which credentials may use an image that was just pulled.
    pub(super) async fn pulled(&self, ports: &ImagePorts, name: &str, id: &str, used: &PullCredentials) {
        self.merge(ports, name, id, Some(used)).await;
    }

    async fn end(&self, ports: &ImagePorts, name: &str) {
        {
            let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = in_flight.get_mut(name).filter(|count| **count > 1) {
                *count = count.saturating_sub(1);
                return;
            }
            in_flight.remove(name);
        }
        self.remove(ports, RecordKind::Pulling, &file_name(name)).await;
    }

    /// Images of interrupted pulls cannot be used until a pod shows credentials.
    pub(super) async fn recover(&self, ports: &ImagePorts) {
        let Ok(intents) = ports.records.list(RecordKind::Pulling).await else { return };
        if intents.is_empty() {
            return;
        }
        let images = ports.images.list_images().await.unwrap_or_default();
        for (file, content) in intents {
            let Ok(intent) = serde_json::from_slice::<PullIntent>(&content) else { continue };
            let known = |i: &&cri::Image| i.repo_tags.contains(&intent.image) || i.repo_digests.contains(&intent.image);
            if let Some(image) = images.iter().find(known) {
                self.merge(ports, &intent.image, &image.id, None).await;
                self.remove(ports, RecordKind::Pulling, &file).await;
            }
        }
    }

    pub(super) async fn prune(&self, ports: &ImagePorts, present: &[cri::Image], before: Timestamp) {
        for (file, content) in ports.records.list(RecordKind::Pulled).await.unwrap_or_default() {
            let Ok(record) = serde_json::from_slice::<PulledRecord>(&content) else { continue };
            if record.last_updated_time < before && !present.iter().any(|image| image.id == record.image_ref) {
                self.remove(ports, RecordKind::Pulled, &file).await;
            }
        }
    }

    async fn is_pulling(&self, ports: &ImagePorts, name: &str) -> bool {
        if self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name) {
            return true;
        }
        let file = ports.records.read(RecordKind::Pulling, &file_name(name)).await.ok().flatten();
        file.and_then(|content| serde_json::from_slice::<PullIntent>(&content).ok()).is_some_and(|i| i.image == name)
    }

    async fn read(&self, ports: &ImagePorts, id: &str) -> Option<PulledRecord> {
        let content = ports.records.read(RecordKind::Pulled, &file_name(id)).await.ok().flatten()?;
        serde_json::from_slice::<PulledRecord>(&content).ok().filter(|record| record.image_ref == id)
    }

    async fn merge(&self, ports: &ImagePorts, name: &str, id: &str, credentials: Option<&PullCredentials>) {
        let now = (ports.wall)();
        let (mut record, is_new) = match self.read(ports, id).await {
            Some(record) => (record, false),
            None => (PulledRecord::new(id, now), true),
        };
        let changed = credentials.is_some_and(|c| record.merge(without_tag(name), c, now));
        if !changed && !is_new {
            return;
        }
        let content = serde_json::to_vec(&record).unwrap_or_default();
        if let Err(error) = ports.records.write(RecordKind::Pulled, &file_name(id), content).await {
            tracing::warn!(image = name, error = with_causes(&error), "a pull could not be recorded");
        }
    }

    async fn remove(&self, ports: &ImagePorts, kind: RecordKind, file: &str) {
        if let Err(error) = ports.records.remove(kind, file).await {
            tracing::warn!(file, error = with_causes(&error), "a pull record could not be removed");
        }
    }
}
