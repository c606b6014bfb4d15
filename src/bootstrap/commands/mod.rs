//! What each command decides, and in which order it works. The program parses arguments, wires the adapters and prints.

pub mod apply;
pub mod convert;
mod error;
pub mod init;
pub mod join;
pub mod node;
pub mod renew;
pub mod reset;
pub mod rotate;
mod turn;
pub mod upgrade;

pub use error::Error;
