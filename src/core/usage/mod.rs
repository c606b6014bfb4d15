//! From the text of cgroup and proc files to usage: parsing and arithmetic, no I/O.

mod cpu_list;
mod derive;
mod disk_stats;
mod files;
mod net_dev;
mod open_files;
mod runtime_stats;

pub use cpu_list::{count_cpu_lines, count_cpus};
pub use derive::{Rate, derive_container, derive_cpu, derive_io, derive_memory, derive_network, derive_swap};
pub use disk_stats::parse_disk_stats;
pub use files::{CgroupFiles, parse_sample_v1, parse_sample_v2};
pub use net_dev::parse_net_dev;
pub use open_files::parse_open_files_limit;
pub use runtime_stats::apply_runtime_stats;
