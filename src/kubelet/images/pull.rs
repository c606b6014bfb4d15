//! A single pull: concurrency, events, back-off.

use std::time::Duration;

use tokio::time::Instant;

use super::{Errand, Images, found, spec_of};
use crate::core::images::{Credential, PullCredentials, join_failures, name_failure, size_label};
use crate::cri;
use crate::kubelet::pods::{ImageWaiting, PulledImage};
use crate::ports::kubelet::EventKind;

impl Images {
    /// Pulls the image. With `look_first`, checks whether it was pulled while this pod waited.
    pub(super) async fn pull(&self, errand: &Errand<'_>, look_first: Option<()>) -> Result<PulledImage, ImageWaiting> {
        if look_first.is_some()
            && let Some(image) = self.look(errand).await?
            && self.may_use(errand, &image).await?
        {
            return Ok(self.already_present(errand, image));
        }
        self.check_backoff(errand)?;
        let name = &errand.demand.image;
        self.record(errand, EventKind::Normal, "Pulling", format!("Pulling image \"{name}\""));
        let began = Instant::now();
        let _pull = self.ports.startup.pull(&errand.uid);
        let credentials = match self.credentials.of(&self.ports, errand.pod, &errand.image).await {
            Ok(credentials) => credentials,
            Err(error) => return Err(self.failed(errand, &error)),
        };
        let _slot = match &self.slots {
            // Fails only if the semaphore is closed, which never happens.
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        self.rate.wait().await;
        let _intent = self.records.begin(&self.ports, name).await;
        let transfer = Instant::now();
        let outcome = self.transfer(errand, &credentials).await;
        let transfer = transfer.elapsed();
        let (image, used) = outcome.map_err(|error| self.failed(errand, &error))?;
        self.ports.metrics.image_pull.observe([size_label(image.size)], began.elapsed());
        self.records.pulled(&self.ports, name, &image.id, &used).await;
        let message = format!(
            "Successfully pulled image \"{name}\" in {} ({} including waiting). Image size: {} bytes.",
            show(transfer),
            show(began.elapsed()),
            image.size
        );
        self.record(errand, EventKind::Normal, "Pulled", message);
        Ok(found(errand, image))
    }

    /// Tries each credential until one is accepted by the registry.
    async fn transfer(
        &self,
        errand: &Errand<'_>,
        credentials: &[Credential],
    ) -> Result<(cri::Image, PullCredentials), String> {
        let spec = spec_of(errand);
        let everybody = PullCredentials { node_pods_accessible: true, ..PullCredentials::default() };
        let mut attempts: Vec<(Option<cri::AuthConfig>, PullCredentials)> =
            credentials.iter().map(|c| (Some(auth_of(c)), c.recorded())).collect();
        if attempts.is_empty() {
            attempts.push((None, everybody));
        }
        let mut errors = Vec::new();
        for (auth, recorded) in attempts {
            match self.ports.images.pull_image(&spec, auth, errand.sandbox.cloned()).await {
                Ok(reference) => return Ok((self.pulled(errand, reference).await, recorded)),
                Err(error) => errors.push(error.to_string()),
            }
        }
        Err(join_failures(&errors))
    }

    /// The runtime's status of the image that was just pulled; without one, size and user are unknown.
    async fn pulled(&self, errand: &Errand<'_>, reference: String) -> cri::Image {
        let known = self.ports.images.image_status(&spec_of(errand)).await;
        known.ok().flatten().unwrap_or_else(|| cri::Image { id: reference, ..cri::Image::default() })
    }

    fn check_backoff(&self, errand: &Errand<'_>) -> Result<(), ImageWaiting> {
        let name = &errand.demand.image;
        let now = (self.ports.wall)();
        let waiting = self.backoff().waiting(&errand.uid, name, now).map(|(until, last)| (until, last.to_owned()));
        let Some((until, last)) = waiting else { return Ok(()) };
        let message = format!("Back-off pulling image \"{name}\"");
        self.record(errand, EventKind::Normal, "BackOff", message.clone());
        Err(ImageWaiting {
            reason: "ImagePullBackOff".into(),
            message: format!("{message}: {last}"),
            retry_at: Some(until),
        })
    }

    fn failed(&self, errand: &Errand<'_>, error: &str) -> ImageWaiting {
        let name = &errand.demand.image;
        self.record(errand, EventKind::Warning, "Failed", format!("Failed to pull image \"{name}\": {error}"));
        let failure = name_failure(name, error);
        let last = format!("{}: {}", failure.reason, failure.message);
        let retry_at = self.backoff().failed(&errand.uid, name, last, (self.ports.wall)());
        ImageWaiting { reason: failure.reason.into(), message: failure.message, retry_at: Some(retry_at) }
    }
}

fn auth_of(credential: &Credential) -> cri::AuthConfig {
    cri::AuthConfig {
        username: credential.username.clone(),
        password: credential.password.clone(),
        ..cri::AuthConfig::default()
    }
}

/// A duration in Go's format, with milliseconds.
fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 { format!("{millis}ms") } else { format!("{}s", millis as f64 / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_upstreams() {
        for (millis, text) in [(0, "0ms"), (999, "999ms"), (1000, "1s"), (1234, "1.234s"), (61_000, "61s")] {
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
    }
}
