//! Query strings and path segments.

/// A decoded query: names and values in the order of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the text after the `?`; invalid escapes are taken literally.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|part| !part.is_empty());
        Self(
            pairs
                .map(|part| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    (decode(name, true), decode(value, true))
                })
                .collect(),
        )
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A boolean as the API reads it: absent is false, everything except `false` and `0` is true.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }
}

/// Percent-decodes a path segment.
pub fn decode_segment(text: &str) -> String {
    decode(text, false)
}

fn decode(text: &str, plus_is_space: bool) -> String {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'+' if plus_is_space => out.push(b' '),
            b'%' => match after {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    let digits = [*high, *low];
                    out.extend(
                        std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()),
                    );
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            other => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_keep_their_order() {
        let query = Query::parse("command=sh&command=-c&command=echo+%22a%26b%22%20%F0%9F%90%A6&tty=1&odd&bad=%zz%4");
        let command: Vec<&str> = query.all("command").collect();
        assert_eq!(command, ["sh", "-c", "echo \"a&b\" 🐦"]);
        assert_eq!((query.get("odd"), query.get("bad"), query.get("none")), (Some(""), Some("%zz%4"), None));
    }

    #[test]
    fn flags_are_read_as_the_api_reads_them() {
        let query = Query::parse("a=true&b=false&c=0&d=&e=FALSE");
        assert_eq!(["a", "b", "c", "d", "e", "f"].map(|n| query.flag(n)), [true, false, false, true, false, false]);
    }
}
