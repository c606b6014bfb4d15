//! Roost: a Kubernetes bootstrapper and a kubelet for systemd and NixOS.
//!
//! Data flows one way: manifest → pod → plan → calls → observation → status. Each room below says in
//! its own `mod.rs` what lives there; ARCHITECTURE.md is the map with the rules between the rooms.

// What may hang is not called on the thread of the runtime; see `offload`.
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod adapters;
pub mod agent;
pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod core;
pub mod cri;
pub mod kubelet;
pub mod offload;
pub mod ports;
pub mod telemetry;
