//! Reads the settings: file, environment and flags, over what the host itself says.

use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use roost::bootstrap::Ports;
use roost::cli::args::SettingsArgs;
use roost::cli::output::complain;
use roost::config::cluster::{Fault, HostDefaults, Layers, Origin, derive_spec};
use roost::core::model::Version;
use roost::core::model::kubelet_spec::KUBERNETES_VERSION;
use roost::core::model::spec::Spec;

pub use roost::core::bootstrap::units::JOINED_FILE;

use crate::failure::Failure;

/// Read when no file is named and it is there.
const DEFAULT_FILE: &str = "/etc/roost/cluster.toml";
/// What the last `init` was given, for later commands and timers; read when there is no other file.
pub const KEPT_FILE: &str = "/var/lib/roost/cluster.toml";
/// The version that an upgrade brought this node to; beneath everything but that and the defaults.
pub const VERSION_FILE: &str = "/var/lib/roost/version.toml";

/// The setting that an upgrade changes.
const VERSION: &str = "cluster.kubernetes_version";

/// Files that say something of the settings and win over what `init` was given.
pub fn own_file(args: &SettingsArgs) -> Option<PathBuf> {
    args.config.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
}

/// The values of all settings with their origins.
pub fn read(args: &SettingsArgs) -> Result<Layers, Failure> {
    let (layers, faults) = gather(args)?;
    if faults.is_empty() { Ok(layers) } else { Err(configuration(&faults)) }
}

/// The validated settings. Faults of single values and of all together are reported at once.
pub fn spec(args: &SettingsArgs) -> Result<Spec, Failure> {
    let (layers, faults) = gather(args)?;
    validated(&layers, faults)
}

fn validated(layers: &Layers, mut faults: Vec<Fault>) -> Result<Spec, Failure> {
    match derive_spec(layers, &host()) {
        Ok(spec) if faults.is_empty() => Ok(spec),
        Ok(_) => Err(configuration(&faults)),
        Err(more) => {
            faults.extend(more);
            Err(configuration(&faults))
        }
    }
}

/// The settings with the version that an upgrade is for: the one given, else the one that the user set, else the newest
/// that this program knows. What init, join or an upgrade noted down is where the cluster is, not where it shall go.
pub fn spec_to_upgrade(args: &SettingsArgs, version: Option<Version>) -> Result<Spec, Failure> {
    let (mut layers, mut faults) = gather(args)?;
    let noted = |path: &Path| [KEPT_FILE, JOINED_FILE, VERSION_FILE].map(Path::new).contains(&path);
    let wanted = match (version, layers.origin(VERSION)) {
        (Some(version), _) => Some(version.to_string()),
        (None, Origin::File(path, ..)) if noted(&path) => Some(KUBERNETES_VERSION.to_owned()),
        (None, _) => None,
    };
    if let Some(wanted) = wanted {
        faults.extend(layers.add_flag(VERSION, &wanted));
    }
    validated(&layers, faults)
}

/// Notes the version that this node has now, for later commands; reports if the user's file still has another one.
pub fn record_version(ports: &Ports, args: &SettingsArgs, version: &str) -> Result<(), Failure> {
    let text = format!("# Written by `bootstrap upgrade`.\n[cluster]\nkubernetes_version = \"{version}\"\n");
    ports.files.write(Path::new(VERSION_FILE), text.as_bytes(), 0o644)?;
    let mut layers = read(args)?;
    let told = layers.value(VERSION).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    match layers.origin(VERSION) {
        _ if told == version => {}
        Origin::File(path, ..) if path == Path::new(KEPT_FILE) => {
            let faults = layers.add_flag(VERSION, version);
            if !faults.is_empty() {
                return Err(configuration(&faults));
            }
            ports.files.write(&path, layers.print().as_bytes(), 0o600)?;
        }
        Origin::File(path, line, _) => complain(&format!(
            "{}:{line} still says {told}: change it to {version}, or a later command takes it as the target version",
            path.display()
        )),
        Origin::Flag | Origin::Environment(_) | Origin::Default => {}
    }
    Ok(())
}

fn gather(args: &SettingsArgs) -> Result<(Layers, Vec<Fault>), Failure> {
    let mut layers = Layers::defaults();
    let mut faults = Vec::new();
    for beneath in [JOINED_FILE, VERSION_FILE].map(Path::new).into_iter().filter(|path| path.exists()) {
        faults.extend(layers.add_file(beneath, &read_file(beneath)?));
    }
    let file = match &args.config {
        Some(path) => Some(path.clone()),
        None => [DEFAULT_FILE, KEPT_FILE].map(PathBuf::from).into_iter().find(|path| path.exists()),
    };
    if let Some(path) = file {
        faults.extend(layers.add_file(&path, &read_file(&path)?));
    }
    faults.extend(layers.add_environment(&|name| std::env::var(name).ok()));
    for (name, value) in args.flags() {
        faults.extend(layers.add_flag(&name, &value));
    }
    Ok((layers, faults))
}

fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Configuration(format!("{}: {error}", path.display())))
}

fn configuration(faults: &[Fault]) -> Failure {
    Failure::Configuration(faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))
}

fn host() -> HostDefaults {
    HostDefaults {
        name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        address: default_address(),
        program: std::env::current_exe().unwrap_or_else(|_| Path::new("/usr/local/bin/bootstrap").to_owned()),
    }
}

/// The address that the default route leaves from. Connecting a datagram socket chooses it and sends nothing; the
/// addresses are those set aside for documentation.
fn default_address() -> Option<IpAddr> {
    let towards = |local: &str, remote: &str| {
        let socket = UdpSocket::bind(local).ok()?;
        socket.connect(remote).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
    };
    towards("0.0.0.0:0", "192.0.2.1:9").or_else(|| towards("[::]:0", "[2001:db8::1]:9"))
}
