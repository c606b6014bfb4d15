//! Steps about systemd units.

use std::fmt;
use std::path::PathBuf;

/// What shall be true of a unit. Units are named in full, with their suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitStep {
    /// The unit file or drop-in has this content; systemd is reloaded.
    Write {
        /// Absolute path of the file.
        path: PathBuf,
        /// The whole text, see systemd.unit(5).
        content: String,
    },
    /// The unit file does not exist; systemd is reloaded.
    Remove {
        /// Absolute path of the file.
        path: PathBuf,
    },
    /// The system declares the unit (`node.units = "declared"`); only the system's configuration can make this true.
    Find {
        /// Full name of the unit.
        unit: String,
        /// Whether it has to start with the machine, too.
        enabled: bool,
    },
    /// The unit starts with the machine.
    Enable {
        /// Full name of the unit.
        unit: String,
    },
    /// The unit is active, and was started after the last change of each of these files.
    Start {
        /// Full name of the unit.
        unit: String,
        /// Files that it reads only when it starts.
        configured_by: Vec<PathBuf>,
    },
    /// As `Start`, but a unit that is activating is enough: whether it gets ready depends on others.
    Launch {
        /// Full name of the unit.
        unit: String,
        /// Files that it reads only when it starts.
        configured_by: Vec<PathBuf>,
    },
    /// The unit does not run and does not start with the machine.
    Stop {
        /// Full name of the unit.
        unit: String,
    },
}

impl fmt::Display for UnitStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, .. } => write!(f, "write unit {}", path.display()),
            Self::Remove { path } => write!(f, "remove unit {}", path.display()),
            Self::Find { unit, enabled: false } => write!(f, "check that the system declares {unit}"),
            Self::Find { unit, enabled: true } => write!(f, "check that the system declares and enables {unit}"),
            Self::Enable { unit } => write!(f, "enable {unit}"),
            Self::Start { unit, .. } | Self::Launch { unit, .. } => write!(f, "start {unit}"),
            Self::Stop { unit } => write!(f, "stop and disable {unit}"),
        }
    }
}
