//! Container logs: the CRI line format, and filtering for readers.

mod filter;
mod line;
mod rotation;

pub use filter::{Flow, LogFilter, Printer};
pub use line::{Line, LineError, Stream, parse_line};
pub use rotation::{RotationPlan, plan_rotation, rotated_name};
