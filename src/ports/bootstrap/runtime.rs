//! The container runtime as the bootstrapper uses it.

use crate::ports::node::{RuntimeQueries, RuntimeTeardown};

/// What the bootstrapper needs of the runtime: it looks at pods, and `reset` removes them.
pub trait NodeRuntime: RuntimeQueries + RuntimeTeardown {}

impl<T: RuntimeQueries + RuntimeTeardown> NodeRuntime for T {}
