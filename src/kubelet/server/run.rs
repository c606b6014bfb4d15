//! `/run`: runs one command to completion; `/checkpoint`: saves a container's state to a file.

use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;

use super::Server;
use super::reply::{Reply, json, text, typed};
use crate::core::model::containers_of;
use crate::core::server::{ContainerRef, Query};

pub async fn run(server: &Server, target: &ContainerRef, query: &Query) -> Reply {
    let Some(pod) = server.find_pod(&target.pod) else { return text(StatusCode::NOT_FOUND, "pod does not exist") };
    let Some(container) = pod.containers.iter().find(|c| c.name == target.container && c.running) else {
        let message = format!("container not found ({:?})", target.container);
        return text(StatusCode::INTERNAL_SERVER_ERROR, message);
    };
    // One parameter that is split at spaces, unlike exec's repeated one.
    let command: Vec<String> = query.get("cmd").unwrap_or_default().split(' ').map(str::to_owned).collect();
    let shown = command.join(" ");
    match server.ports.runtime.exec_sync(&container.id, command, Duration::ZERO).await {
        Ok(done) if done.exit_code == 0 => {
            let mut output = done.stdout;
            output.extend_from_slice(&done.stderr);
            typed(StatusCode::OK, "application/json", output)
        }
        Ok(done) => {
            let code = done.exit_code;
            let message = format!("command '{shown}' exited with {code}: {}", String::from_utf8_lossy(&done.stderr));
            text(StatusCode::INTERNAL_SERVER_ERROR, message)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub async fn checkpoint(server: &Server, target: &ContainerRef, query: &Query) -> Reply {
    let Some(pod) = server.find_pod(&target.pod) else { return text(StatusCode::NOT_FOUND, "pod does not exist") };
    if !containers_of(&pod.pod).iter().any(|(_, c)| c.name == target.container) {
        return text(StatusCode::NOT_FOUND, format!("container {} does not exist", target.container));
    }
    // The last of several values is used.
    let timeout = match query.all("timeout").last().map(str::parse::<u64>) {
        None => Duration::ZERO,
        Some(Ok(seconds)) => Duration::from_secs(seconds),
        Some(Err(_)) => return text(StatusCode::NOT_FOUND, "cannot parse value of timeout parameter"),
    };
    let (namespace, name) = (&target.pod.namespace, &target.pod.name);
    let failed = |error: &dyn std::fmt::Display| {
        let message = format!("checkpointing of {namespace}/{name}/{} failed ({error})", target.container);
        text(StatusCode::INTERNAL_SERVER_ERROR, message)
    };
    let Some(container) = pod.containers.iter().find(|c| c.name == target.container && c.running) else {
        return failed(&format!("container {} not found", target.container));
    };
    let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let file = format!("checkpoint-{name}_{namespace}-{}-{time}.tar", target.container);
    let location = server.settings.checkpoint_dir.join(file).to_string_lossy().into_owned();
    match server.ports.runtime.checkpoint_container(&container.id, &location, timeout).await {
        Ok(()) => json(&serde_json::json!({ "items": [location] })),
        Err(error) => failed(&error),
    }
}
