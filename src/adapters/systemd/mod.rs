//! systemd and logind over D-Bus.

mod inhibit;
pub(in crate::adapters) mod jobs;
pub(crate) mod journal;
pub(in crate::adapters) mod manager;
mod pod_units;
mod prepare;
mod units;

pub use inhibit::Logind;
pub use journal::NativeJournal;
pub use pod_units::StaticPodUnits;
pub use units::Systemd;
