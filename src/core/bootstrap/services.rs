//! The control-plane components as systemd services, with the same flags and PKI as the static pods.
//!
//! A service has its own user and reads no file of `/etc/kubernetes` itself: systemd passes it copies of the files in
//! its flags (`LoadCredential=`, systemd.exec(5)), so private keys stay 0600 and owned by root. The copies are made
//! when the service starts; it loads a renewed file by a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Facts;
use super::sandbox::HELPER;
use super::static_pods;
use super::units::{quote, quote_setting};
use crate::core::model::spec::{Component, ComponentSource, ControlPlaneMode, Spec};

/// Unit that creates the users of the services.
pub const USERS: &str = "roost-users.service";

/// Why services need programs on the host, and the remedy.
pub const NEEDS_PROGRAMS: &str = "systemd services run programs of the host: for mode \"systemd\" set components.source = \"host\" and name the programs in [components.binaries]";

/// Sandboxing of all services (systemd.exec(5), `systemd-analyze security`). They do need the network.
const SANDBOX: &str = "\
NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
";

/// A component as a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Text of the unit file.
    pub unit: String,
    /// Files that systemd copies for it at start; a change of them requires a restart.
    pub reads: Vec<PathBuf>,
}

/// Unit name of a component.
pub fn unit(component: Component) -> String {
    format!("roost-{component}.service")
}

/// User name of a component; systemd accepts at most 31 characters.
pub fn user(component: Component) -> String {
    format!("roost-{component}")
}

/// The form in which a component of this node runs: as observed, else as configured.
pub fn place(component: Component, spec: &Spec, facts: &Facts) -> ControlPlaneMode {
    if facts.services.contains(&component) {
        ControlPlaneMode::Systemd
    } else if facts.pods.contains(&component) {
        ControlPlaneMode::StaticPods
    } else {
        spec.cluster.mode
    }
}

/// The folders that etcd writes.
pub fn etcd_folders(spec: &Spec) -> Vec<PathBuf> {
    let wal = spec
        .cluster
        .extra_args
        .get(Component::Etcd.name())
        .and_then(|flags| flags.get("wal-dir"))
        .filter(|path| !path.is_empty());
    std::iter::once(spec.node.paths.etcd_data.clone()).chain(wal.map(PathBuf::from)).collect()
}

/// A unit that creates the users. The users stay when it is removed: a user id must not be reused.
pub fn render_users(spec: &Spec) -> String {
    let wanted = Component::ALL
        .into_iter()
        .filter(|component| *component != Component::CloudControllerManager || spec.cluster.runs_cloud_controller());
    let line = |component: Component| quote(&format!("u {} - \"Kubernetes {component}\"", user(component)));
    let lines: Vec<String> = wanted.map(line).collect();
    format!(
        "# Written by roost; your own settings go into {USERS}.d/*.conf.\n\
         [Unit]\n\
         Description=Roost: users of the control-plane services\n\
         Documentation=man:sysusers.d(5)\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart=systemd-sysusers --inline \\\n  {}\n\
         CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER\n\
         ReadWritePaths=/etc\n\
         PrivateNetwork=yes\n\
         ProtectKernelTunables=yes\n\
         RestrictAddressFamilies=AF_UNIX\n\
         {HELPER}\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        lines.join(" \\\n  ")
    )
}

/// The service of a component on this node.
///
/// # Errors
/// Its program is not configured: services run programs of the host.
pub fn render(component: Component, spec: &Spec, facts: &Facts) -> Result<Service, static_pods::Error> {
    let missing = || static_pods::Error::NoProgram(component.to_string());
    let ComponentSource::Host { programs } = &spec.cluster.source else { return Err(missing()) };
    let program = programs.get(component.name()).ok_or_else(missing)?;
    let mut credentials = Credentials::default();
    let mut words = vec![quote(&program.display().to_string())];
    for flag in static_pods::arguments(component, spec, facts)? {
        words.push(match flag.split_once('=') {
            Some((name, value)) if names_a_file(name, value) => {
                format!("{name}=%d/{}", credentials.add(Path::new(value), spec))
            }
            _ => quote(&flag),
        });
    }
    let name = unit(component);
    let manifest = spec.node.paths.manifest(component);
    let manifest = quote_setting(&manifest.display().to_string());
    let before = order(component, spec);
    // A changed comment changes the unit, and so restarts the service.
    let trust = static_pods::trust(component, facts).map_or(String::new(), |trust| format!("# Authorities: {trust}\n"));
    let text = format!(
        "# Written by roost; your own settings go into {name}.d/*.conf.\n\
         {trust}\
         [Unit]\n\
         Description=Kubernetes: {component}\n\
         Documentation={}\n\
         Wants=network-online.target {USERS}\n\
         After=network-online.target {USERS}{before}\n\
         AssertPathExists=!{manifest}\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         {}\
         ExecStart={}\n\
         {}\
         User={}\n\
         Restart=always\n\
         RestartSec=1\n\
         OOMScoreAdjust=-997\n\
         LimitNOFILE=1048576\n\
         {}\
         {SANDBOX}\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        documentation(component),
        kind(component),
        words.join(" \\\n  "),
        credentials.render(),
        user(component),
        writable(component, spec),
    );
    Ok(Service { unit: text, reads: credentials.0.into_keys().collect() })
}

