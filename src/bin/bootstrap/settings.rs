//! Reads the settings: file, environment and flags, on top of what the host reports.

use std::path::{Path, PathBuf};

use roost::adapters::default_address::default_address;
use roost::bootstrap::kept::{JOINED_FILE, KEPT_FILE, VERSION_FILE, keep_settings, keep_version};
use roost::cli::args::SettingsArgs;
use roost::cli::output::complain;
use roost::config::cluster::{
    AfterUpgrade, Fault, HostDefaults, Layers, check_upgraded, derive_spec, set_upgrade_target,
};
use roost::core::model::Version;
use roost::core::model::spec::Spec;
use roost::ports::bootstrap::NodeFiles;

use crate::failure::Failure;

/// Read if no file is given and this one exists.
const DEFAULT_FILE: &str = "/etc/roost/cluster.toml";
/// Files that say something of the settings and win over what `init` was given.
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
    faults.extend(set_upgrade_target(&mut layers, version, &[KEPT_FILE, JOINED_FILE, VERSION_FILE].map(Path::new)));
    validated(&layers, faults)
}

/// Keeps the version that this node has now, for later commands; reports if the user's file has another one.
pub fn record_version(files: &dyn NodeFiles, args: &SettingsArgs, version: &str) -> Result<(), Failure> {
    keep_version(files, version)?;
    match check_upgraded(read(args)?, version, Path::new(KEPT_FILE)).map_err(|faults| configuration(&faults))? {
        AfterUpgrade::Agrees => {}
        AfterUpgrade::Rewrite(settings) => keep_settings(files, &settings)?,
        AfterUpgrade::Disagrees { path, line, version: configured } => complain(&format!(
            "{}:{line} still says {configured}: change it to {version}, or a later command takes it as the target version",
            path.display()
        )),
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
