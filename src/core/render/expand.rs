//! `$(VAR)` expansion in environment values, commands and sub-paths (upstream `third_party/forked/golang/expansion`).
//!
//! Values that refer to others can grow with each step (`B=$(A)$(A)`, `C=$(B)$(B)`, …): limits keep them within what a
//! process can receive.

/// The longest result of an expansion, in bytes: the kernel accepts no longer argument or variable (execve(2),
/// `MAX_ARG_STRLEN`).
pub const MAX_EXPANDED: usize = 128 << 10;

/// The total size of all arguments, or all variables, of a container, in bytes: no process can start with more
/// (execve(2): three quarters of 8 MiB, whatever the stack limit is).
pub const MAX_TOTAL: usize = 6 << 20;

/// A text would be longer than a process can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is longer than {0} bytes after its references are expanded, which is more than a process can be given")]
pub struct TooLong(pub usize);

/// The remainder of a limit in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: usize,
    left: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn of(limit: usize) -> Self {
        Self { limit, left: limit }
    }

    /// Subtracts some bytes.
    ///
    /// # Errors
    /// More bytes than remain.
    pub fn take(&mut self, bytes: usize) -> Result<(), TooLong> {
        self.left = self.left.checked_sub(bytes).ok_or(TooLong(self.limit))?;
        Ok(())
    }
}

/// Replaces `$(NAME)` by the result of `lookup`; `$$` becomes one dollar sign, an unknown reference is kept.
///
/// # Errors
/// The result exceeds [`MAX_EXPANDED`]. A text without references may have any length.
pub fn expand<'a>(input: &str, mut lookup: impl FnMut(&str) -> Option<&'a str>) -> Result<String, TooLong> {
    let limit = MAX_EXPANDED.max(input.len());
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    // At most one failing search for `)`: a text with many openings must not be read to its end for each.
    let mut closes = true;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(named) = rest.strip_prefix('(').filter(|_| closes) {
            if let Some((name, after)) = named.split_once(')') {
                match lookup(name) {
                    Some(value) => out.push_str(value),
                    None => out.extend(["$(", name, ")"]),
                }
                rest = after;
            } else {
                // An opening parenthesis without a closing one is plain text.
                closes = false;
                out.push('$');
            }
        } else {
            // Not a reference.
            out.push('$');
        }
        if out.len() > limit {
            return Err(TooLong(MAX_EXPANDED));
        }
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion_follows_upstreams_table() {
        let lookup = |name: &str| match name {
            "A" => Some("a"),
            "EMPTY" => Some(""),
            "(B" => Some("b"),
            _ => None,
        };
        for (input, expected) in [
            ("$(A)", "a"),
            ("x$(A)y$(A)", "xaya"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$a"),
            ("$(NONE)", "$(NONE)"),
            ("$(EMPTY)-", "-"),
            ("$A", "$A"),
            ("$(A", "$(A"),
            ("$((B)", "b"),
            ("$", "$"),
            ("a$", "a$"),
            ("$é$(A)", "$éa"),
            ("--$()--", "--$()--"),
            ("$(A$$(A$", "$(A$(A$"),
        ] {
            assert_eq!(expand(input, lookup).as_deref(), Ok(expected), "{input}");
        }
    }

    #[test]
    fn openings_without_an_end_are_read_once() {
        let openings = "$(".repeat(512 << 10);
        assert_eq!(expand(&openings, |_| None), Ok(openings.clone()));
    }

    #[test]
    fn what_grows_beyond_a_processs_limit_is_refused() {
        let value = "x".repeat(1 << 10);
        let of = |count: usize| expand(&"$(A)".repeat(count), |_| Some(&value)).map(|text| text.len());
        assert_eq!(of(128), Ok(MAX_EXPANDED));
        assert_eq!(of(129), Err(TooLong(MAX_EXPANDED)));
        let long = "y".repeat(1 << 20);
        assert_eq!(expand(&long, |_| None), Ok(long.clone()), "nothing was replaced");
    }
}
