//! Phase `labels`: gives the node the labels from the settings and removes those that the settings no longer name.
//! Labels of others stay.

use super::super::step::ObjectStep;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// The labels of an existing node: a kubelet sets labels only when it registers its node, and removes none.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(vec![Step::Object(ObjectStep::LabelNode { node: spec.node.name.clone(), labels: spec.node.labels.clone() })])
}

/// The labels of a new node; no steps if none are configured.
pub fn plan_new(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if spec.node.labels.is_empty() { Ok(Vec::new()) } else { plan(spec, facts) }
}
