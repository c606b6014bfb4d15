//! `$(VAR)` expansion in environment values, commands and sub-paths (upstream `third_party/forked/golang/expansion`).

/// Replaces `$(NAME)` by what `lookup` gives; `$$` stands for one dollar sign, an unknown reference stays as it is.
pub fn expand<'a>(input: &str, mut lookup: impl FnMut(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|named| named.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            // Of nothing that could be replaced; an opening parenthesis without an end is text like any other.
            out.push('$');
        }
    }
    out.push_str(rest);
    out
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
        ] {
            assert_eq!(expand(input, lookup), expected, "{input}");
        }
    }
}
