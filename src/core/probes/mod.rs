//! When to probe which container, which check to make, and what a series of results means.
//!
//! [`PodProbes`] is the state of one pod's probes: it receives the running containers, returns the probes that are due
//! and receives their results. Time is a [`std::time::Duration`] since any fixed point in time. Rules: upstream
//! `pkg/kubelet/prober/worker.go`.

mod http;
mod pod;
mod probe;
mod request;

pub use http::{PortError, port_of, render_http_get};
pub use pod::{DueProbe, PodProbes};
pub use probe::{Probe, ProbeKind, Timing};
pub use request::{ProbeError, UNANSWERED_RUNS, derive_check};
