//! What the kubelet promises of a pod, on a host in memory: its life, and that no fault and no death of the kubelet at any
//! call to the runtime breaks it.

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
