//! The tokens of a Rust file: without comments, literals and code that is compiled only for tests.

/// A word or sign, and its line.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    pub fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The tokens of a file's code.
pub fn code(text: &str) -> Vec<Token> {
    without_tests(&tokens(text))
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let end = end_of(&chars, at);
        let piece: String = chars[at..end].iter().collect();
        if is_word(&piece) || is_sign(&piece) {
            found.push(Token { text: piece.clone(), line });
        }
        line += piece.matches('\n').count();
        at = end;
    }
    found
}

fn is_word(piece: &str) -> bool {
    piece.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn is_sign(piece: &str) -> bool {
    piece == "::" || (piece.chars().count() == 1 && !piece.trim().is_empty())
}

/// End of the piece that begins at `at`: a comment, a literal, a word or a sign.
fn end_of(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => until(chars, at, |rest| rest.starts_with(&['\n'])),
        '/' if next == Some('*') => until(chars, at + 2, |rest| rest.starts_with(&['*', '/'])) + 2,
        '"' => end_of_string(chars, at + 1),
        'r' | 'b' | 'c' if begins_literal(&chars[at..]) => end_of_raw(chars, at),
        '\'' if next == Some('\\') => until(chars, at + 3, |rest| rest.starts_with(&['\''])) + 1,
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        ':' if next == Some(':') => at + 2,
        c if c.is_alphanumeric() || c == '_' => until(chars, at, |rest| !rest[0].is_alphanumeric() && rest[0] != '_'),
        _ => at + 1,
    }
}

fn until(chars: &[char], from: usize, ends: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| ends(&chars[*at..])).unwrap_or(chars.len())
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// True if a literal with a prefix begins here, as `r#"` or `b"`.
fn begins_literal(rest: &[char]) -> bool {
    let prefix = rest.iter().take_while(|c| "rbc".contains(**c)).count();
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    rest.get(prefix + hashes) == Some(&'"')
}

fn end_of_raw(chars: &[char], at: usize) -> usize {
    let quote = until(chars, at, |rest| rest[0] == '"');
    let hashes = chars[at..quote].iter().filter(|c| **c == '#').count();
    if !chars[at..quote].contains(&'r') {
        return end_of_string(chars, quote + 1);
    }
    let ends = |rest: &[char]| rest[0] == '"' && rest[1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    until(chars, quote + 1, ends) + 1 + hashes
}

/// Omits items with `#[cfg(test)]` or another condition that holds only for tests.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let end = end_of_group(tokens, at + 1);
        if tokens[at].text == "#" && is_for_tests(&tokens[at..end]) {
            at = end_of_item(tokens, end);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn is_for_tests(attribute: &[Token]) -> bool {
    let has = |word: &str| attribute.iter().any(|token| token.text == word);
    has("cfg") && has("test") && !has("any") && !has("not")
}

/// Position after the bracket that closes the one at `at`.
fn end_of_group(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (end, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return end + 1;
        }
    }
    tokens.len()
}

/// Position after an item: its `;`, or its closing brace.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        let end = if matches!(text, "(" | "[" | "{") { end_of_group(tokens, at) } else { at + 1 };
        if text == "{" || text == ";" {
            return end;
        }
        at = end;
    }
    at
}
