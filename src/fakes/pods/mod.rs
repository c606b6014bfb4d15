//! What pods live on, in memory: a runtime, a disk and an API server that outlive the kubelets of a test.
//!
//! A test makes one [`PodHost`], and of it one [`Life`] per kubelet process; the life is every port that pods need. It can
//! end at any call ([`Fault`]), and then nothing that its kubelet still does has an effect. The host judges meanwhile:
//! what must never happen to a pod is written down as a [`PodHost::sins`].

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
