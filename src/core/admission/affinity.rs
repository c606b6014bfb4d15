//! Node selectors, node affinity, taints (component-helpers `scheduling/corev1`).

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration};

use super::facts::NodeFacts;

/// True if the node satisfies the pod's `nodeSelector` and required node affinity.
pub(super) fn matches(pod: &Pod, node: &NodeFacts) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| node.labels.get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref())
        .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    selected && required.is_none_or(|r| r.node_selector_terms.iter().any(|term| term_matches(term, node)))
}

/// All requirements of a term; a term without any matches nothing.
fn term_matches(term: &NodeSelectorTerm, node: &NodeFacts) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |r: &NodeSelectorRequirement| holds(r, node.labels.get(&r.key).map(String::as_str));
    let field = |r: &NodeSelectorRequirement| r.key == "metadata.name" && holds(r, Some(&node.name));
    expressions.iter().all(label) && fields.iter().all(field)
}

fn holds(requirement: &NodeSelectorRequirement, found: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = found.is_some_and(|f| values.iter().any(|v| v == f));
    let number = |text: &str| text.parse::<i64>().ok();
    let pair = || Some((number(found?)?, number(values.first()?)?));
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => pair().is_some_and(|(found, wanted)| found > wanted),
        "Lt" => pair().is_some_and(|(found, wanted)| found < wanted),
        _ => false,
    }
}

/// True if the pod tolerates every taint that would evict it.
pub(super) fn tolerates(pod: &Pod, node: &NodeFacts) -> bool {
    node.taints.iter().filter(|t| t.effect == "NoExecute").all(|taint| tolerates_taint(pod, taint))
}

/// True if the pod tolerates the NoSchedule taint of this key without a value.
pub(super) fn tolerates_no_schedule(pod: &Pod, key: &str) -> bool {
    let taint = Taint { key: key.into(), effect: "NoSchedule".into(), ..Taint::default() };
    tolerates_taint(pod, &taint)
}

fn tolerates_taint(pod: &Pod, taint: &Taint) -> bool {
    let covers = |t: &Toleration| {
        let key = t.key.as_deref().unwrap_or_default();
        t.effect.as_deref().is_none_or(|e| e.is_empty() || e == taint.effect)
            && (key.is_empty() || key == taint.key)
            && match t.operator.as_deref().unwrap_or_default() {
                "Exists" => true,
                "" | "Equal" => {
                    !key.is_empty()
                        && t.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
                }
                _ => false,
            }
    };
    pod.spec.iter().flat_map(|s| s.tolerations.iter().flatten()).any(covers)
}
