//! The user's own flags of components (`[args]`): what a component of the cluster's version refuses to start with.

use std::collections::BTreeMap;

use crate::core::model::Release;
use crate::core::model::spec::{Component, ExtraArgs};

/// Names that set all gates of a stage.
const ALL: [&str; 2] = ["AllAlpha", "AllBeta"];

/// Flags that the components of this version no longer have, and feature gates that they do not know or that are locked
/// to the other value: with one of them a component does not start. `args` has the flags by component.
pub fn find_refused(release: &Release, args: &BTreeMap<String, ExtraArgs>) -> Vec<String> {
    let mut faults = Vec::new();
    for (component, flags) in args {
        // An empty value removes a flag.
        for (flag, value) in flags.iter().filter(|(_, value)| !value.is_empty()) {
            if let Some(minor) = release.removal_of(component, flag) {
                let owner = if component == "etcd" { "etcd of Kubernetes " } else { "" };
                faults.push(format!(
                    "{component} --{flag}: {owner}{minor} removed this flag, and {component} would not start with it; remove it"
                ));
            } else if flag == "feature-gates" && has_gates(component) {
                faults.extend(refused_gates(release, component, value));
            }
        }
    }
    faults
}

/// True for the components whose gates are those of the table; others have gates of their own.
fn has_gates(component: &str) -> bool {
    Component::CONTROL_PLANE.iter().any(|known| known.name() == component)
}

fn refused_gates(release: &Release, component: &str, list: &str) -> Vec<String> {
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    let refused = pairs.filter_map(|(name, value)| {
        let (name, wanted) = (name.trim(), ["true", "1", "t", "T", "TRUE", "True"].contains(&value.trim()));
        let why = match release.gate(name) {
            _ if ALL.contains(&name) => return None,
            None => release.why_no_gate(name),
            Some(state) if state.locked && state.default != wanted => {
                format!("the gate is locked to {}", state.default)
            }
            Some(_) => return None,
        };
        Some(format!(
            "{component} --feature-gates={name}: {why}, and {component} of {} would not start with it; remove it",
            release.name()
        ))
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(release: &Release, component: &str, flag: &str, value: &str) -> Vec<String> {
        let flags = ExtraArgs::from([(flag.to_owned(), value.to_owned())]);
        find_refused(release, &BTreeMap::from([(component.to_owned(), flags)]))
    }

    #[test]
    fn a_flag_is_refused_from_the_version_that_removed_it() {
        let [v35, v36, v37] = Release::all();
        for (component, flag, words) in [
            (
                "kube-controller-manager",
                "concurrent-service-syncs",
                "--concurrent-service-syncs: v1.37 removed this flag",
            ),
            ("etcd", "experimental-initial-corrupt-check", "etcd of Kubernetes v1.37 removed this flag"),
            ("etcd", "discovery", "--discovery: etcd of Kubernetes v1.37"),
        ] {
            assert_eq!(refused(v35, component, flag, "1"), [""; 0], "{flag}");
            assert_eq!(refused(v36, component, flag, "1"), [""; 0], "{flag}");
            let faults = refused(v37, component, flag, "1");
            assert!(faults.len() == 1 && faults[0].contains(words), "{faults:?}");
            assert_eq!(refused(v37, component, flag, ""), [""; 0], "an empty value removes the flag");
        }
        for harmless in ["discovery-srv", "snapshot-count"] {
            assert_eq!(refused(v37, "etcd", harmless, "1"), [""; 0]);
        }
        assert_eq!(refused(v37, "kube-scheduler", "concurrent-service-syncs", "1"), [""; 0], "not its flag");
    }

    #[test]
    fn a_gate_is_refused_by_the_table_of_the_version() {
        let [_, v36, v37] = Release::all();
        let gates = "GangScheduling=false,AllAlpha=true,NodeSwap=false,SELinuxMount=true";
        let of = |release| refused(release, "kube-apiserver", "feature-gates", gates);
        let faults = of(v37);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(
            faults[0],
            "kube-apiserver --feature-gates=GangScheduling: unknown feature gate: removed in v1.37, and kube-apiserver of \
             v1.37 would not start with it; remove it"
        );
        assert!(faults[1].contains("NodeSwap: the gate is locked to true"), "{faults:?}");
        assert_eq!(of(v36).len(), 1, "{:?}", of(v36));
        assert_eq!(refused(v37, "etcd", "feature-gates", "InitialCorruptCheck=true"), [""; 0], "etcd's own");
    }
}
