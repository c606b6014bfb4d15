//! The Node object: derives its registration and status from settings and observations (docs/contract.md, kubelet 5.1).

mod conditions;
mod devices;
mod resources;
mod runtime_health;
mod startup;
mod status;

pub use conditions::{Health, derive_conditions};
pub use devices::{is_extended, offered_devices, render_device_withdrawal};
pub use resources::{Resources, derive_resources, limits_of_all_pods, limits_of_services};
pub use runtime_health::{PATIENCE, RuntimeHealth, was_ready};
pub use startup::{NodeStartup, Readiness, Registration};
pub use status::{
    NodeInputs, RuntimeView, derive_addresses, derive_node, derive_status, name_to_look_up, render_metadata_patch,
    render_status_patch,
};

#[cfg(test)]
mod tests;
