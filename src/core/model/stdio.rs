//! Streams of an exec or attach.

/// The streams that an exec or attach connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStdio {
    /// True to connect standard input.
    pub stdin: bool,
    /// True to connect standard output.
    pub stdout: bool,
    /// True to connect standard error.
    pub stderr: bool,
    /// True to allocate a terminal.
    pub tty: bool,
}
