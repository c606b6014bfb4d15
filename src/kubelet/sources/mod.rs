//! Sources of pods: each is a task that sends its whole [`DesiredSet`](crate::core::model::DesiredSet) whenever it
//! changed, the first one even if it is empty.

pub mod api;
pub mod file;
pub mod http;
