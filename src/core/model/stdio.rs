//! Streams of an exec or attach.

/// Which streams an exec or attach connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStdio {
    /// Connect standard input.
    pub stdin: bool,
    /// Connect standard output.
    pub stdout: bool,
    /// Connect standard error.
    pub stderr: bool,
    /// Allocate a terminal.
    pub tty: bool,
}
