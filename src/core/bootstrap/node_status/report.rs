//! The judgement of a node: problems and notes.

use serde::Serialize;

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What was checked: the name of a field of the JSON document, such as `units` or `etcd`.
    pub check: &'static str,
    /// What is wrong, and with what.
    pub message: String,
    /// What to do; `None` where the message says it all.
    pub remedy: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

/// The judgement of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What needs attention; empty if the node is healthy.
    pub problems: Vec<Problem>,
    /// What an operator should know and is no fault of the node.
    pub notes: Vec<String>,
}

impl Report {
    pub(super) fn add(&mut self, check: &'static str, message: String) {
        self.problems.push(Problem { check, message, remedy: None });
    }

    pub(super) fn add_with(&mut self, check: &'static str, message: String, remedy: impl Into<String>) {
        self.problems.push(Problem { check, message, remedy: Some(remedy.into()) });
    }
}
