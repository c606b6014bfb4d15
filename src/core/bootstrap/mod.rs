//! From settings to steps: `Spec × Facts → Vec<Step>`, one phase after another.
//!
//! A step describes a wanted state with every argument it needs. The driver checks which steps are already met and
//! prints or applies the others, so a second run has nothing to do, and an interrupted run can be continued.

pub mod api_files;
pub mod arguments;
pub mod authorities;
pub mod cis;
pub mod cluster_configuration;
pub mod declared_units;
pub mod discovery;
pub mod dns_query;
pub mod drill;
pub mod facts;
pub mod hardening;
pub mod jws;
pub mod key_handover;
pub mod kubeconfig;
pub mod kubelet_ca;
pub mod kubelet_requests;
pub mod leftovers;
pub mod membership;
pub mod node_status;
pub mod objects;
mod phase;
pub mod phases;
pub use crate::core::model::pki;
mod pod_parts;
pub mod preflight;
pub mod restore_pod;
pub mod rotation;
pub mod sandbox;
pub mod services;
pub mod snapshots;
pub mod static_pods;
pub mod step;
pub mod token;
pub mod units;
pub mod upgrade;
pub mod workflow;

pub use facts::{Facts, Joining};
pub use phase::{Phase, PhaseError};
pub use step::Step;
