//! The difference between two manifests or units of a component: removed and added lines.

use std::collections::BTreeSet;

/// Removed lines with `-`, then added lines with `+`; flags that may hold secrets are masked.
pub fn difference(before: &str, after: &str) -> Vec<String> {
    let (old, new) = (lines(before), lines(after));
    let gone = old.difference(&new).map(|line| format!("- {}", shown(line)));
    let come = new.difference(&old).map(|line| format!("+ {}", shown(line)));
    gone.chain(come).collect()
}

fn lines(text: &str) -> BTreeSet<&str> {
    let bare = |line: &'_ str| !line.is_empty() && !line.starts_with('#');
    let plain = text.lines().map(|line| line.trim().trim_start_matches("- ").trim_end_matches(" \\"));
    plain.filter(|line| bare(line)).collect()
}

/// Flags of a process are visible to everybody on the node, but logs are read by others too.
fn shown(line: &str) -> String {
    let secret = |name: &str| ["password", "secret", "token"].iter().any(|word| name.contains(word));
    match line.split_once('=') {
        Some((name, _)) if name.trim_matches('"').starts_with("--") && secret(name) && !name.ends_with("file") => {
            format!("{name}=(not shown)")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_and_come_and_secrets_are_not_shown() {
        let before = "# Written\nspec:\n  - --v=2\n  - --root-password=a\n  - --token-auth-file=/a\n";
        let after = "# By us\nspec:\n  - --v=4\n  - --root-password=b\n";
        assert_eq!(
            difference(before, after),
            [
                "- --root-password=(not shown)",
                "- --token-auth-file=/a",
                "- --v=2",
                "+ --root-password=(not shown)",
                "+ --v=4"
            ]
        );
        assert!(difference(before, before).is_empty());
        let unit = |flag: &str| format!("ExecStart=/bin/etcd \\\n  --name=n1 \\\n  {flag} \\\n  --x=1\n");
        assert_eq!(difference(&unit("--a=1"), &unit("--a=2")), ["- --a=1", "+ --a=2"]);
    }
}
