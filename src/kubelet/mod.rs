//! Driver of the kubelet: long tasks that observe, ask the core for a plan, and execute it.
//!
//! [`run::start`] owns the pod table. Its inputs: desired sets of the sources, hints of the runtime, probe changes,
//! object changes, orders through [`crate::ports::PodControl`]. Its outputs: CRI calls (by one worker per pod) and
//! statuses to a [`crate::ports::StatusSink`]; everybody else reads pods through [`crate::ports::Pods`].

pub mod admission;
pub mod api_pods;
mod calls;
pub mod credentials;
mod driver;
mod ending;
pub mod events;
pub mod eviction;
mod facts;
pub mod hooks;
pub mod image_gc;
pub mod images;
mod inbox;
mod leftovers;
pub mod logs;
pub mod mirrors;
pub mod node;
pub(crate) mod observe;
mod outcome;
mod pass;
pub mod probes;
pub mod pulse;
mod recall;
pub mod report;
mod resize;
pub mod run;
mod sandbox;
pub mod server;
pub mod shutdown;
pub mod sources;
mod start;
mod start_counts;
mod starts;
mod statics;
mod stop;
mod swap;
mod table;
mod tell;
mod tidy;
pub mod units;
mod uses;
mod weights;
pub mod wiring;
mod worker;

pub use table::Table;
