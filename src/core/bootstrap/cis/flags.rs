//! `--name=value` in a manifest, a unit or a command line, by name.

use std::collections::BTreeMap;

/// The flags of a manifest, or of a unit with its drop-ins, where the last command line wins. A value ends at a space:
/// no control examines a flag whose value contains one.
pub fn flags_of(text: &str) -> BTreeMap<String, String> {
    let begin = text.rmatch_indices("ExecStart=").map(|(at, _)| at).find(|at| !is_reset(text, *at));
    flags_among(text.get(begin.unwrap_or_default()..).unwrap_or_default().split_whitespace())
}

/// An empty `ExecStart=` clears the ones before it (systemd.service(5)).
fn is_reset(text: &str, at: usize) -> bool {
    text.get(at..).and_then(|rest| rest.lines().next()).is_some_and(|line| line.trim_end() == "ExecStart=")
}

/// The flags among these words; a flag without a value is `true`.
pub fn flags_among<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let flag = |word: &str| {
        let flag = word.trim_matches(['"', '\'']).strip_prefix("--")?;
        let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
        Some((name.to_owned(), value.to_owned()))
    };
    words.filter_map(flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_and_units_give_the_same() {
        let manifest = "spec:\n  containers:\n  - command:\n    - api\n    - --a=b\n    - '--c=d,e'\n    - --f\n";
        let unit = "[Service]\nExecStart=/b/api \\\n  --a=b \\\n  \"--c=d,e\" --f\nUser=x\n";
        let wanted = [("a", "b"), ("c", "d,e"), ("f", "true")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(flags_of(manifest), wanted.clone().into());
        assert_eq!(flags_of(unit), wanted.into());
    }

    #[test]
    fn the_command_line_of_a_drop_in_takes_the_place_of_the_units() {
        let text = "ExecStart=/b/api --a=b --c=d\n[Service]\nExecStart=\nExecStart=/b/api --a=z\n";
        assert_eq!(flags_of(text), [("a".to_owned(), "z".to_owned())].into());
    }
}
