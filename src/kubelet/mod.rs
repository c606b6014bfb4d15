//! Driver of the kubelet: long tasks that observe, ask the core for a plan, and execute it.
//!
//! [`pods::start`] owns the pod table. Its inputs: desired sets of the sources, hints of the runtime, probe changes,
//! object changes, orders through [`crate::ports::PodControl`]. Its outputs: CRI calls (by one worker per pod) and
//! statuses to a [`crate::ports::StatusSink`]; everybody else reads pods through [`crate::ports::Pods`].

pub mod admission;
pub mod api;
pub mod credentials;
pub mod events;
pub mod eviction;
pub mod hooks;
pub mod image_gc;
pub mod images;
pub mod logs;
pub mod node;
pub mod pods;
pub mod probes;
pub mod report;
pub mod server;
pub mod shutdown;
pub mod sources;
pub mod units;
pub mod wiring;
