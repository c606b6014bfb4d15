//! Access modes of volumes, and attach limits of nodes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::AttachLimits;
use super::terms::kubelet_applies_group;
use super::tests::{World, attached, driver_object, grows, pod, pv1, registered};
use super::{CsiSource, CsiVolumes, Refusal};

fn modes(modes: &[&str]) -> CsiSource {
    CsiSource { access_modes: modes.iter().map(ToString::to_string).collect(), ..pv1() }
}

#[test]
fn the_group_is_applied_to_volumes_that_one_node_writes_wherever_the_list_says_so() {
    for (list, applies) in [
        (&["ReadWriteOnce"][..], true),
        (&["ReadWriteOncePod"], true),
        (&["ReadOnlyMany", "ReadWriteOnce"], true),
        (&["ReadWriteMany"], false),
        (&[], false),
    ] {
        let source = CsiSource { fs_type: "ext4".into(), ..modes(list) };
        assert_eq!(kubelet_applies_group(&source, None), applies, "{list:?}");
    }
}

#[tokio::test]
async fn a_volume_of_one_pod_waits_until_the_pod_before_has_left() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, journal, _world, _registrar) = attached(root.path()).await;
    let dir = |uid: &str| root.path().join("pods").join(uid).join("volumes/kubernetes.io~csi/pv1");
    let source = modes(&["ReadWriteOncePod"]);
    volumes.publish(&pod("a"), &source, &dir("a")).await.unwrap();
    volumes.publish(&pod("a"), &source, &dir("a")).await.unwrap();
    journal.take();
    let refused = volumes.publish(&pod("b"), &source, &dir("b")).await.unwrap_err().to_string();
    assert_eq!(refused, "volume uses the ReadWriteOncePod access mode and is already in use by another pod");
    assert!(journal.take().is_empty() && !dir("b").exists());
    assert!(volumes.unpublish_all(&root.path().join("pods/a")).await.is_empty());
    volumes.publish(&pod("b"), &source, &dir("b")).await.unwrap();

    let either = modes(&["ReadWriteOncePod", "ReadWriteOnce"]);
    volumes.publish(&pod("c"), &either, &dir("c")).await.unwrap();
}

/// The claim of a volume that many nodes write is updated when the first node has grown it.
#[tokio::test]
async fn each_node_grows_a_volume_that_many_write_and_only_the_first_tells_the_claim() {
    let root = tempfile::tempdir().unwrap();
    let world = Arc::new(World { attached: true, ..World::default() });
    let (drivers, journal, _registrar) = registered(root.path(), &world).await;
    let volumes = CsiVolumes::new(root.path(), "n1", drivers.clone(), world.clone(), world.clone());
    world.journal.take();
    let of_size = |size: &str| CsiSource { growing: grows(size, false), ..pv1() };
    let dir = |uid: &str| root.path().join("pods").join(uid).join("volumes/kubernetes.io~csi/pv1");
    volumes.publish(&pod("a"), &of_size("400"), &dir("a")).await.unwrap();
    assert_eq!(journal.take()[1..], ["publish h1 staged=true {}"], "a new volume is as large as it is");
    volumes.publish(&pod("b"), &of_size("400"), &dir("b")).await.unwrap();
    assert_eq!(journal.take()[1..], ["publish h1 staged=true {}"]);
    assert!(!volumes.is_due(&of_size("400")) && volumes.is_due(&of_size("500")));
    volumes.publish(&pod("a"), &of_size("500"), &dir("a")).await.unwrap();
    assert!(journal.take().contains(&"expand h1 500".to_owned()));
    assert!(!volumes.is_due(&of_size("500")));
    assert!(world.journal.take().is_empty(), "another node has told the claim");

    // A restarted kubelet does not know what it has missed.
    let restarted = CsiVolumes::new(root.path(), "n1", drivers, world.clone(), world.clone());
    assert!(restarted.is_due(&of_size("500")));
    restarted.publish(&pod("b"), &of_size("500"), &dir("b")).await.unwrap();
    assert!(journal.take().contains(&"expand h1 500".to_owned()));
    assert!(!restarted.is_due(&of_size("500")));
}

#[tokio::test]
async fn how_many_volumes_fit_is_asked_as_often_as_the_driver_wants() {
    let root = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    let (drivers, journal, _registrar) = registered(root.path(), &world).await;
    world.journal.take();
    let mut limits = AttachLimits::new(drivers, world.clone());
    let (begin, minute) = (Instant::now(), Duration::from_secs(60));
    journal.fits.store(4, Ordering::SeqCst);
    assert_eq!(limits.round(begin).await, begin + minute, "a driver that does not want it is left alone");
    *world.driver.lock().unwrap() = driver_object(serde_json::json!({"nodeAllocatableUpdatePeriodSeconds": 90}));
    assert_eq!(limits.round(begin + minute).await, begin + 2 * minute);
    assert!(world.journal.take().is_empty(), "not before the period is over");
    assert_eq!(limits.round(begin + 2 * minute).await, begin + Duration::from_secs(150));
    assert_eq!(limits.round(begin + Duration::from_secs(150)).await, begin + 3 * minute);
    assert_eq!(world.journal.take(), ["node test.csi id-1 Some(4)"]);
    *world.driver.lock().unwrap() = driver_object(serde_json::json!({}));
    limits.round(begin + 4 * minute).await;
    limits.round(begin + 10 * minute).await;
    assert!(world.journal.take().is_empty(), "it does not want it any more");
}

#[tokio::test]
async fn a_volume_for_which_the_node_is_full_sends_its_pod_away_and_renews_the_limit() {
    let root = tempfile::tempdir().unwrap();
    let full = || World { attach_error: Some(8), ..World::default() };
    let world = Arc::new(full());
    let (drivers, journal, _registrar) = registered(root.path(), &world).await;
    journal.fits.store(3, Ordering::SeqCst);
    let dir = root.path().join("pods/a/volumes/kubernetes.io~csi/pv1");
    let volumes = CsiVolumes::new(root.path(), "n1", drivers.clone(), world.clone(), world.clone());
    world.journal.take();
    let refused = volumes.publish(&pod("a"), &pv1(), &dir).await.unwrap_err();
    assert_eq!(refused, Refusal::Failed("full".into()), "the driver has not said that it renews its limit");
    assert!(world.journal.take().is_empty());
    let spec = serde_json::json!({"nodeAllocatableUpdatePeriodSeconds": 600});
    let world = Arc::new(World { driver: Mutex::new(driver_object(spec)), ..full() });
    let volumes = CsiVolumes::new(root.path(), "n1", drivers, world.clone(), world.clone());
    let refused = volumes.publish(&pod("a"), &pv1(), &dir).await.unwrap_err();
    assert_eq!(refused, Refusal::AttachLimit("full".into()));
    assert_eq!(world.journal.take(), ["node test.csi id-1 Some(3)"]);
}
