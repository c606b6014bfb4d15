//! Driver of the kubelet: long tasks that observe, ask the core for a plan, and execute it.
//!
//! [`pods`] owns the pod table: nothing else starts or ends a container. In: the full sets of [`sources`] (static pods by way
//! of [`units`]), hints of the runtime, results of [`probes`], changed objects, and orders through [`pods::PodControl`] (from
//! [`eviction`] and [`shutdown`]). Out: calls to the runtime, by one worker for each pod, and statuses to a
//! [`pods::StatusSink`], which [`report`] brings to the API server. Everybody else ([`server`], [`logs`], [`images`], [`node`])
//! reads pods through [`crate::ports::kubelet::Pods`]. [`api`] is the copy of what the API server says of this node's pods.
//! [`wiring`] puts the rooms together and gives them real adapters.

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
