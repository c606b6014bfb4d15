//! Settings: KubeletConfiguration, cluster.toml, and the ConfigMaps with a cluster's settings.

use std::path::Path;

use serde_json::Value;

use super::input::{MemoryFile, text};
use crate::config::cluster::{HostDefaults, Layers, Origin, derive_spec, render_joined};
use crate::config::kubelet::{Flags, load};
use crate::core::bootstrap::cluster_configuration::{ClusterConfigMaps, adopt};
use crate::core::bootstrap::upgrade::running::parse_running;
use crate::core::evict::{Observation, parse_thresholds};
use crate::core::model::Version;
use crate::core::model::spec::Endpoint;
use crate::core::shutdown::{plan_turns, total};

/// Lines `--flag value` before a line `---` are flags, the rest is the file. An effective configuration can be loaded
/// again, with the same result.
pub(super) fn kubelet_config(input: &[u8]) {
    let at = input.windows(5).position(|part| part == b"\n---\n");
    let (given, file) = at.map_or((&input[..0], input), |at| (&input[..at], &input[at + 5..]));
    let config = MemoryFile::new(file);
    let mut flags = Flags { config: Some(config.path()), node_name: "n1".into(), ..Flags::default() };
    for line in String::from_utf8_lossy(given).lines().take(16) {
        let (name, value) = line.trim_start_matches("--").split_once(' ').unwrap_or((line, ""));
        match name {
            "node-ip" => value.clone_into(&mut flags.node_ip),
            "node-labels" => value.clone_into(&mut flags.node_labels),
            "register-with-taints" => flags.register_with_taints = Some(value.to_owned()),
            "manifest-url-header" => flags.manifest_url_header = Some(value.to_owned()),
            name => drop(flags.fields.insert(name.to_owned(), value.to_owned())),
        }
    }
    let spec = match load(&flags) {
        Ok(spec) => spec,
        Err(error) => return assert!(!error.0.is_empty()),
    };
    let _ = total(&plan_turns(&spec.shutdown));
    for threshold in parse_thresholds(&spec.eviction).unwrap_or_default() {
        for (capacity, available) in [(0, 0), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            let strict = threshold.is_met(Observation { available, capacity }, false);
            assert!(!strict || threshold.is_met(Observation { available, capacity }, true));
        }
    }
    let written = MemoryFile::new(spec.effective.to_string().as_bytes());
    let again = Flags { config: Some(written.path()), node_name: "n1".into(), ..Flags::default() };
    let again = load(&again).unwrap_or_else(|error| panic!("{error}\n{}", spec.effective));
    assert_eq!(again.effective, spec.effective);
}

fn host() -> HostDefaults {
    HostDefaults { name: "n1".into(), address: Some([192, 0, 2, 11].into()), program: "/usr/bin/bootstrap".into() }
}

/// Faults are inside the file; settings are printed as an equivalent file; the recorded settings of the joined cluster
/// are read back as that cluster.
pub(super) fn cluster_toml(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let path = Path::new("cluster.toml");
    let mut layers = Layers::defaults();
    let faults = layers.add_file(path, text);
    for fault in &faults {
        if let Origin::File(_, line, column) = &fault.origin {
            let lines = text.matches('\n').count() + 1;
            assert!((1..=lines).contains(line) && *column >= 1, "{fault}");
        }
    }
    let mut printed = Layers::defaults();
    assert_eq!(printed.add_file(path, &layers.print()), [], "{}", layers.print());
    for setting in crate::config::cluster::schema::SETTINGS {
        assert_eq!(printed.value(setting.name), layers.value(setting.name), "{}", setting.name);
    }
    let Ok(spec) = derive_spec(&layers, &host()) else { return };
    let joined = render_joined(&spec.cluster);
    assert_eq!(Layers::defaults().add_file(path, &joined), [], "{joined}");
}

/// The kubeadm-config of a cluster, or one line: versions, endpoints and manifests keep their meaning when they are
/// written and read again.
pub(super) fn cluster_objects(input: &[u8]) {
    let Some(text) = text(input) else { return };
    if let Ok(version) = text.parse::<Version>() {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        assert_eq!(endpoint.to_string().parse().as_ref(), Ok(&endpoint), "{endpoint}");
    }
    let running = parse_running(text);
    assert_eq!(running, parse_running(text));
    let spec = derive_spec(&Layers::defaults(), &host()).expect("the defaults are a cluster");
    for roost in [None, Some(text.to_owned())] {
        let maps = ClusterConfigMaps { kubeadm: text.to_owned(), kubelet: String::new(), roost };
        let mut cluster = spec.cluster.clone();
        if adopt(&mut cluster, &maps).is_ok() {
            let mut again = spec.cluster.clone();
            assert_eq!(adopt(&mut again, &maps), Ok(()));
            assert_eq!(again, cluster);
        }
    }
    if let Ok(node) = serde_json::from_str::<Value>(text) {
        let told = crate::core::bootstrap::rotation::ReportedStage::of(&node);
        assert!(told.as_ref().is_none_or(|told| told.to_string().parse().as_ref() == Ok(told)));
    }
}
