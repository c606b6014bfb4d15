//! Roost: a Kubernetes bootstrapper and a kubelet for systemd and NixOS.
//!
//! Data flows one way: manifest → pod → plan → calls → observation → status. Each room describes its content in its own
//! `mod.rs`; ARCHITECTURE.md is the map with the rules between the rooms.

// Input from outside must neither crash the process nor wrap around: sums, casts, indices and divisions define what
// happens to values that do not fit. Calls that may hang are not made on the runtime's thread (see `offload`). Tests
// may panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::get_unwrap,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unchecked_time_subtraction,
        clippy::unimplemented,
        clippy::unreachable
    )
)]

pub mod adapters;
pub mod agent;
pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod core;
pub mod cri;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod kubelet;
pub mod offload;
pub mod ports;
pub mod supervise;
pub mod telemetry;
