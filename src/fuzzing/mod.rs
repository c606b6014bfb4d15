//! Properties of everything that reads bytes from outside, for the targets in `fuzz/` and the tests over their corpus.
//!
//! A property accepts any bytes and panics if it does not hold. In addition to "no panic" each states something: a
//! round trip, agreement with a slow and simple second implementation, a limit of the output. docs/fuzzing.md lists
//! them.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unchecked_time_subtraction,
    clippy::unwrap_used,
    reason = "a property that does not hold panics"
)]

mod archive;
mod edits;
mod host;
mod images;
mod input;
mod life;
mod logs;
mod network;
mod numbers;
mod pods;
mod probes;
mod requests;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod trust;

/// A property, with the name of its target.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, in the order of docs/fuzzing.md.
pub const TARGETS: &[Target] = &[
    ("manifest", pods::manifest),
    ("pod", life::pod),
    ("pull_secret", images::pull_secret),
    ("image_name", images::image_name),
    ("credential_plugin", images::credential_plugin),
    ("archive", archive::archive),
    ("quantity", numbers::quantity),
    ("duration", numbers::duration),
    ("container_log", logs::container_log),
    ("log_line", logs::log_line),
    ("http_path", requests::http_path),
    ("log_query", requests::log_query),
    ("probe_answer", probes::probe_answer),
    ("certificate", trust::certificate),
    ("cluster_info", trust::cluster_info),
    ("kubeconfig", trust::kubeconfig),
    ("key_handover", trust::key_handover),
    ("node_network", network::node_network),
    ("resolv_conf", network::resolv_conf),
    ("dns_answer", network::dns_answer),
    ("env_file", pods::env_file),
    ("kubelet_config", settings::kubelet_config),
    ("cluster_toml", settings::cluster_toml),
    ("cluster_objects", settings::cluster_objects),
    ("cgroup_files", host::cgroup_files),
    ("mountinfo", host::mountinfo),
    ("runtime_messages", state::runtime_messages),
    ("state_files", state::state_files),
];

/// Checks the property of a target.
///
/// # Panics
/// If it does not hold, or there is no such target.
pub fn check(target: &str, input: &[u8]) {
    let known = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, property) = known.unwrap_or_else(|| panic!("there is no fuzz target named {target}"));
    property(input);
}
