//! The CRI v1 over the runtime's unix socket: [`Cri`] implements the ports of the runtime and `ImageService`.

mod connect;
mod errors;
pub(crate) mod events;
mod images;
mod lost_task;
mod runtime;
mod state;

pub use connect::Cri;
