//! Parses YAML or JSON text into a JSON value, with the place of every fault.
//!
//! Parsing into a value first and converting it to a typed object afterwards needs megabytes less code than typed YAML.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Localizer, Options, Spanned, UserMessageFormatter};

use crate::core::model::MAX_MANIFEST_BYTES;

/// A place in a text; line and column count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line number, from 1.
    pub line: u64,
    /// Column number, from 1.
    pub column: u64,
}

/// Why a text is not a single valid document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong, without the place.
    pub message: String,
    /// The place of the fault; `None` if unknown.
    pub place: Option<Place>,
}

fn options() -> Options {
    serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false }
}

fn text_of(bytes: &[u8]) -> Result<&str, Error> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(Error { message: format!("larger than {MAX_MANIFEST_BYTES} bytes"), place: None });
    }
    std::str::from_utf8(bytes)
        .map_err(|e| Error { message: format!("not UTF-8 at byte {}", e.valid_up_to()), place: None })
}

/// Parses the one document of a text; `Value::Null` if there is none. Documents with nothing but comments do not count:
/// templates end every part with `---`. Multiple documents, duplicate keys and resource bombs (aliases, depth, size)
/// are rejected.
///
/// # Errors
/// The first fault, with its place.
pub fn parse_document(bytes: &[u8]) -> Result<Value, Error> {
    let text = text_of(bytes)?;
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| describe(&error))?;
    match documents.len() {
        0 | 1 => Ok(documents.pop().unwrap_or(Value::Null)),
        count => {
            let message = format!("contains {count} documents, but only one per file is allowed");
            Err(Error { message, place: second_document(text) })
        }
    }
}

fn second_document(text: &str) -> Option<Place> {
    let documents: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options()).ok()?;
    documents.get(1).map(|second| Place { line: second.referenced.line(), column: second.referenced.column() })
}

/// Formats an error for the author of the text: without the library's own names, and with the place apart from the
/// message.
fn describe(error: &serde_saphyr::Error) -> Error {
    struct Placeless;
    impl Localizer for Placeless {
        fn attach_location<'a>(&self, base: Cow<'a, str>, _: serde_saphyr::Location) -> Cow<'a, str> {
            base
        }
    }
    let message = error.without_snippet().render_with_formatter(&UserMessageFormatter.with_localizer(&Placeless));
    let place = error.location().map(|l| Place { line: l.line(), column: l.column() });
    // A message may span several lines; only the first one says what is wrong.
    Error { message: message.lines().next().unwrap_or_default().trim_end_matches(':').to_owned(), place }
}

/// Places of the parts of a text. It is parsed once, however many places are looked up.
pub struct Places(Option<Node>);

impl Places {
    /// The places of one document; empty if the text is not a document.
    pub fn of(bytes: &[u8]) -> Self {
        let documents = text_of(bytes).ok().and_then(|text| {
            let documents: Option<Vec<Node>> = serde_saphyr::from_multiple_with_options(text, options()).ok();
            documents
        });
        Self(documents.and_then(|documents| documents.into_iter().next()))
    }

    /// The place of a field such as `spec.containers[0].image`; of a missing field, that of its nearest parent. A path
    /// has no quoting, so keys with dots resolve to their parent.
    pub fn find(&self, path: &str) -> Option<Place> {
        let mut node = self.0.as_ref()?;
        let mut place = None;
        let parts = path.split('.').flat_map(|part| {
            let (name, indexes) = part.split_once('[').unwrap_or((part, ""));
            let indexes = indexes.split('[').filter_map(|i| i.trim_end_matches(']').parse().ok()).map(Part::Index);
            (!name.is_empty()).then_some(Part::Name(name)).into_iter().chain(indexes).collect::<Vec<_>>()
        });
        for part in parts {
            let next = match (part, node) {
                (Part::Name(name), Node::Map(entries)) => entries.get(name),
                (Part::Index(index), Node::Seq(items)) => items.get(index),
                (Part::Name(_) | Part::Index(_), Node::Map(_) | Node::Seq(_) | Node::Scalar) => None,
            };
            let Some((found, inner)) = next else { break };
            place = Some(*found);
            node = inner;
        }
        place
    }
}

/// Like [`Places::find`], for a single lookup.
pub fn locate(bytes: &[u8], path: &str) -> Option<Place> {
    Places::of(bytes).find(path)
}

/// Like [`parse_document`], but of duplicate keys the last one wins; the error about them is returned as well.
///
/// # Errors
/// The first fault other than a duplicate key.
pub fn parse_last_keys(bytes: &[u8]) -> Result<(Value, Option<Error>), Error> {
    let fault = match parse_document(bytes) {
        Ok(value) => return Ok((value, None)),
        Err(fault) => fault,
    };
    let mut last_wins = options();
    last_wins.duplicate_keys = serde_saphyr::options::DuplicateKeyPolicy::LastWins;
    match serde_saphyr::from_str_with_options::<Value>(text_of(bytes)?, last_wins) {
        Ok(value) => Ok((value, Some(fault))),
        Err(_) => Err(fault),
    }
}

