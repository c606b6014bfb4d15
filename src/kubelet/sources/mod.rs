//! Where pods come from: each source is a task that sends its whole [`DesiredSet`](crate::core::model::DesiredSet)
//! whenever it changed, the first one also when it is empty.

pub mod api;
pub mod file;
pub mod http;
