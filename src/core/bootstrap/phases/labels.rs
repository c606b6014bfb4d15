//! Phase `labels`: the labels of the node that the settings name. Others are somebody else's and stay.

use serde_json::json;

use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// The labels; a kubelet sets them only when it registers its node.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if spec.node.labels.is_empty() {
        return Ok(Vec::new());
    }
    let object = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": spec.node.name, "labels": spec.node.labels },
    });
    Ok(vec![Step::ApplyObject { object, create_only: false }])
}