fn documentation(component: Component) -> String {
    match component {
        Component::Etcd => "https://etcd.io/docs/".to_owned(),
        _ => format!("https://kubernetes.io/docs/reference/command-line-tools-reference/{component}/"),
    }
}

/// What a component is started after, and therefore stopped before: an API server whose etcd is gone takes long to
/// exit. Order only, no `Wants=`: a unit that is restarted after a failure would otherwise start one that is being
/// stopped.
fn order(component: Component, spec: &Spec) -> String {
    match component {
        Component::ApiServer if spec.cluster.external_etcd.is_none() => format!(" {}", unit(Component::Etcd)),
        Component::Etcd | Component::ApiServer => String::new(),
        Component::ControllerManager | Component::Scheduler | Component::CloudControllerManager => {
            format!(" {}", unit(Component::ApiServer))
        }
    }
}

/// etcd and the API server notify systemd when they are ready. A member of etcd may have to wait for the others, or for
/// a copy of a large database; a start timeout would only restart that.
fn kind(component: Component) -> &'static str {
    match component {
        Component::Etcd => "Type=notify\nTimeoutStartSec=infinity\n",
        Component::ApiServer => "Type=notify\nTimeoutStartSec=300\nTimeoutStopSec=30\n",
        _ => "Type=exec\nTimeoutStopSec=30\n",
    }
}

/// Folders that a component may write.
fn writable(component: Component, spec: &Spec) -> String {
    if component == Component::Etcd {
        let folders = etcd_folders(spec);
        return folders.iter().map(|path| format!("ReadWritePaths={}\n", quote_path(path))).collect();
    }
    let set = spec.cluster.audit().filter(|_| component == Component::ApiServer).map(|audit| audit.log.as_path());
    let flag =
        spec.cluster.extra_args.get(component.name()).and_then(|flags| flags.get("audit-log-path")).map(Path::new);
    let folder = flag.or(set).and_then(|path| path.parent()?.strip_prefix("/var/log").ok());
    match folder.filter(|folder| !folder.as_os_str().is_empty()) {
        // systemd creates it, owned by the user of the service.
        Some(folder) => format!("LogsDirectory={}\nLogsDirectoryMode=0750\n", quote_path(folder)),
        None => String::new(),
    }
}

fn quote_path(path: &Path) -> String {
    let text = quote_setting(&path.display().to_string());
    if text.contains([' ', '\t', '"', '\\']) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text
    }
}

/// True when a flag names one file that the component reads. Upstream's flags for folders, sockets and logs have other
/// suffixes; paths below /run/credentials were passed by a drop-in.
fn names_a_file(flag: &str, value: &str) -> bool {
    let endings = ["file", "kubeconfig", "config", "-certificate", "-key", "-authority"];
    let path = Path::new(value);
    let ours = path.is_absolute() && !value.contains(',') && !path.starts_with("/run/credentials");
    ours && endings.iter().any(|ending| flag.ends_with(ending))
}

/// Files, and the credential names under which systemd passes them.
#[derive(Default)]
struct Credentials(BTreeMap<PathBuf, String>);

impl Credentials {
    fn add(&mut self, path: &Path, spec: &Spec) -> String {
        if let Some(name) = self.0.get(path) {
            return name.clone();
        }
        let paths = &spec.node.paths;
        let below = path.strip_prefix(&paths.pki).or_else(|_| path.strip_prefix(&paths.kubernetes));
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let text = below.unwrap_or(path).display().to_string();
        let base: String = text.trim_start_matches('/').chars().map(plain).collect();
        let mut name = base.clone();
        let mut number: u32 = 1;
        while self.0.values().any(|taken| *taken == name) {
            number = number.saturating_add(1);
            name = format!("{base}.{number}");
        }
        self.0.insert(path.to_owned(), name.clone());
        name
    }

