//! Claims whose volume has grown in its storage system, until this node has grown the file system (KEP-1790; upstream
//! `pkg/volume/util/operationexecutor/node_expander.go`).
//!
//! The first of several nodes that use a volume records the new size in the claim. The others grow it without recording
//! it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::core::model::Amount;

const STORAGE: &str = "storage";
const PENDING: &str = "NodeResizePending";
const IN_PROGRESS: &str = "NodeResizeInProgress";
const FAILED: &str = "NodeResizeError";
/// Annotation by the controller on claims whose volumes no node has to grow.
const NOT_REQUIRED: &str = "volume.kubernetes.io/node-expansion-not-required";
/// Conditions about growing; other conditions of a claim belong to others.
const CONDITIONS: [&str; 4] = ["Resizing", "FileSystemResizePending", "ControllerResizeError", FAILED];

/// How far the growing of a volume is.
#[derive(Clone, Debug, PartialEq)]
pub enum GrowthStep {
    /// The driver is about to be called.
    Begun,
    /// The file system has been grown to this size.
    Done(Quantity),
    /// It failed with this message and will be retried.
    Failed(String),
    /// It can never succeed, for this reason: the controller has to choose another size.
    Infeasible(String),
}

/// A volume that this node may have to grow.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// Size of the volume in its storage system.
    pub size: Quantity,
    /// True if the claim waits for a node to grow it. Otherwise another node has done so, or it never grew: the driver
    /// on this node must be called anyway, so that it notices its size.
    pub waits: bool,
}

/// The size to which this node has to grow a claim's volume; `None` if neither claim nor node can be behind.
pub fn growth_wanted(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Growth> {
    let size = volume.spec.as_ref()?.capacity.as_ref()?.get(STORAGE)?.clone();
    let status = claim.status.as_ref()?;
    if let Some(stage) = status.allocated_resource_statuses.as_ref().and_then(|stages| stages.get(STORAGE)) {
        return (stage == PENDING || stage == IN_PROGRESS).then_some(Growth { size, waits: true });
    }
    let done = Amount::of(status.capacity.as_ref()?.get(STORAGE)?).units() >= Amount::of(&size).units();
    let shared = claim.spec.as_ref()?.access_modes.iter().flatten().any(|mode| mode == "ReadWriteMany");
    let excused = claim.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(NOT_REQUIRED));
    (done && shared && !excused).then_some(Growth { size, waits: false })
}