enum Part<'a> {
    Name(&'a str),
    Index(usize),
}

/// The structure of a document, with the place of each part.
enum Node {
    Map(BTreeMap<String, (Place, Node)>),
    Seq(Vec<(Place, Node)>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a document")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Node>>()? {
                    let place = Place { line: key.referenced.line(), column: key.referenced.column() };
                    entries.insert(key.value, (place, value.value));
                }
                Ok(Node::Map(entries))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<Spanned<Node>>()? {
                    let place = Place { line: item.referenced.line(), column: item.referenced.column() };
                    items.push((place, item.value));
                }
                Ok(Node::Seq(items))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_fields_and_the_parents_of_missing_ones() {
        let text = b"a: 1\nspec:\n  containers:\n  - name: x\n    image: y\n  - name: z\n";
        let line = |path| locate(text, path).map(|p| p.line);
        assert_eq!(line("spec.containers[0].image"), Some(5));
        assert_eq!(line("spec.containers[1].image"), Some(6));
        assert_eq!(line("nothing"), None);
    }

    #[test]
    fn refuses_what_is_not_one_sound_document() {
        assert_eq!(parse_document(b"").ok(), Some(Value::Null));
        assert_eq!(parse_document(b"mode: 0644").ok(), Some(serde_json::json!({"mode": 420})));
        for bad in [&b"a: 1\na: 2\n"[..], b"a: 1\n---\nb: 2\n", b"a: [", b"\xff\xfe\xfd", b"a:\n\t- b\n"] {
            assert!(parse_document(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        let error = parse_document(b"a: 1\nb: [1, 2\nc: }\n").expect_err("unbalanced");
        assert!(error.place.is_some(), "{error}");
    }

    #[test]
    fn documents_without_content_do_not_count() {
        let one = serde_json::json!({"a": 1});
        for text in [
            "a: 1\n---\n",
            "---\na: 1\n---",
            "---\n# Source: chart/pod.yaml\na: 1\n---\n# nothing\n---\n\n",
            "---\n---\na: 1\n...\n",
            "\u{feff}a: 1\n",
            "a: 1\r\n---\r\n",
            "%YAML 1.2\n---\na: 1\n",
        ] {
            assert_eq!(parse_document(text.as_bytes()).as_ref(), Ok(&one), "{text:?}");
            assert!(locate(text.as_bytes(), "a").is_some(), "{text:?}");
        }
        for nothing in ["---\n", "# only\n", "---\n---\n", "null\n"] {
            assert_eq!(parse_document(nothing.as_bytes()), Ok(Value::Null), "{nothing:?}");
        }
        let error = parse_document(b"a: 1\n---\nb: 2\n").expect_err("two");
        assert_eq!(error.message, "contains 2 documents, but only one per file is allowed");
        assert_eq!(error.place.map(|place| place.line), Some(3));
    }

    #[test]
    fn messages_name_neither_the_library_nor_the_place() {
        let bomb = format!("a: &a [1]\nb: [{}]\n", vec!["*a"; 200_000].join(","));
        let texts = [
            "a: [",
            "a: b: c\n",
            "a:\n\t- b\n",
            "a: 1\na: 2\n",
            "a: *x\n",
            "a: \"\\q\"\n",
            "{a: 1",
            "a: 'x\n",
            "- a\nb: 1\n",
            "a: !!int x\n",
            "a: !!binary x\n",
            "? [1]\n: 2\n",
            "a: |\n x\n  y\n z: @\nb: @\n",
            "%FOO\na: 1\n",
            "a: `\n",
            "a: 1\n b: 2\n",
            "a: .inf\n",
            "a: 0x\n",
            "<<: 1\n",
            "a: {<<: [1]}\n",
            "a: \u{1}\n",
            "a: !include x\n",
            "a: {b}}\n",
            &bomb,
        ];
        for text in texts {
            let Err(error) = parse_document(text.as_bytes()) else { continue };
            for word in ["from_", "with_options", "deserial", "serde", "Option", "()", "::", "at line", "_budget"] {
                assert!(!error.message.contains(word), "{text:.40?}: {}", error.message);
            }
            assert!(!error.message.is_empty() && error.message.lines().count() == 1, "{text:.40?}: {error:?}");
        }
    }

    #[test]
    fn no_depth_of_a_document_reaches_the_end_of_the_stack() {
        let depth = MAX_MANIFEST_BYTES / 8;
        let pairs = "{\"a\":".repeat(depth);
        let steps: String = (0..1_000).map(|level| format!("{:level$}a:\n", "")).collect();
        for bomb in ["[".repeat(depth), "- ".repeat(depth), "? ".repeat(depth), pairs, steps, "!t ".repeat(depth)] {
            assert!(parse_document(bomb.as_bytes()).is_err(), "{}", &bomb[..8]);
            // All other input from outside is JSON, parsed by this one parser.
            assert!(serde_json::from_str::<Value>(&bomb).is_err());
        }
    }

    #[test]
    fn stops_alias_bombs_quickly() {
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"])
        {
            bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(","));
        }
        assert!(parse_document(bomb.as_bytes()).is_err());
    }
}
