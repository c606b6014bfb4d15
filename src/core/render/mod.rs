//! From a pod to the runtime's configurations of its sandbox and containers, as values.
//!
//! The caller does the I/O in between: it reads what [`env::references`] lists, passes the contents to [`environment`],
//! has [`sub_paths`] resolved by the volumes port and passes all of it to [`container()`]. The rules come from
//! upstream's `pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/kuberuntime` and `pkg/kubelet/network/dns`.

mod annotations;
mod container;
pub mod dns;
pub mod env;
mod error;
pub mod expand;
mod field;
mod hash;
mod hosts;
mod inputs;
mod mounts;
mod namespaces;
pub mod resources;
mod sandbox;
mod security;
mod service_env;

pub use container::container;
pub use dns::{check_resolv_conf, parse_resolv_conf, uses_node_resolver};
pub use env::environment;
pub use error::Error;
pub use expand::expand;
pub use hash::container_hash;
pub use hosts::{etc_hosts, hostname_and_domain};
pub use inputs::{ContainerInputs, DeviceGrant, ImageUser, NodeContext, PodContext, ResolvConf, Warning};
pub use mounts::{SubPath, sub_paths};
pub use namespaces::network_mode;
pub use sandbox::{Sandbox, log_directory, sandbox};
