//! Static pods as systemd units: their names, the state that a unit shows, and which units to start or stop.
//!
//! A unit `static-pod@NAME.service` is active exactly while the static pod of the manifest's name is Ready. Its process
//! only watches; stopping the unit makes the kubelet act as if the manifest did not exist, until it is started again.

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

/// Runtime directory with the kubelet's socket for units, notes about stopped pods, and positions of forwarded logs. It
/// is lost at reboot, as is the state of units.
pub const RUN_DIR: &str = "/run/roost/static-pods";
/// The socket in [`RUN_DIR`].
pub const SOCKET: &str = "/run/roost/static-pods/socket";
/// Exit code of a unit's process if no manifest defines a pod of its name (sysexits' EX_NOINPUT); the unit is not
/// restarted then.
pub const NO_SUCH_POD: u8 = 66;

/// The unit for a pod name.
pub fn unit_of(name: &str) -> String {
    format!("static-pod@{name}.service")
}

/// The pod name in a unit's name; `None` for other units.
pub fn name_of(unit: &str) -> Option<&str> {
    let name = unit.strip_prefix("static-pod@")?.strip_suffix(".service")?;
    is_name(name).then_some(name)
}

/// True if a pod of this name can have a unit. Names come from command lines and become file names; unit names have at
/// most 255 characters.
pub fn is_name(name: &str) -> bool {
    name.len() <= 230 && is_dns_subdomain(name)
}

/// A static pod that has a unit.
#[derive(Clone, Debug)]
pub struct UnitPod {
    /// The pod, as its source provides it.
    pub pod: Arc<Pod>,
    /// Its manifest; `None` if it comes from a URL.
    pub path: Option<PathBuf>,
}

/// The static pods by the name in their manifests, and the full names of those without a unit: if several have a name,
/// the first by namespace gets it, and a name may be too long for a unit.
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

/// Changes to units and to notes about stopped pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitPlan {
    /// Names whose unit has to be started.
    pub start: Vec<String>,
    /// Names whose unit has to be stopped.
    pub stop: Vec<String>,
    /// Names whose note is deleted: their manifest was removed, and a later one of the same name is new.
    pub forget: Vec<String>,
}

/// Plans the units after the manifests changed. `before`: names at the previous plan, `None` after a start of the
/// kubelet; `loaded`: names whose unit is active or activating.
///
/// A stopped pod stays stopped across a restart of the kubelet, as any unit would; the unit of a new (or restored)
/// manifest is started.
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
            // After a restart of the kubelet, stopped units stay stopped, and the unit of a removed manifest is
            // stopped.
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
