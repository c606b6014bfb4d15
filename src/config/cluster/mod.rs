//! cluster.toml: settings of a cluster and of this node.
//!
//! [`schema`] is the table of settings, [`layers`] merges flags over environment over file over defaults,
//! [`derive_spec`] derives the validated [`Spec`](crate::core::model::spec::Spec) from the result.

mod derive;
mod joined;
pub mod layers;
pub mod schema;
mod version;

pub use derive::{HostDefaults, derive_spec};
pub use joined::render_joined;
pub use layers::{Fault, Layers, Origin};
pub use version::{AfterUpgrade, check_upgraded, set_upgrade_target};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk_tests;
