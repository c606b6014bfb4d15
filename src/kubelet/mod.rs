//! Driver of the kubelet: long tasks that observe, ask the core for a plan, and execute it.
