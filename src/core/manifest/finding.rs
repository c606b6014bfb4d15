//! Faults of manifests.

use std::fmt;

use crate::core::yaml::Places;

pub use crate::core::yaml::Place as Location;

/// One fault of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Field path such as `spec.containers[0].image`; empty for the document as a whole.
    pub field: String,
    /// What is wrong with the field.
    pub message: String,
    /// Line and column; `None` if unknown.
    pub place: Option<Location>,
}

impl Finding {
    /// A fault of one field, without a place.
    pub fn of(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), place: None }
    }

    /// Adds the place of the field in the text, unless it is known.
    pub fn located_in(mut self, places: &Places) -> Self {
        if self.place.is_none() && !self.field.is_empty() {
            self.place = places.find(&self.field);
        }
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "line {}, column {}: ", place.line, place.column)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}
