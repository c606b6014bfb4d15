//! Messages from programs on the node, and files that the kubelet wrote for itself.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::input::text;
use super::life;
use crate::adapters::cri::events::hint;
use crate::adapters::csi::record::Record;
use crate::core::bootstrap::rotation::KubeletTrust;
use crate::core::gc::{ImageAges, ImageLimits};
use crate::core::images::{PullIntent, PulledRecord};
use crate::core::logs::parse_line;
use crate::core::model::{Observed, ObservedSandbox};
use crate::core::node::RuntimeHealth;
use crate::core::static_units::{PodState, derive_state, is_name, name_of, unit_of};
use crate::core::status::render_status_patch;
use crate::cri;
use crate::kubelet::pods::worker::observe::{convert, log_tail};

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a time")
}

/// A byte for the kind, then the message: whatever a runtime reports, the planner is deterministic, images are removed
/// at most once each, and a termination message respects its limit.
pub(super) fn runtime_messages(input: &[u8]) {
    let Some((kind, message)) = input.split_first() else { return };
    match kind % 5 {
        0 => {
            for topic in ["/tasks/start", "/tasks/oom", "/tasks/exit", "/containers/delete", "/other"] {
                assert_eq!(format!("{:?}", hint(topic, message)), format!("{:?}", hint(topic, message)));
            }
        }
        1 => {
            let Ok(answer) = cri::ContainerStatusResponse::decode(message) else { return };
            let Some(status) = answer.status else { return };
            let record = convert("c1".into(), "s1".into(), &status);
            let sandbox = ObservedSandbox {
                id: "s1".into(),
                attempt: record.attempt,
                ready: true,
                created_at: record.created_at,
                host_network: false,
                ips: vec!["10.0.0.2".into()],
            };
            let pod: Pod = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "p", "namespace": "n", "uid": "u"},
                "spec": {"containers": [{"name": "c", "image": "i"}, {"name": record.name, "image": "i"}]}
            }))
            .expect("a pod");
            life::decide(&pod, &Observed { sandboxes: vec![sandbox], containers: vec![record] }, now());
        }
        2 => {
            let Ok(answer) = cri::ListImagesResponse::decode(message) else { return };
            let limits = ImageLimits {
                high: 85,
                low: 80,
                minimum_age: SignedDuration::ZERO,
                maximum_age: SignedDuration::from_secs(60),
            };
            let mut ages = ImageAges::default();
            ages.observe(&answer.images, &BTreeSet::new(), now());
            for removal in [ages.plan(100, 1, limits, now()), ages.plan_all(now())] {
                assert_eq!(removal.ids.len(), removal.ids.iter().collect::<BTreeSet<_>>().len());
                assert!(removal.ids.iter().all(|id| answer.images.iter().any(|image| image.id == *id)));
            }
        }
        3 => {
            let Ok(answer) = cri::StatusResponse::decode(message) else { return };
            let mut health = RuntimeHealth::default();
            health.answer(&answer, Duration::from_secs(1));
            assert_eq!(health.faults(None, Duration::MAX), health.faults(None, Duration::MAX));
        }
        _ => {
            let tail = log_tail(message);
            assert!(tail.len() <= 3 * 2048);
            let lines = message.split(|byte| *byte == b'\n').filter(|line| parse_line(line).is_ok()).count();
            assert!(tail.matches('\n').count() <= lines);
        }
    }
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(file: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(file).ok()?;
    let written = serde_json::to_vec(&value).expect("JSON");
    assert_eq!(serde_json::from_slice::<T>(&written).ok().as_ref(), Some(&value));
    Some(value)
}

/// A file in the kubelet's directory as any of its kinds: what was parsed can be written and parsed again, with the
/// same result.
pub(super) fn state_files(input: &[u8]) {
    if let Some(status) = round_trip::<PodStatus>(input) {
        let none = PodStatus::default();
        assert!(render_status_patch("u", &status, &status).is_none());
        let _ = render_status_patch("u", &none, &status);
        // systemd shows the text in one line.
        if let PodState::Waiting(text) | PodState::Ready(text) = derive_state(&status, None) {
            assert!(!text.contains('\n') && text.len() <= 2048);
        }
    }
    round_trip::<Record>(input);
    round_trip::<KubeletTrust>(input);
    round_trip::<PulledRecord>(input);
    round_trip::<PullIntent>(input);
    round_trip::<PodState>(input);
    round_trip::<Vec<SocketAddr>>(input);
    if let Some(name) = text(input).filter(|name| is_name(name)) {
        assert_eq!(name_of(&unit_of(name)), Some(name));
        assert!(!name.contains(['/', ' ']) && !name.contains(".."));
    }
}
