//! Many pods at once: the runtime gets no more starts than it can handle.

use k8s_openapi::api::core::v1::Pod;
use roost::fakes::pods::PodHost;
use serde_json::json;

use crate::world::{World, container, pod};

const PODS: usize = 60;

fn numbered(number: usize) -> Pod {
    let name = format!("c{number}");
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "town", "uid": format!("burst-{number}"), "generation": 1},
        "spec": {"containers": [container(&name)], "restartPolicy": "Never", "terminationGracePeriodSeconds": 10}
    }))
    .unwrap()
}

async fn burst(bears: usize) -> std::sync::Arc<PodHost> {
    let host = PodHost::new();
    host.set_bears(bears);
    let others = (1..PODS).map(numbered).collect();
    let mut world = World::with(host.clone(), pod(&[], &[container("c0")]), others, Vec::new()).await;
    for number in 0..PODS {
        world.runs(&format!("c{number}"), 0).await;
    }
    assert_eq!(host.sins(), [""; 0]);
    assert!(host.records().iter().all(|record| record.attempt == 0), "{:?}", host.records());
    let ends = host.reported().statuses.into_iter().flat_map(|status| status.container_statuses.unwrap_or_default());
    let ends: Vec<_> = ends.filter(|c| c.state.as_ref().is_some_and(|state| state.terminated.is_some())).collect();
    assert_eq!(ends, []);
    host
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_pods_is_not_sent_to_the_runtime_all_at_once() {
    let host = burst(20).await;
    let failed = host.events().iter().filter(|event| event.contains("unable to freeze")).count();
    assert_eq!(failed, 0, "at most {} at once", host.most_starting());
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_bears_little_is_found_out_and_no_pod_is_lost() {
    let host = burst(3).await;
    let failed = host.events().iter().filter(|event| event.contains("unable to freeze")).count();
    assert!((1..PODS).contains(&failed), "{failed} starts failed");
}
