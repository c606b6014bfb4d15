//! One file per phase: what it wants, as steps.

pub mod certs;
