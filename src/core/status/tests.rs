//! Tables of the status.
