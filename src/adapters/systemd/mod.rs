//! systemd over D-Bus.

mod inhibit;
mod units;

pub use inhibit::Logind;
pub use units::Systemd;
