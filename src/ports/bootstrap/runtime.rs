//! The container runtime as the bootstrapper uses it.

use crate::ports::node::{RuntimeQueries, RuntimeTeardown};

/// The runtime's functions for the bootstrapper: listing pods, and for `reset` removing them.
pub trait NodeRuntime: RuntimeQueries + RuntimeTeardown {}

impl<T: RuntimeQueries + RuntimeTeardown> NodeRuntime for T {}
