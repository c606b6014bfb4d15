//! Reads the settings: file, environment and flags, on top of what the host reports.

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

/// Read if no file is given and this one exists.
const DEFAULT_FILE: &str = "/etc/roost/cluster.toml";
/// The settings of the last `init`, for later commands and timers; read if there is no other file.
pub const KEPT_FILE: &str = "/var/lib/roost/cluster.toml";
/// The version that the last upgrade reached; overrides only the kept settings and the defaults.
pub const VERSION_FILE: &str = "/var/lib/roost/version.toml";

/// Key of the setting that an upgrade changes.
const VERSION: &str = "cluster.kubernetes_version";

/// The user's settings file, which overrides what `init` was given.
pub fn own_file(args: &SettingsArgs) -> Option<PathBuf> {
    args.config.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
}

/// The values of all settings with their sources.
pub fn read(args: &SettingsArgs) -> Result<Layers, Failure> {
    let (layers, faults) = gather(args)?;
    if faults.is_empty() { Ok(layers) } else { Err(configuration(&faults)) }
}

/// The validated settings. All faults, of single values and of combinations, are reported at once.
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

/// The settings with the target version of an upgrade: the argument, else the user's setting, else the newest version
/// that this program knows. The version that init, join or an upgrade recorded is the current one, not the target.
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

/// Records this node's current version for later commands; reports if the user's file still has another one.
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

/// The source address of the default route. Connecting a datagram socket selects it without sending anything; the
/// addresses are reserved for documentation.
fn default_address() -> Option<IpAddr> {
    let towards = |local: &str, remote: &str| {
        let socket = UdpSocket::bind(local).ok()?;
        socket.connect(remote).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
    };
    towards("0.0.0.0:0", "192.0.2.1:9").or_else(|| towards("[::]:0", "[2001:db8::1]:9"))
}
