//! Limit of open files of this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::core::model::with_causes;

/// Raises the soft limit to `wanted` files, at most to the hard limit; returns the limit then in force.
///
/// The soft limit of 1024 is for programs that use select(2) (systemd's `file-hierarchy`, "File Descriptor Limits");
/// servers that do not use it are expected to raise it.
pub fn raise_limit(wanted: u64) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let target = wanted.min(hard);
    let counts = if soft >= target {
        soft
    } else {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum: limit.maximum }) {
            Ok(()) => target,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), soft, target, "the open-file limit was not raised");
                soft
            }
        }
    };
    usize::try_from(counts).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_lowered() {
        let before = raise_limit(0);
        assert!(before > 0);
        assert_eq!(raise_limit(1), before);
    }
}
