//! systemd over D-Bus.

mod units;

pub use units::Systemd;
