//! The kubelet's settings: flags over drop-ins over file over defaults.
//!
//! [`load()`] is the front door. [`fields`] is the table of upstream's `KubeletConfiguration`, [`document`] reads and
//! merges files, [`spec`] types the result.

pub mod document;
pub mod duration;
pub mod fields;
mod load;
mod spec;
mod words;

pub use load::{Error, Flags, load};

#[cfg(test)]
mod tests;
