//! Container logs on disk: reading, following and rotating them.

mod read;
mod rotate;
mod tail;
mod watch;

pub use read::{Liveness, print_log};
pub use rotate::{RotationSettings, rotate_logs};
pub use watch::{Changes, DirectoryWatch, next_change};
