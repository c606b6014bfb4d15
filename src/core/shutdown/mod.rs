//! The order in which pods are terminated when the node shuts down (upstream `pkg/kubelet/nodeshutdown`).

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use crate::core::model::kubelet_spec::ShutdownSettings;
use crate::core::model::time::LONGEST_WAIT;
use crate::core::model::{PodKill, is_static, priority_of};

/// Where the kubelet writes the system bus policy that lets only root announce a shutdown.
pub const SIGNAL_POLICY: &str = "/etc/dbus-1/system.d/roost-kubelet.conf";

/// Pods of this priority or higher are in the last group.
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// A part of the shutdown, for pods in a range of priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Lowest priority of its pods.
    pub priority: i32,
    /// Longest time for it, in seconds.
    pub seconds: u64,
}

/// The turns, lowest priority first; empty if graceful shutdown is disabled.
pub fn plan_turns(settings: &ShutdownSettings) -> Vec<Turn> {
    let mut turns: Vec<Turn> = settings
        .by_priority
        .iter()
        .map(|(priority, seconds)| Turn { priority: *priority, seconds: *seconds })
        .collect();
    if turns.is_empty() && !settings.total.is_zero() && settings.critical <= settings.total {
        let first = settings.total.saturating_sub(settings.critical).as_secs();
        turns.push(Turn { priority: 0, seconds: first });
        turns.push(Turn { priority: SYSTEM_CRITICAL, seconds: settings.critical.as_secs() });
    }
    turns.sort_by_key(|turn| turn.priority);
    turns
}

/// The sum of the turns' times.
pub fn total(turns: &[Turn]) -> Duration {
    Duration::from_secs(turns.iter().fold(0, |sum: u64, turn| sum.saturating_add(turn.seconds))).min(LONGEST_WAIT)
}

/// Assigns pods to turns: a pod belongs to the last turn whose priority does not exceed its own, or to the first.
pub fn plan_groups(turns: &[Turn], pods: &[Arc<Pod>]) -> Vec<(Turn, Vec<Arc<Pod>>)> {
    let mut groups: Vec<(Turn, Vec<Arc<Pod>>)> = turns.iter().map(|turn| (*turn, Vec::new())).collect();
    for pod in pods {
        let above = turns.iter().take_while(|turn| turn.priority <= priority_of(pod)).count();
        if let Some((_, group)) = groups.get_mut(above.saturating_sub(1)) {
            group.push(Arc::clone(pod));
        }
    }
    groups.retain(|(_, pods)| !pods.is_empty());
    groups
}

/// Pods of one turn in the order of termination: those of the API, while its server still responds; then static pods;
/// etcd last, because the API server needs it until it exits.
pub fn plan_stages(pods: &[Arc<Pod>]) -> Vec<(Stage, Vec<Arc<Pod>>)> {
    let stages = [Stage::Api, Stage::Static, Stage::Etcd];
    let of = |stage| pods.iter().filter(|pod| stage_of(pod) == stage).cloned().collect::<Vec<_>>();
    stages.into_iter().map(|stage| (stage, of(stage))).filter(|(_, pods)| !pods.is_empty()).collect()
}

/// A step of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Ordinary pods, from the API.
    Api,
    /// Static pods except etcd.
    Static,
    /// etcd as a static pod, recognized by the labels that kubeadm and we give it.
    Etcd,
}

fn stage_of(pod: &Pod) -> Stage {
    let label = |name| pod.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    match is_static(pod) {
        false => Stage::Api,
        true if label("component") == Some("etcd") && label("tier") == Some("control-plane") => Stage::Etcd,
        true => Stage::Static,
    }
}

/// The termination of one pod, within at most this many seconds.
pub fn order(seconds: u64, pod: &Pod) -> PodKill {
    let own = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds);
    let most = i64::try_from(seconds).unwrap_or(i64::MAX);
    let message = "Pod was terminated in response to imminent node shutdown.";
    PodKill {
        reason: "Terminated".into(),
        message: message.into(),
        grace_seconds: Some(own.map_or(most, |own| own.min(most))),
        disruption: Some(message.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(total: u64, critical: u64, by_priority: &[(i32, u64)]) -> ShutdownSettings {
        ShutdownSettings {
            total: Duration::from_secs(total),
            critical: Duration::from_secs(critical),
            by_priority: by_priority.to_vec(),
        }
    }

    fn pod(name: &str, priority: i32) -> Arc<Pod> {
        let pod = serde_json::json!({"metadata": {"name": name},
            "spec": {"containers": [], "priority": priority, "terminationGracePeriodSeconds": 20}});
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn names(turns: &[Turn], pods: &[Arc<Pod>]) -> Vec<(i32, String)> {
        let name = |pod: &Arc<Pod>| pod.metadata.name.clone().unwrap_or_default();
        let groups = plan_groups(turns, pods).into_iter();
        groups.map(|(turn, pods)| (turn.priority, pods.iter().map(name).collect::<Vec<_>>().join(" "))).collect()
    }

    #[test]
    fn critical_pods_have_the_last_part_of_the_time() {
        let turns = plan_turns(&settings(30, 10, &[]));
        assert_eq!(turns.iter().map(|t| t.seconds).collect::<Vec<_>>(), [20, 10]);
        assert_eq!(total(&turns), Duration::from_secs(30));
        let pods = [pod("critical", SYSTEM_CRITICAL), pod("plain", 0), pod("low", -5), pod("high", 1000)];
        let expected = [(0, "plain low high".to_owned()), (SYSTEM_CRITICAL, "critical".to_owned())];
        assert_eq!(names(&turns, &pods), expected);
        assert_eq!(order(10, &pods[0]).grace_seconds, Some(10));
        assert_eq!(order(60, &pods[1]).grace_seconds, Some(20));
    }

    #[test]
    fn static_pods_end_after_those_of_the_api_and_etcd_last() {
        let made = |name: &str, component: &str, source: &str| {
            let mut pod = (*pod(name, SYSTEM_CRITICAL)).clone();
            let labels = [("component", component), ("tier", "control-plane")];
            pod.metadata.labels = Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
            pod.metadata.annotations = Some([("kubernetes.io/config.source".to_owned(), source.to_owned())].into());
            Arc::new(pod)
        };
        let pods = [made("etcd", "etcd", "file"), made("api", "kube-apiserver", "file"), made("of-api", "etcd", "api")];
        let names = |pods: &[Arc<Pod>]| pods.iter().map(|p| p.metadata.name.clone().unwrap_or_default()).collect();
        let stages: Vec<(Stage, Vec<String>)> =
            plan_stages(&pods).iter().map(|(stage, pods)| (*stage, names(pods))).collect();
        let one = |stage, name: &str| (stage, vec![name.to_owned()]);
        assert_eq!(stages, [one(Stage::Api, "of-api"), one(Stage::Static, "api"), one(Stage::Etcd, "etcd")]);
    }

    #[test]
    fn priorities_can_have_turns_of_their_own() {
        let turns = plan_turns(&settings(0, 0, &[(1000, 5), (0, 3), (100, 1)]));
        let pods = [pod("a", 99), pod("b", 100), pod("c", 5000), pod("d", -1)];
        let expected = [(0, "a d".to_owned()), (100, "b".to_owned()), (1000, "c".to_owned())];
        assert_eq!(names(&turns, &pods), expected);
    }

    #[test]
    fn it_is_off_unless_asked_for() {
        assert!(plan_turns(&settings(0, 0, &[])).is_empty());
        assert!(plan_turns(&settings(5, 10, &[])).is_empty());
    }
}
