//! The kubelet's flags as given on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Flags as given: those that override a field of the file, and those that only exist as flags.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// Value of each flag that overrides a field, by flag name.
    pub fields: BTreeMap<String, String>,
    pub config: Option<PathBuf>,
    pub config_dir: Option<PathBuf>,
    pub kubeconfig: Option<PathBuf>,
    pub bootstrap_kubeconfig: Option<PathBuf>,
    /// `--hostname-override`, else the machine's host name.
    pub node_name: String,
    /// True if `node_name` comes from the flag.
    pub hostname_overridden: bool,
    pub node_ip: String,
    pub cert_dir: Option<PathBuf>,
    pub root_dir: Option<PathBuf>,
    pub cloud_provider: String,
    pub node_labels: String,
    pub register_with_taints: Option<String>,
    pub manifest_url_header: Option<String>,
    pub credential_config: Option<PathBuf>,
    pub credential_bin_dir: Option<PathBuf>,
    pub static_pod_units: bool,
    pub host_programs: Vec<PathBuf>,
    pub verbosity: Option<u8>,
    pub lock_file: Option<PathBuf>,
    pub exit_on_lock_contention: bool,
    /// Value of each flag that is not implemented, by its name.
    pub others: BTreeMap<String, String>,
}

impl Flags {
    /// The flags that were given, by name.
    pub fn given(&self) -> Vec<(String, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let list =
            |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",");
        let named = [
            ("bootstrap-kubeconfig", path(&self.bootstrap_kubeconfig)),
            ("cert-dir", path(&self.cert_dir)),
            ("cloud-provider", text(&self.cloud_provider)),
            ("config", path(&self.config)),
            ("config-dir", path(&self.config_dir)),
            ("exit-on-lock-contention", self.exit_on_lock_contention.then(|| "true".to_owned())),
            ("host-programs", text(&list(&self.host_programs))),
            ("hostname-override", text(&self.node_name).filter(|_| self.hostname_overridden)),
            ("image-credential-provider-bin-dir", path(&self.credential_bin_dir)),
            ("image-credential-provider-config", path(&self.credential_config)),
            ("kubeconfig", path(&self.kubeconfig)),
            ("lock-file", path(&self.lock_file)),
            // Headers may contain a secret.
            ("manifest-url-header", self.manifest_url_header.as_ref().map(|_| "[not shown]".to_owned())),
            ("node-ip", text(&self.node_ip)),
            ("node-labels", text(&self.node_labels)),
            ("register-with-taints", self.register_with_taints.clone()),
            ("root-dir", path(&self.root_dir)),
            ("static-pod-units", self.static_pod_units.then(|| "true".to_owned())),
            ("v", self.verbosity.map(|v| v.to_string())),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        // One of the flags that are not implemented is a password.
        let shown = |(name, value): (String, String)| match name.ends_with("password") {
            true => (name, "[not shown]".to_owned()),
            false => (name, value),
        };
        let others = self.others.clone().into_iter().map(shown);
        let mut all: Vec<_> = self.fields.clone().into_iter().chain(others).chain(named).collect();
        all.sort();
        all
    }
}
