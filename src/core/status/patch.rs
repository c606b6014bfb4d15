//! The smallest patch from the API's status to ours, and rules by which a status never regresses.

use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};

use super::KUBELET_CONDITIONS;
use crate::core::model::is_terminal;

/// Lists of the status that a strategic merge patch merges, with their key.
const MERGED_LISTS: &[(&str, &str)] = &[("podIPs", "ip"), ("hostIPs", "ip")];
/// Fields owned by others: the scheduler, DRA's controllers, the API server itself.
const NOT_OURS: &[&str] = &["nominatedNodeName", "resourceClaimStatuses", "conditions"];

/// The strategic merge patch from the API's status `old` to ours; `None` if nothing differs. `uid` protects another pod
/// of the same name.
pub fn render_status_patch(uid: &str, old: &PodStatus, new: &PodStatus) -> Option<Value> {
    let mut settled = settle(old, new);
    if is_terminal(old.phase.as_deref()) && old.phase != settled.phase {
        settled.phase.clone_from(&old.phase);
        settled.reason.clone_from(&old.reason);
        settled.message.clone_from(&old.message);
    }
    render(uid, old, &settled)
}

/// The same for the mirror of a static pod: a terminal phase that another client wrote into it is overwritten, since the
/// static pod keeps running (upstream `status_manager.go`, `needsReconcile`).
pub fn render_mirror_patch(uid: &str, old: &PodStatus, new: &PodStatus) -> Option<Value> {
    render(uid, old, &settle(old, new))
}

fn render(uid: &str, old: &PodStatus, settled: &PodStatus) -> Option<Value> {
    let mut patch = fields(old, settled);
    let conditions = conditions(old, settled);
    if !conditions.is_empty() {
        patch.insert("conditions".into(), Value::Array(conditions));
    }
    (!patch.is_empty()).then(|| json!({"metadata": {"uid": uid}, "status": patch}))
}

/// True if the change should be reported without delay: another phase or readiness, the first start time, or a
/// container that started, exited or is waiting. Other changes (addresses, generations, texts) may be sent with the
/// next report.
pub fn is_urgent(old: &PodStatus, new: &PodStatus) -> bool {
    let ready = |status: &PodStatus| {
        let found = status.conditions.iter().flatten().find(|c| c.type_ == "Ready");
        found.is_some_and(|c| c.status == "True")
    };
    let containers = |status: &PodStatus| {
        let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
        let all = lists.into_iter().flat_map(|list| list.iter().flatten());
        all.map(|c| (c.name.clone(), c.ready, c.restart_count, c.state.clone())).collect::<Vec<_>>()
    };
    old.phase != new.phase
        || old.start_time != new.start_time
        || old.reason != new.reason
        || ready(old) != ready(new)
        || containers(old) != containers(new)
}

/// Our status, with fields that must not change any more taken from the API's.
fn settle(old: &PodStatus, new: &PodStatus) -> PodStatus {
    let mut new = new.clone();
    if old.start_time.is_some() {
        new.start_time.clone_from(&old.start_time);
    }
    new.observed_generation = new.observed_generation.max(old.observed_generation);
    for condition in new.conditions.iter_mut().flatten() {
        let before = old.conditions.iter().flatten().find(|c| c.type_ == condition.type_);
        if let Some(before) = before.filter(|before| before.status == condition.status) {
            condition.last_transition_time.clone_from(&before.last_transition_time);
        }
    }
    new
}

fn object(status: &PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn fields(old: &PodStatus, new: &PodStatus) -> Map<String, Value> {
    let (old, new) = (object(old), object(new));
    let mut patch = Map::new();
    for (name, value) in &new {
        let same = old.get(name).is_some_and(|before| without_empty(before) == without_empty(value));
        if NOT_OURS.contains(&name.as_str()) || same {
            continue;
        }
        let merged = MERGED_LISTS.iter().find(|(list, _)| list == name);
        let value = match merged {
            Some(_) => replace_list(value),
            None => value.clone(),
        };
        patch.insert(name.clone(), value);
    }
    for name in old.keys().filter(|name| !NOT_OURS.contains(&name.as_str()) && !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    patch
}

/// The value without fields that contain `{}`: the API server adds `lastState: {}`, which means nothing.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_empty).collect(),
        Value::Object(fields) => {
            let full = fields.iter().map(|(name, value)| (name.clone(), without_empty(value)));
            full.filter(|(_, value)| value.as_object().is_none_or(|fields| !fields.is_empty())).collect()
        }
        other => other.clone(),
    }
}