/// The update of the claim's status as a merge patch; `None` if it is up to date.
pub fn render_growth_patch(claim: &PersistentVolumeClaim, step: &GrowthStep, now: Timestamp) -> Option<Value> {
    let status = claim.status.as_ref();
    let stage = status.and_then(|s| s.allocated_resource_statuses.as_ref()?.get(STORAGE)).map(String::as_str);
    let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let with_error = |error: &str| {
        let message = format!("failed to expand pvc with {error}");
        if conditions.iter().any(|c| c.type_ == FAILED && c.message.as_ref() == Some(&message)) {
            return None;
        }
        let others = conditions.iter().filter(|c| c.type_ != FAILED).map(|c| json!(c));
        let mine = json!({"type": FAILED, "status": "True", "message": message, "lastTransitionTime": Time(now)});
        Some(others.chain([mine]).collect::<Vec<_>>())
    };
    let change = match step {
        GrowthStep::Begun if stage == Some(IN_PROGRESS) => return None,
        GrowthStep::Begun => json!({"allocatedResourceStatuses": {STORAGE: IN_PROGRESS}}),
        GrowthStep::Done(size) => {
            let others: Vec<_> = conditions.iter().filter(|c| !CONDITIONS.contains(&c.type_.as_str())).collect();
            json!({
                "capacity": {STORAGE: size}, "allocatedResourceStatuses": {STORAGE: null}, "conditions": others,
            })
        }
        GrowthStep::Failed(error) => json!({"conditions": with_error(error)?}),
        GrowthStep::Infeasible(error) => match with_error(error) {
            Some(conditions) => {
                json!({"allocatedResourceStatuses": {STORAGE: "NodeResizeInfeasible"}, "conditions": conditions})
            }
            None => json!({"allocatedResourceStatuses": {STORAGE: "NodeResizeInfeasible"}}),
        },
    };
    // A concurrent change makes the API server reject the patch, so that it is not lost.
    Some(json!({"metadata": {"resourceVersion": claim.metadata.resource_version}, "status": change}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(stage: Option<&str>) -> PersistentVolumeClaim {
        let stages = stage.map(|stage| json!({STORAGE: stage}));
        let conditions = json!([
            {"type": "FileSystemResizePending", "status": "True"},
            {"type": "ModifyingVolume", "status": "True"},
        ]);
        let status = json!({"allocatedResourceStatuses": stages, "conditions": conditions});
        let claim = json!({"metadata": {"name": "c", "resourceVersion": "7"}, "status": status});
        serde_json::from_value(claim).unwrap()
    }

    fn volume() -> PersistentVolume {
        serde_json::from_value(json!({"spec": {"capacity": {STORAGE: "2Gi"}}})).unwrap()
    }

    #[test]
    fn a_claim_grows_here_only_when_the_controller_waits_for_the_node() {
        for (stage, grows) in [
            (None, false),
            (Some("ControllerResizeInProgress"), false),
            (Some(PENDING), true),
            (Some(IN_PROGRESS), true),
            (Some("NodeResizeInfeasible"), false),
        ] {
            let wanted = growth_wanted(&claim(stage), &volume());
            assert_eq!(wanted.map(|growth| growth.size), grows.then(|| Quantity("2Gi".into())), "{stage:?}");
        }
    }

    /// The first node records the new size in the claim: the others do not wait, and still grow it.
    #[test]
    fn a_volume_that_many_nodes_write_is_grown_on_each_of_them() {
        let claim = |modes: Value, size: &str, annotations: Value| {
            let claim = json!({"metadata": {"name": "c", "annotations": annotations}, "spec": {"accessModes": modes},
                "status": {"capacity": {STORAGE: size}}});
            serde_json::from_value::<PersistentVolumeClaim>(claim).unwrap()
        };
        let quiet = Some(Growth { size: Quantity("2Gi".into()), waits: false });
        for (modes, size, annotations, wanted) in [
            (json!(["ReadWriteMany"]), "2Gi", json!({}), quiet.clone()),
            (json!(["ReadWriteOnce", "ReadWriteMany"]), "2048Mi", json!({}), quiet),
            (json!(["ReadWriteOnce"]), "2Gi", json!({}), None),
            (json!(["ReadWriteMany"]), "1Gi", json!({}), None),
            (json!(["ReadWriteMany"]), "2Gi", json!({NOT_REQUIRED: "true"}), None),
        ] {
            assert_eq!(growth_wanted(&claim(modes.clone(), size, annotations), &volume()), wanted, "{modes} {size}");
        }
    }

    #[test]
    fn each_step_is_told_once_and_touches_no_condition_of_others() {
        let told = |claim: &PersistentVolumeClaim, step: &GrowthStep| {
            render_growth_patch(claim, step, Timestamp::UNIX_EPOCH).map(|patch| patch["status"].clone())
        };
        let pending = claim(Some(PENDING));
        assert_eq!(told(&pending, &GrowthStep::Begun).unwrap()["allocatedResourceStatuses"][STORAGE], IN_PROGRESS);
        let mut under_way = claim(Some(IN_PROGRESS));
        assert_eq!(told(&under_way, &GrowthStep::Begun), None);
        let done = told(&under_way, &GrowthStep::Done(Quantity("2Gi".into()))).unwrap();
        assert_eq!(done["capacity"][STORAGE], "2Gi");
        assert_eq!(done["allocatedResourceStatuses"], json!({STORAGE: null}), "a merge patch takes it away");
        let left: Vec<_> = done["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
        assert_eq!(left, ["ModifyingVolume"]);

        let failed = told(&under_way, &GrowthStep::Failed("no".into())).unwrap();
        assert_eq!(failed["conditions"].as_array().unwrap().len(), 3);
        let status = under_way.status.as_mut().unwrap();
        status.conditions = serde_json::from_value(failed["conditions"].clone()).unwrap();
        assert_eq!(told(&under_way, &GrowthStep::Failed("no".into())), None);
        let again = told(&under_way, &GrowthStep::Failed("still not".into())).unwrap();
        assert_eq!(again["conditions"].as_array().unwrap().len(), 3, "in the place of the former");
        let never = told(&under_way, &GrowthStep::Infeasible("no".into())).unwrap();
        assert_eq!(never["allocatedResourceStatuses"][STORAGE], "NodeResizeInfeasible");
    }
}
