//! Reads the settings: file, environment and flags, over what the host itself says.

use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use roost::cli::bootstrap::SettingsArgs;
use roost::config::cluster::{Fault, HostDefaults, Layers, derive_spec};
use roost::core::model::spec::Spec;

use crate::Failure;

/// Read when no file is named and it is there.
const DEFAULT_FILE: &str = "/etc/roost/cluster.toml";
/// What the last `init` was given, for later commands and timers; read when there is no other file.
pub const KEPT_FILE: &str = "/var/lib/roost/cluster.toml";
/// What the cluster said of itself when this node joined; beneath everything but the defaults.
pub const JOINED_FILE: &str = "/var/lib/roost/joined.toml";

/// The values of all settings with their origins.
pub fn read(args: &SettingsArgs) -> Result<Layers, Failure> {
    let (layers, faults) = gather(args)?;
    if faults.is_empty() { Ok(layers) } else { Err(configuration(&faults)) }
}

/// The validated settings. Faults of single values and of all together are reported at once.
pub fn spec(args: &SettingsArgs) -> Result<Spec, Failure> {
    let (layers, mut faults) = gather(args)?;
    match derive_spec(&layers, &host()) {
        Ok(spec) if faults.is_empty() => Ok(spec),
        Ok(_) => Err(configuration(&faults)),
        Err(more) => {
            faults.extend(more);
            Err(configuration(&faults))
        }
    }
}

fn gather(args: &SettingsArgs) -> Result<(Layers, Vec<Fault>), Failure> {
    let mut layers = Layers::defaults();
    let mut faults = Vec::new();
    let joined = Path::new(JOINED_FILE);
    if joined.exists() {
        faults.extend(layers.add_file(joined, &read_file(joined)?));
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
