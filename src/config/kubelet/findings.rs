//! Faults and warnings about settings, each with the flag or the place in a file.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::{get, written};
use crate::core::yaml::Places;

/// A file of the configuration.
pub(super) struct Source {
    pub name: String,
    pub bytes: Vec<u8>,
    pub value: Value,
}

/// Collects faults and warnings.
#[derive(Default)]
pub(super) struct Findings {
    /// Files; later ones override earlier ones.
    pub sources: Vec<Source>,
    /// Fields that are set by a flag, with the flag.
    pub flags: Vec<(&'static str, String)>,
    /// Faults that prevent the start.
    pub faults: Vec<String>,
    pub warnings: Vec<String>,
    /// Paths of fields that have a fault.
    faulty: BTreeSet<String>,
}

impl Findings {
    /// Adds a fault of the field with this path.
    pub fn fault(&mut self, path: &str, text: impl AsRef<str>) {
        let line = format!("{}{path}: {}", self.place(path), text.as_ref());
        self.faulty.insert(path.to_owned());
        if !self.faults.contains(&line) {
            self.faults.push(line);
        }
    }

    /// True if the field already has a fault.
    pub fn is_faulty(&self, path: &str) -> bool {
        self.faulty.contains(path)
    }

    /// Adds a warning about the field with this path.
    pub fn warn(&mut self, path: &str, text: impl AsRef<str>) {
        let line = format!("{}{path}: {}", self.place(path), text.as_ref());
        self.warnings.push(line);
    }

    /// Where the field is set, as a prefix of its name; empty for a default.
    fn place(&self, path: &str) -> String {
        let field = |given: &str| path == given || path.strip_prefix(given).is_some_and(|rest| rest.starts_with('.'));
        if let Some((_, flag)) = self.flags.iter().find(|(given, _)| field(given)) {
            return format!("--{flag}: ");
        }
        // A key that contains dots, as in evictionHard, is found by the field that contains it.
        let holder = |value: &Value| {
            get(value, path).is_some() || path.rsplit_once('.').is_some_and(|(up, _)| get(value, up).is_some())
        };
        match self.sources.iter().rev().find(|source| holder(&source.value)) {
            Some(source) => format!("{}: ", written(&source.name, Places::of(&source.bytes).find(path))),
            None => String::new(),
        }
    }
}
