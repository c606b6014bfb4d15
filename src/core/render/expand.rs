//! `$(VAR)` expansion in environment values, commands and sub-paths (upstream `third_party/forked/golang/expansion`).
//!
//! What refers to others can grow with each step (`B=$(A)$(A)`, `C=$(B)$(B)`, …): a limit holds it at what a process can be
//! given.

/// The longest text that an expansion may grow to, in bytes: the kernel takes no longer argument or variable (execve(2),
/// `MAX_ARG_STRLEN`).
pub const MAX_EXPANDED: usize = 128 << 10;

/// The most that all arguments, or all variables, of a container may be, in bytes: no process is started with more
/// (execve(2): three quarters of 8 MiB, whatever the stack's limit is).
pub const MAX_TOTAL: usize = 6 << 20;

/// Something would be longer than a process can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is longer than {0} bytes after its references are expanded, which is more than a process can be given")]
pub struct TooLong(pub usize);

/// What is left of a limit in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: usize,
    left: usize,
}

impl Budget {
    /// All of it.
    pub fn of(limit: usize) -> Self {
        Self { limit, left: limit }
    }

    /// Takes some of it.
    ///
    /// # Errors
    /// When that is more than is left.
    pub fn take(&mut self, bytes: usize) -> Result<(), TooLong> {
        self.left = self.left.checked_sub(bytes).ok_or(TooLong(self.limit))?;
        Ok(())
    }
}

/// Replaces `$(NAME)` by what `lookup` gives; `$$` stands for one dollar sign, an unknown reference stays as it is.
///
/// # Errors
/// When it grows beyond [`MAX_EXPANDED`]. A text without references is as long as it likes.
pub fn expand<'a>(input: &str, mut lookup: impl FnMut(&str) -> Option<&'a str>) -> Result<String, TooLong> {
    let limit = MAX_EXPANDED.max(input.len());
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    // Looked for at most once in vain: a text of many openings must not be read to its end for each.
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
                // An opening parenthesis without an end is text like any other.
                closes = false;
                out.push('$');
            }
        } else {
            // Of nothing that could be replaced.
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
