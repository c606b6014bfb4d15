//! Wildcard matching like Go's `path/filepath.Match`, in time of at most pattern times text.
//!
//! Patterns come from pull secrets, which tenants write: the matcher backtracks only to the last `*`, so many of them
//! cost no more than one.

/// True if the whole text matches: `*` is any run of characters, `?` one, `[a-z^]` or `[^a-z]` one inside or outside of
/// a class, `\` escapes the next one. A malformed pattern matches nothing, as upstream.
pub fn matches(pattern: &str, text: &str) -> bool {
    parse(pattern).is_some_and(|items| run(&items, text, &mut 0))
}

/// One element of a pattern.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Star,
    Any,
    One(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Item {
    fn takes(&self, found: char) -> bool {
        match self {
            // Go's separator; a text here is one label of a host and has none.
            Self::Star | Self::Any => found != '/',
            Self::One(wanted) => *wanted == found,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&found)) != *negated
            }
        }
    }
}

fn parse(pattern: &str) -> Option<Vec<Item>> {
    let mut chars = pattern.chars().peekable();
    let mut items = Vec::new();
    while let Some(c) = chars.next() {
        items.push(match c {
            '*' => Item::Star,
            '?' => Item::Any,
            '\\' => Item::One(chars.next()?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                    let from = class_char(&mut chars)?;
                    let to = if chars.next_if_eq(&'-').is_some() { class_char(&mut chars)? } else { from };
                    ranges.push((from, to));
                }
                Item::Class { negated, ranges }
            }
            other => Item::One(other),
        });
    }
    Some(items)
}

/// A character of a class; `-` and `]` need a backslash.
fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        other => Some(other),
    }
}

/// The text without its first character.
fn behind_first(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

/// Matches the items; `steps` counts comparisons, for tests.
fn run(items: &[Item], text: &str, steps: &mut usize) -> bool {
    let (mut item, mut rest) = (0_usize, text);
    // After the last star: its item, and the text at which it was last tried.
    let mut star: Option<(usize, &str)> = None;
    loop {
        *steps = steps.saturating_add(1);
        let next = rest.chars().next();
        match (items.get(item), next) {
            (Some(Item::Star), _) => {
                item = item.saturating_add(1);
                star = Some((item, rest));
                continue;
            }
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted.takes(found) => {
                item = item.saturating_add(1);
                rest = behind_first(rest);
                continue;
            }
            // Extending the star only shortens the remaining text, so no match is possible.
            (Some(_), None) => return false,
            _ => {}
        }
        let Some((after, from)) = star else { return false };
        if from.chars().next().is_none_or(|taken| taken == '/') {
            return false;
        }
        rest = behind_first(from);
        item = after;
        star = Some((after, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_go() {
        // From the table of Go's `path/filepath/match_test.go`.
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*b*c*d*e*", "axbxcxdxe", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "z", false),
            ("[]a]", "]", false),
            ("[-]", "-", false),
            ("[x-]", "x", false),
            ("[-x]", "x", false),
            ("[a-b-c]", "a", false),
            ("[", "a", false),
            ("[^", "a", false),
            ("[^bc", "a", false),
            ("a[", "a", false),
            ("\\", "a", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_pattern_times_text() {
        let text = "a".repeat(255);
        for stars in 1..=64 {
            let pattern = format!("{}b", "*a".repeat(stars));
            let mut steps = 0;
            assert!(!run(&parse(&pattern).unwrap(), &text, &mut steps));
            assert!(steps <= 2 * (pattern.len() + 1) * (text.len() + 1), "{steps} steps with {stars} stars");
        }
    }
}
