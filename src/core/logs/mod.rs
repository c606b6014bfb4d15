//! Container logs: the line format of the CRI, and what a reader's options make of it.

mod filter;
mod line;
mod rotation;

pub use filter::{Flow, LogFilter, Printer};
pub use line::{Line, LineError, Stream, parse_line};
pub use rotation::{RotationPlan, plan_rotation, rotated_name};
