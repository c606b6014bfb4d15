//! Node pressure: thresholds, signals, and who has to go.
