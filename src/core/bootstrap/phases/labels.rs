//! Phase `labels`: the labels of the node that the settings name, and none that they named before. Others are somebody
//! else's and stay.

use super::super::step::ObjectStep;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// The labels; a kubelet sets them only when it registers its node, and takes none away.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(vec![Step::Object(ObjectStep::LabelNode { node: spec.node.name.clone(), labels: spec.node.labels.clone() })])
}

/// Those of a new node: nothing where none are wanted.
pub fn plan_new(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if spec.node.labels.is_empty() { Ok(Vec::new()) } else { plan(spec, facts) }
}
