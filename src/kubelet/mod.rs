//! Driver of the kubelet: long tasks that observe, ask the core for a plan, and execute it.
//!
//! [`pods`] owns the pod table: nothing else starts or stops containers. Inputs: the full sets of [`sources`] (static
//! pods through [`units`]), events of the runtime, results of [`probes`], changed objects, and commands through
//! [`pods::PodControl`] (from [`eviction`] and [`shutdown`]). Outputs: calls to the runtime, by one worker for each pod,
//! and statuses to a [`pods::StatusSink`], which [`report`] sends to the API server. All others ([`server`], [`logs`],
//! [`images`], [`node`]) read pods through [`crate::ports::kubelet::Pods`]. [`api`] is the copy of this node's pods in the
//! API. [`wiring`] connects the rooms and real adapters.

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
pub mod startup;
pub mod units;
pub mod wiring;
