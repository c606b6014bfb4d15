//! Static pods as systemd units: their names, what a unit shows of its pod, and which units are to start or stop.
//!
//! A unit `static-pod@NAME.service` is active exactly while the static pod of the manifest's name is Ready. Its process
//! only watches; stopping it makes the kubelet act as if the manifest were gone, until it is started again.

mod journal;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

pub use self::journal::{Facts, priority_of, render_entry};
pub use self::state::{PodState, derive_state};
use super::manifest::{is_dns_subdomain, manifest_name};
use super::model::{DesiredPod, PodSource};

/// Where the kubelet listens for units, keeps which pods are stopped, and how far logs were forwarded. It goes with a
/// reboot, as the state of units does.
pub const RUN_DIR: &str = "/run/roost/static-pods";
/// The listener in [`RUN_DIR`].
pub const SOCKET: &str = "/run/roost/static-pods/socket";
/// Exit code of a unit's process when no manifest gives a pod of its name (sysexits' EX_NOINPUT); such a unit is not
/// restarted.
pub const NO_SUCH_POD: u8 = 66;

/// The unit of a pod name.
pub fn unit_of(name: &str) -> String {
    format!("static-pod@{name}.service")
}

/// The pod name in a unit's name.
pub fn name_of(unit: &str) -> Option<&str> {
    let name = unit.strip_prefix("static-pod@")?.strip_suffix(".service")?;
    is_name(name).then_some(name)
}

/// Whether a pod of this name can have a unit. Names come from command lines and become file names; those of units have
/// at most 255 characters.
pub fn is_name(name: &str) -> bool {
    name.len() <= 230 && is_dns_subdomain(name)
}

/// A static pod with a unit.
#[derive(Clone, Debug)]
pub struct UnitPod {
    /// As its source gives it.
    pub pod: Arc<Pod>,
    /// Its manifest; none for one of a URL.
    pub path: Option<PathBuf>,
}

/// The static pods by the name in their manifests, and the full names of those without a unit: the first of a name
/// in the order of namespaces has it, and a name may be too long for one.
pub fn by_name(pods: &[DesiredPod], node_name: &str) -> (BTreeMap<String, UnitPod>, Vec<String>) {
    let mut sorted: Vec<&DesiredPod> = pods.iter().collect();
    sorted.sort_by_key(|desired| (&desired.pod.metadata.namespace, &desired.pod.metadata.name));
    let (mut units, mut clashes) = (BTreeMap::new(), Vec::new());
    for DesiredPod { pod, source } in sorted {
        let full = pod.metadata.name.as_deref().unwrap_or_default();
        let name = manifest_name(full, node_name);
        if units.contains_key(name) || !is_name(name) {
            clashes.push(format!("{}/{name}", pod.metadata.namespace.as_deref().unwrap_or_default()));
            continue;
        }
        let path = match source {
            PodSource::File(path) => Some(path.clone()),
            _ => None,
        };
        units.insert(name.to_owned(), UnitPod { pod: Arc::clone(pod), path });
    }
    (units, clashes)
}

/// What is to be done with units and with the notes of stopped pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitPlan {
    /// Names whose unit is to start.
    pub start: Vec<String>,
    /// Names whose unit is to stop.
    pub stop: Vec<String>,
    /// Names that do not count as stopped any more: their manifest went, and what comes next is new.
    pub forget: Vec<String>,
}

/// Plans the units after the manifests changed. `before`: names at the last plan, `None` after a start of the kubelet;
/// `loaded`: names whose unit is active or about to be.
///
/// Over a restart of the kubelet a stopped pod stays stopped, as with any unit; a manifest that comes (back) starts.
pub fn plan_units(
    wanted: &BTreeSet<String>,
    before: Option<&BTreeSet<String>>,
    stopped: &BTreeSet<String>,
    loaded: &BTreeSet<String>,
) -> UnitPlan {
    let is_new = |name: &String| before.map_or(!stopped.contains(name), |before| !before.contains(name));
    UnitPlan {
        start: wanted.iter().filter(|name| is_new(name)).cloned().collect(),
        stop: loaded.difference(wanted).cloned().collect(),
        forget: stopped.difference(wanted).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &str) -> BTreeSet<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn words(plan: &UnitPlan) -> String {
        format!("+{} -{} ~{}", plan.start.join(","), plan.stop.join(","), plan.forget.join(","))
    }

    #[test]
    fn units_follow_the_manifests() {
        let cases = [
            // wanted, before, stopped, loaded
            (("etcd web", None, "", ""), "+etcd,web - ~"),
            // After a restart of the kubelet what was stopped stays so, and a manifest that went takes its unit along.
            (("etcd web", None, "web", "etcd old"), "+etcd -old ~"),
            (("etcd", None, "web", ""), "+etcd - ~web"),
            (("etcd web", Some("etcd"), "", "etcd"), "+web - ~"),
            (("etcd web", Some("etcd web"), "web", "etcd"), "+ - ~"),
            (("etcd", Some("etcd web"), "web", "etcd"), "+ - ~web"),
            (("etcd", Some("etcd web"), "", "etcd web"), "+ -web ~"),
            (("", Some(""), "", ""), "+ - ~"),
        ];
        for ((wanted, before, stopped, loaded), expected) in cases {
            let before = before.map(set);
            let plan = plan_units(&set(wanted), before.as_ref(), &set(stopped), &set(loaded));
            assert_eq!(words(&plan), expected, "{wanted} | {before:?} | {stopped} | {loaded}");
        }
    }

    #[test]
    fn names_of_units_are_names_of_pods() {
        assert_eq!(unit_of("kube-apiserver"), "static-pod@kube-apiserver.service");
        assert_eq!(name_of("static-pod@a.b-c.service"), Some("a.b-c"));
        for unit in [
            "static-pod@.service",
            "static-pod@..service",
            "static-pod@a/b.service",
            "x@a.service",
            "static-pod@A.service",
        ] {
            assert_eq!(name_of(unit), None, "{unit}");
        }
        assert!(!is_name("../etcd"));
    }

    fn desired(namespace: &str, name: &str) -> DesiredPod {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some(namespace.to_owned());
        pod.metadata.name = Some(name.to_owned());
        DesiredPod { pod: Arc::new(pod), source: PodSource::File(format!("/m/{namespace}-{name}.yaml").into()) }
    }

    #[test]
    fn a_name_belongs_to_one_pod() {
        let pods = [desired("b", "web-n1"), desired("a", "web-n1"), desired("kube-system", "etcd-n1")];
        let (units, clashes) = by_name(&pods, "N1"); // names of pods have it in lower case
        assert_eq!(units.keys().collect::<Vec<_>>(), ["etcd", "web"]);
        assert_eq!(units["web"].path, Some("/m/a-web-n1.yaml".into()));
        assert_eq!(clashes, ["b/web"]);
    }
}
