//! The kubelet's settings: flags over drop-ins over file over defaults.
//!
//! [`load()`] is the entry point. [`fields`] is the table of upstream's `KubeletConfiguration`, [`fates`] says how
//! settings that are not implemented are treated, [`gates`] does so for feature gates, [`document`] parses and merges
//! files, [`validate`] has upstream's rules for values, [`spec`] types the result.

pub mod document;
pub mod duration;
pub mod fates;
pub mod fields;
mod findings;
mod flags;
mod gates;
mod load;
mod spec;
mod validate;
mod words;

pub use flags::Flags;
pub use gates::features;
pub use load::{Draft, Error, check_overlay, load, read};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod validate_tests;
#[cfg(test)]
mod walk_tests;
