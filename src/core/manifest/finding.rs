//! What is wrong with a manifest.

use std::fmt;

use crate::core::yaml::Places;

pub use crate::core::yaml::Place as Location;

/// One fault of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Field path such as `spec.containers[0].image`; empty for the document as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// Where it is written.
    pub place: Option<Location>,
}

impl Finding {
    /// A fault of one field.
    pub fn of(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), place: None }
    }

    /// Looks the field up in the text, unless the place is known already.
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