/// Replaces a merged list instead of adding to it.
fn replace_list(value: &Value) -> Value {
    let mut items = value.as_array().cloned().unwrap_or_default();
    items.push(json!({"$patch": "replace"}));
    Value::Array(items)
}

fn conditions(old: &PodStatus, new: &PodStatus) -> Vec<Value> {
    // DisruptionTarget has several writers: we set it, and never remove it.
    let ours = |type_: &str| KUBELET_CONDITIONS.contains(&type_) || type_ == "DisruptionTarget";
    let mut patch = Vec::new();
    for condition in new.conditions.iter().flatten().filter(|c| ours(&c.type_)) {
        let before = old.conditions.iter().flatten().find(|c| c.type_ == condition.type_);
        if before == Some(condition) {
            continue;
        }
        let Ok(mut value) = serde_json::to_value(condition) else { continue };
        // Fields to delete must be named.
        let before = before.and_then(|b| serde_json::to_value(b).ok());
        if let (Some(before), Some(map)) = (before.as_ref().and_then(Value::as_object), value.as_object_mut()) {
            if before == map {
                continue;
            }
            for name in before.keys() {
                map.entry(name).or_insert(Value::Null);
            }
        }
        patch.push(value);
    }
    for condition in old.conditions.iter().flatten().filter(|c| ours(&c.type_) && c.type_ != "DisruptionTarget") {
        if !new.conditions.iter().flatten().any(|c| c.type_ == condition.type_) {
            patch.push(json!({"$patch": "delete", "type": condition.type_}));
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    fn status(value: Value) -> PodStatus {
        from_value(value).expect("a status")
    }

    #[test]
    fn sends_only_what_differs_and_leaves_other_owners_alone() {
        let old = status(json!({
            "phase": "Pending", "podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}], "message": "old",
            "nominatedNodeName": "n",
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "example.com/gate", "status": "True"},
                {"type": "PodResizePending", "status": "True"},
            ],
        }));
        let new = status(json!({
            "phase": "Running", "podIP": "1.1.1.2", "podIPs": [{"ip": "1.1.1.2"}],
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T00:00:00Z"},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-03T00:00:00Z"},
            ],
        }));
        let patch = render_status_patch("u", &old, &new).expect("a difference");
        assert_eq!(
            patch,
            json!({"metadata": {"uid": "u"}, "status": {
                "phase": "Running", "podIP": "1.1.1.2", "message": null,
                "podIPs": [{"ip": "1.1.1.2"}, {"$patch": "replace"}],
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": null, "lastTransitionTime": "2026-01-02T00:00:00Z"},
                    {"$patch": "delete", "type": "PodResizePending"},
                ],
            }})
        );
        assert_eq!(render_status_patch("u", &new, &new), None);
    }

    #[test]
    fn an_empty_object_is_no_difference() {
        let ours = json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": true,
            "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]});
        let mut theirs = ours.clone();
        theirs["containerStatuses"][0]["lastState"] = json!({});
        assert_eq!(render_status_patch("u", &status(theirs), &status(ours)), None);
    }

    #[test]
    fn never_goes_back() {
        let old = status(
            json!({"phase": "Failed", "reason": "Evicted", "observedGeneration": 7, "startTime": "2026-01-01T00:00:00Z"}),
        );
        let new = status(json!({"phase": "Running", "observedGeneration": 5, "startTime": "2026-02-01T00:00:00Z"}));
        assert_eq!(render_status_patch("u", &old, &new), None);
    }
}
