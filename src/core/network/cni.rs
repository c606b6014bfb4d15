//! CNI configurations and the runtime's view of them: which one counts, and which plugins it needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::core::model::json::at;

/// What the runtime says of its network (`Status` of CRI, verbose).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeNetwork {
    /// Why its network is not ready; `None` if it is.
    pub fault: Option<String>,
    /// Where it looks for plugins; empty if it does not say.
    pub plugin_folders: Vec<String>,
    /// True if it sets up loopback interfaces itself, without the plugin `loopback`.
    pub own_loopback: bool,
}

/// Reads containerd's `info` of a verbose status: `cniconfig` is go-cni's `ConfigResult`, `config` its configuration
/// (`internal/cri/server/status.go`). Other runtimes leave both out.
pub fn read_runtime_info(info: &BTreeMap<String, String>) -> (Vec<String>, bool) {
    let document = |name: &str| -> Value {
        info.get(name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
    };
    let (network, config) = (document("cniconfig"), document("config"));
    let mut folders = texts(at(&network, &["PluginDirs"]));
    if folders.is_empty() {
        folders = plugin_folders(&config);
    }
    (folders, at(&config, &["cni", "useInternalLoopback"]).as_bool().unwrap_or_default())
}

/// Where containerd looks for plugins, by its configuration: several folders since 2.0, one before (`Config` in
/// `internal/cri/config`, `pkg/cri/config`). Empty if it does not say.
pub fn plugin_folders(config: &Value) -> Vec<String> {
    let several = texts(at(config, &["cni", "binDirs"]));
    match several.is_empty() {
        true => at(config, &["cni", "binDir"])
            .as_str()
            .filter(|folder| !folder.is_empty())
            .map(str::to_owned)
            .into_iter()
            .collect(),
        false => several,
    }
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// True if the runtime reads a file of this name as a configuration (libcni's `ConfFiles`).
pub fn is_configuration(name: &str) -> bool {
    [".conf", ".conflist", ".json"].iter().any(|end| name.ends_with(end))
}

/// The configuration that counts among the files of a folder: the first by name (libcni's `ConfFiles`, go-cni's
/// `WithConfListFromPath`).
pub fn chosen<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.filter(|name| is_configuration(name)).min()
}

/// Plugins that a configuration names, those of address management included; empty if it is not valid.
pub fn plugins(text: &str) -> BTreeSet<String> {
    let Ok(document) = serde_json::from_str::<Value>(text) else { return BTreeSet::new() };
    let single = std::slice::from_ref(&document);
    let list = document.get("plugins").and_then(Value::as_array).map_or(single, Vec::as_slice);
    let types = list.iter().flat_map(|plugin| [at(plugin, &["type"]), at(plugin, &["ipam", "type"])]);
    types.filter_map(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_configuration_by_name_counts_and_names_its_plugins() {
        let names = ["99-loopback.conf", "10-roost.conflist", "05-README", "10-flannel.conflist.bak"];
        assert_eq!(chosen(names.into_iter()), Some("10-roost.conflist"));
        assert_eq!(chosen(["README"].into_iter()), None);
        let list = r#"{"plugins": [{"type": "bridge", "ipam": {"type": "host-local"}}, {"type": "portmap"}]}"#;
        assert_eq!(plugins(list).into_iter().collect::<Vec<_>>(), ["bridge", "host-local", "portmap"]);
        assert_eq!(plugins(r#"{"type": "ptp"}"#).into_iter().collect::<Vec<_>>(), ["ptp"]);
        assert!(plugins("{").is_empty() && plugins("[3]").is_empty());
    }

    #[test]
    fn the_runtime_says_where_its_plugins_are() {
        let info = |pairs: &[(&str, &str)]| {
            read_runtime_info(&pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
        };
        let told =
            info(&[("cniconfig", r#"{"PluginDirs": ["/opt/cni/bin"]}"#), ("config", r#"{"cni": {"binDir": "/x"}}"#)]);
        assert_eq!(told, (vec!["/opt/cni/bin".to_owned()], false));
        let told = info(&[("config", r#"{"cni": {"binDir": "/x", "useInternalLoopback": true}}"#)]);
        assert_eq!(told, (vec!["/x".to_owned()], true));
        assert_eq!(info(&[("config", "toml = 1")]), (Vec::new(), false));
    }
}
