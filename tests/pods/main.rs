//! The kubelet's guarantees for a pod, on an in-memory host: its lifecycle, and that no fault and no crash of the
//! kubelet at any call to the runtime breaks it.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod burst;
mod calls;
mod extremes;
mod life;
mod metrics;
mod panics;
mod restart;
mod statics;
mod swap;
mod world;
