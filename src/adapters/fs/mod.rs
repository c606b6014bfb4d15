//! Files of the node.

pub mod atomic;
