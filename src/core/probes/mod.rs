//! When to probe which container, what to ask, and what a run of answers means.
//!
//! [`PodProbes`] is the state of one pod's probes: it takes what runs, gives the runs that are due and takes their
//! answers. Time is a [`std::time::Duration`] since any fixed moment. Rules: upstream `pkg/kubelet/prober/worker.go`.

mod http;
mod pod;
mod probe;
mod request;

pub use http::{PortError, port_of, render_http_get};
pub use pod::{DueProbe, PodProbes};
pub use probe::{Probe, ProbeKind, Timing};
pub use request::{ProbeError, UNANSWERED_RUNS, derive_check};
