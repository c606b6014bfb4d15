//! May a pod run on this node? Predicates and preemption.
