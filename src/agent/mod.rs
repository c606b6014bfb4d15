//! Driver of the node agent, the long-running part of `bootstrap`: one small task per duty.

mod authorities;
mod key_handover;
mod kubelet_requests;
mod pod_network;
mod wiring;

pub use authorities::{AuthoritiesPorts, AuthoritiesSettings, run_authorities};
pub use key_handover::run_key_handover;
pub use kubelet_requests::run_kubelet_requests;
pub use pod_network::{PodNetworkSettings, run_pod_network};
pub use wiring::{AgentSettings, BalancerSettings, run};
