//! What a runtime reports about itself, for the preflight checks.

use std::path::PathBuf;

use serde_json::Value;

use super::connect::Cri;
use crate::core::model::json::at;
use crate::core::model::preflight::{ObservedRuntime, RuntimeState};
use crate::core::model::with_causes;
use crate::core::network::cni::plugin_folders;
use crate::cri;
use crate::ports::kubelet::RuntimeInfo;

/// The condition that a runtime can run containers (`RuntimeReady` of the CRI).
const READY: &str = "RuntimeReady";

impl Cri {
    /// Asks the runtime for its version, its state and, as far as it shows it, its configuration.
    pub async fn observe_state(&self) -> ObservedRuntime {
        let version = match self.version().await {
            Ok(version) => version,
            Err(error) => return ObservedRuntime::Silent(with_causes(&error)),
        };
        let request = cri::StatusRequest { verbose: true };
        let status = match self.call("Status", Some(self.timeout), self.runtime().status(request)).await {
            Ok(status) => status,
            Err(error) => return ObservedRuntime::Silent(with_causes(&error)),
        };
        let conditions = status.status.map(|status| status.conditions).unwrap_or_default();
        let not_ready = conditions.into_iter().find(|condition| condition.r#type == READY && !condition.status);
        let config = status.info.get("config").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        ObservedRuntime::Answers(RuntimeState {
            program: format!("{} {}", version.runtime_name, version.runtime_version.trim_start_matches('v')),
            not_ready: not_ready.map(|condition| format!("{}: {}", condition.reason, condition.message)),
            reports_driver: matches!(self.cgroup_driver().await, Ok(Some(_))),
            ..parse_config(&config)
        })
    }
}

/// containerd's configuration, as its verbose status has it (`Config` in `pkg/cri/config`, `internal/cri/config` since
/// 2.0): folders of CNI, and the cgroup driver of the default handler.
fn parse_config(config: &Value) -> RuntimeState {
    let path = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(PathBuf::from);
    let handler = at(config, &["containerd", "defaultRuntimeName"]).as_str().unwrap_or("runc");
    let runtime = at(config, &["containerd", "runtimes", handler]);
    // Without the option containerd uses cgroupfs.
    let systemd = at(runtime, &["options", "SystemdCgroup"]).as_bool().unwrap_or_default();
    RuntimeState {
        systemd_cgroup: (!runtime.is_null()).then_some(systemd),
        plugin_folders: plugin_folders(config).into_iter().map(PathBuf::from).collect(),
        network_folder: path(at(config, &["cni", "confDir"])),
        ..RuntimeState::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_configuration_is_read_in_the_form_of_each_containerd() {
        let old = json!({
            "containerd": { "defaultRuntimeName": "runc", "runtimes": { "runc": { "options": { "SystemdCgroup": true } } } },
            "cni": { "binDir": "/usr/lib/cni", "confDir": "/etc/cni/net.d" },
        });
        let seen = parse_config(&old);
        assert_eq!(seen.systemd_cgroup, Some(true));
        assert_eq!(seen.plugin_folders, [PathBuf::from("/usr/lib/cni")]);
        assert_eq!(seen.network_folder, Some("/etc/cni/net.d".into()));
        let new = json!({
            "containerd": { "defaultRuntimeName": "crun", "runtimes": { "crun": { "options": {} }, "runc": {} } },
            "cni": { "binDir": "", "binDirs": ["/opt/cni/bin", "/usr/lib/cni"] },
        });
        let seen = parse_config(&new);
        assert_eq!((seen.systemd_cgroup, seen.plugin_folders.len()), (Some(false), 2));
        assert_eq!(parse_config(&Value::Null), RuntimeState::default());
    }
}
