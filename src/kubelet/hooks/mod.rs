//! Runs postStart and preStop handlers (upstream `pkg/kubelet/lifecycle/handlers.go`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};

use crate::core::model::time::seconds;
use crate::core::model::{HttpGet, containers_of, key_of, uid_of};
use crate::core::probes::render_http_get;
use crate::kubelet::pods::{HookCall, HookError, Hooks};
use crate::ports::kubelet::{ContainerExec, EventKind, EventTarget, Events};
use crate::ports::node::{CheckError, Checks};
use crate::telemetry::Metrics;

/// Runs hooks in containers and over the network.
#[derive(Clone)]
pub struct HookRunner {
    pub runtime: Arc<dyn ContainerExec>,
    pub checks: Arc<dyn Checks>,
    pub events: Arc<dyn Events>,
    /// Counts fallbacks to HTTP.
    pub metrics: Arc<Metrics>,
    /// The user agent of HTTP hooks.
    pub agent: &'static str,
}

#[async_trait]
impl Hooks for HookRunner {
    async fn run(&self, call: HookCall) -> Result<(), HookError> {
        let what = |kind: &str, detail: String, error: &str| {
            let pod = key_of(&call.pod);
            let uid = uid_of(&call.pod);
            let (container, name, namespace) = (&call.container, &pod.name, &pod.namespace);
            let message = format!(
                "{kind} lifecycle hook ({detail}) for Container \"{container}\" in Pod \"{name}_{namespace}({uid})\" \
                 failed - error: {error}"
            );
            HookError { message }
        };
        if let Some(exec) = &call.handler.exec {
            let command = exec.command.clone().unwrap_or_default();
            let shown = format!("[{}]", command.join(" "));
            return self.exec(&call, command).await.map_err(|error| what("Exec", shown, &error));
        }
        if let Some(action) = &call.handler.http_get {
            let path = action.path.clone().unwrap_or_default();
            return self.http(&call, action).await.map_err(|error| what("HTTP", path, &error));
        }
        if let Some(sleep) = &call.handler.sleep {
            tokio::time::sleep(seconds(sleep.seconds)).await;
            return Ok(());
        }
        // The API accepts tcpSocket here, but no version has ever run it.
        Err(HookError { message: "Cannot run handler: invalid handler".into() })
    }
}

impl HookRunner {
    async fn exec(&self, call: &HookCall, command: Vec<String>) -> Result<(), String> {
        let response = self.runtime.exec_sync(&call.id, command.clone(), Duration::ZERO).await;
        let response = response.map_err(|error| error.to_string())?;
        if response.exit_code == 0 {
            return Ok(());
        }
        let output = [response.stdout, response.stderr].concat();
        let output = String::from_utf8_lossy(output.get(..1024).unwrap_or(&output)).into_owned();
        Err(format!("command '{}' exited with {}: {output}", command.join(" "), response.exit_code))
    }

    async fn http(&self, call: &HookCall, action: &HTTPGetAction) -> Result<(), String> {
        let container = self.container(call).ok_or("the container is not in the pod's spec")?;
        if action.host.as_deref().unwrap_or_default().is_empty() && call.pod_ip.is_none() {
            return Err("failed to find networking container".into());
        }
        let get = render_http_get(action, &container, call.pod_ip.as_deref(), self.agent)
            .map_err(|error| error.to_string())?;
        match self.checks.http(&get, None).await {
            Ok(_) => Ok(()),
            Err(error @ CheckError::HttpInsteadOfTls(_)) => {
                let headers = get.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Authorization"));
                let plain = HttpGet { tls: false, headers: headers.cloned().collect(), ..get.clone() };
                self.checks.http(&plain, None).await.map_err(|_| error.to_string())?;
                self.metrics.hook_http_fallbacks.with([]).inc();
                let message = format!(
                    "request to HTTPS lifecycle hook {} got HTTP response, retry with HTTP succeeded",
                    get.authority()
                );
                self.events.record(EventTarget::Pod(&call.pod), EventKind::Warning, "LifecycleHTTPFallback", message);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn container(&self, call: &HookCall) -> Option<Container> {
        containers_of(&call.pod).into_iter().map(|(_, c)| c).find(|c| c.name == call.container)
    }
}

#[cfg(test)]
mod tests;
