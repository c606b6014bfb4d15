//! Faults and warnings of the settings, each with the flag or the place in a file.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::{get, written};
use crate::core::yaml::Places;

/// A file of the configuration as it was read.
pub(super) struct Source {
    /// Its path.
    pub name: String,
    /// Its text.
    pub bytes: Vec<u8>,
    /// What it holds.
    pub value: Value,
}

/// Collects faults and warnings.
#[derive(Default)]
pub(super) struct Findings {
    /// Files, the later over the earlier.
    pub sources: Vec<Source>,
    /// Fields that a flag sets, with the flag.
    pub flags: Vec<(&'static str, String)>,
    /// Faults that prevent the start.
    pub faults: Vec<String>,
    /// Warnings, reported once.
    pub warnings: Vec<String>,
    /// Fields with a fault.
    faulty: BTreeSet<String>,
}

impl Findings {
    /// A fault of a field, given by its path.
    pub fn fault(&mut self, path: &str, text: impl AsRef<str>) {
        let line = format!("{}{path}: {}", self.place(path), text.as_ref());
        self.faulty.insert(path.to_owned());
        if !self.faults.contains(&line) {
            self.faults.push(line);
        }
    }

    /// Whether the field has a fault already.
    pub fn is_faulty(&self, path: &str) -> bool {
        self.faulty.contains(path)
    }

    /// A warning about a field, given by its path.
    pub fn warn(&mut self, path: &str, text: impl AsRef<str>) {
        let line = format!("{}{path}: {}", self.place(path), text.as_ref());
        self.warnings.push(line);
    }

    /// Where the field is set, ready to stand before its name; nothing for a default.
    fn place(&self, path: &str) -> String {
        let field = |given: &str| path == given || path.strip_prefix(given).is_some_and(|rest| rest.starts_with('.'));
        if let Some((_, flag)) = self.flags.iter().find(|(given, _)| field(given)) {
            return format!("--{flag}: ");
        }
        // A key with dots of its own, as in evictionHard, is found by the field that holds it.
        let holder = |value: &Value| {
            get(value, path).is_some() || path.rsplit_once('.').is_some_and(|(up, _)| get(value, up).is_some())
        };
        match self.sources.iter().rev().find(|source| holder(&source.value)) {
            Some(source) => format!("{}: ", written(&source.name, Places::of(&source.bytes).find(path))),
            None => String::new(),
        }
    }
}
