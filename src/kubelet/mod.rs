//! Driver of the kubelet: long tasks that observe, ask the core for a plan, and execute it.
//!
//! [`run::start`] owns the pod table. Its inputs: desired sets of the sources, hints of the runtime, probe changes,
//! object changes, orders through [`crate::ports::PodControl`]. Its outputs: CRI calls (by one worker per pod) and
//! statuses to a [`crate::ports::StatusSink`]; everybody else reads pods through [`crate::ports::Pods`].

pub mod api_pods;
mod driver;
mod ending;
mod facts;
pub mod admission;
pub mod eviction;
pub mod credentials;
pub mod events;
pub mod hooks;
pub mod node;
pub mod mirrors;
pub mod report;
pub mod image_gc;
pub mod images;
mod inbox;
mod leftovers;
pub mod logs;
mod observe;
mod pass;
pub mod probes;
mod resize;
pub mod run;
mod sandbox;
pub mod server;
pub mod shutdown;
pub mod sources;
mod start;
mod stop;
mod table;
mod tell;
mod uses;
pub mod wiring;
mod worker;

pub use table::Table;
