//! The environment of pods, in memory: a runtime, a disk and an API server that outlive the kubelets of a test.
//!
//! A test creates one [`PodHost`], and from it one [`Life`] per kubelet process; the life implements every port that
//! pods need. It can be killed at any call ([`Fault`]), and then its kubelet has no effect any more. The host checks
//! invariants meanwhile: violations are recorded as [`PodHost::sins`].

mod clock;
mod disk;
mod disk_ports;
mod fault;
mod gate;
mod host;
mod parts;
mod records;
mod runtime;
mod state;
mod statuses;

pub use clock::wall;
pub use fault::Fault;
pub use gate::Life;
pub use host::PodHost;
pub use records::{Record, Run};
pub use state::Program;
pub use statuses::Reported;