    fn render(&self) -> String {
        let line = |(path, name): (&PathBuf, &String)| {
            format!("LoadCredential={name}:{}\n", quote_setting(&path.display().to_string()))
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cluster::{HostDefaults, Layers, derive_spec};

    fn spec(settings: &[(&str, &str)]) -> Spec {
        let programs = "etcd=/b/etcd,kube-apiserver=/b/api,kube-controller-manager=/b/cm,kube-scheduler=/b/s,\
                        cloud-controller-manager=/b/cloud";
        let mut layers = Layers::defaults();
        let all = [("mode", "systemd"), ("components.source", "host"), ("components.binaries", programs)];
        for (name, value) in all.iter().chain(settings) {
            assert_eq!(layers.add_flag(name, value), []);
        }
        let host = HostDefaults { name: "n1".into(), address: Some([10, 0, 0, 1].into()), program: "/b".into() };
        derive_spec(&layers, &host).unwrap()
    }

    fn facts() -> Facts {
        Facts::at(jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_flag_of_the_static_pod_is_in_the_unit_and_no_key_is_named_by_its_own_path() {
        let spec = spec(&[]);
        for component in Component::ALL {
            let service = render(component, &spec, &facts()).unwrap();
            let start = service.unit.split("ExecStart=").nth(1).unwrap().split("LoadCredential").next().unwrap();
            let start = start.replace('"', "");
            for flag in static_pods::arguments(component, &spec, &facts()).unwrap() {
                let (name, value) = flag.split_once('=').unwrap();
                assert!(start.contains(&format!("  {name}=")), "{component} lacks {name}");
                assert!(value.starts_with("/etc/") || start.contains(value), "{component} lacks {flag}");
            }
            assert!(!start.contains("/etc/kubernetes"), "{start}");
            assert!(user(component).len() <= 31);
            assert!(service.reads.iter().all(|path| path.starts_with("/etc/kubernetes")), "{:?}", service.reads);
        }
    }

    #[test]
    fn files_of_the_users_own_flags_are_handed_over_and_names_never_clash() {
        let args = "[kube-apiserver]\nencryption-provider-config = \"/root/a b/100%.yaml\"\n\
                    audit-log-path = \"/var/log/kubernetes/audit.log\"\noidc-ca-file = \"/etc/kubernetes/pki/etcd-ca.crt\"\n\
                    tls-sni-cert-key = \"/a.crt,/a.key\"\naudit-policy-file = \"/run/credentials/u/p.yaml\"";
        let text = render(Component::ApiServer, &spec(&[("args", args)]), &facts()).unwrap().unit;
        for line in [
            "--encryption-provider-config=%d/root-a-b-100-.yaml",
            "LoadCredential=root-a-b-100-.yaml:/root/a b/100%%.yaml",
            "--etcd-cafile=%d/etcd-ca.crt",
            "--oidc-ca-file=%d/etcd-ca.crt.2",
            "LogsDirectory=kubernetes",
            "--audit-log-path=/var/log/kubernetes/audit.log",
            "--tls-sni-cert-key=/a.crt,/a.key",
            "--audit-policy-file=/run/credentials/u/p.yaml",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_user_of_a_clouds_manager_is_made_only_in_clouds() {
        let name = "roost-cloud-controller-manager";
        assert!(!render_users(&spec(&[])).contains(name));
        assert!(render_users(&spec(&[("cluster.cloud_provider", "external")])).contains(name));
    }

    #[test]
    fn what_is_found_wins_over_the_settings() {
        let spec = spec(&[]);
        let mut found = facts();
        assert_eq!(place(Component::Etcd, &spec, &found), ControlPlaneMode::Systemd);
        found.pods.insert(Component::Etcd);
        assert_eq!(place(Component::Etcd, &spec, &found), ControlPlaneMode::StaticPods);
    }

    #[test]
    fn a_log_of_etcd_on_a_disk_of_its_own_may_be_written() {
        let text =
            render(Component::Etcd, &spec(&[("args", "[etcd]\nwal-dir = \"/fast disk/wal\"")]), &facts()).unwrap().unit;
        assert!(text.contains("ReadWritePaths=/var/lib/etcd\nReadWritePaths=\"/fast disk/wal\"\n"), "{text}");
    }
}
