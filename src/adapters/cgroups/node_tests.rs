//! The real kernel and the real systemd, in a test node (`cargo test -- --ignored` there).

#![allow(clippy::unwrap_used)] // a failed assumption ends the test

use k8s_openapi::api::core::v1::Pod;

use super::*;

fn pod(uid: &str) -> Pod {
    serde_json::from_value(serde_json::json!({"metadata": {"uid": uid}, "spec": {"containers": [
        {"name": "c", "resources": {"requests": {"cpu": "500m", "memory": "8Mi"}, "limits": {"cpu": "500m", "memory": "16Mi"}}}]}}))
    .unwrap()
}

async fn lives_and_dies(driver: CgroupDriver) {
    let cgroups = PodCgroups::new(CgroupOptions {
        mount: PathBuf::from("/sys/fs/cgroup"),
        root: "/roosttest".into(),
        driver,
        pods: CgroupSettings { pod_pids_limit: 64, ..CgroupSettings::default() },
        all_pods: CgroupLimits::default(),
    });
    let (pod, uid) = (pod("0a-1b"), PodUid::from("0a-1b"));
    let parent = cgroups.ensure(&pod).await.unwrap().parent;
    assert!(cgroups.exists(&pod).await, "{parent}");
    let memory = match cgroups.is_v2() {
        true => format!("/sys/fs/cgroup{parent}/memory.max"),
        false => format!("/sys/fs/cgroup/memory{parent}/memory.limit_in_bytes"),
    };
    assert_eq!(std::fs::read_to_string(memory).unwrap().trim(), (16 << 20).to_string());
    assert_eq!(cgroups.known_pods().await, std::slice::from_ref(&uid));
    cgroups.ensure(&pod).await.unwrap();
    cgroups.remove(&uid).await.unwrap();
    cgroups.remove(&uid).await.unwrap();
    assert!(!cgroups.exists(&pod).await && cgroups.known_pods().await.is_empty());
    for class in [QosClass::BestEffort, QosClass::Burstable, QosClass::Guaranteed] {
        let name = CgroupName::class("/roosttest", class);
        if driver == CgroupDriver::Systemd {
            cgroups.slices.stop(&name.slice()).await.unwrap();
        }
        cgroups.hierarchy.remove(&cgroups.path(&name)).unwrap();
    }
}

#[tokio::test]
#[ignore = "changes the cgroup tree: run it in a test node"]
async fn systemd_makes_and_removes_slices() {
    lives_and_dies(CgroupDriver::Systemd).await;
}

#[tokio::test]
#[ignore = "changes the cgroup tree: run it in a test node"]
async fn directories_are_made_and_removed() {
    lives_and_dies(CgroupDriver::Cgroupfs).await;
}
