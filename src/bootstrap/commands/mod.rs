//! What each command decides and in which order it works. The program parses, wires the adapters and prints.

pub mod join;
