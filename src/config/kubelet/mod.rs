//! The kubelet's settings: flags over drop-ins over file over defaults.
//!
//! [`load()`] is the front door. [`fields`] is the table of upstream's `KubeletConfiguration`, [`fates`] says what becomes of
//! those that are not carried out, [`gates`] of feature gates, [`document`] reads and merges files, [`validate`] has upstream's
//! rules for values, [`spec`] types the result.

pub mod document;
pub mod duration;
pub mod fates;
pub mod fields;
mod findings;
mod flags;
mod gate_table;
mod gates;
mod load;
mod spec;
mod validate;
mod words;

pub use flags::Flags;
pub use gates::features;
pub use load::{Error, check_overlay, load};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod validate_tests;
#[cfg(test)]
mod walk_tests;
