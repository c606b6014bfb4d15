//! Each control fails on a node that violates it, and passes on a node that we set up.

use super::*;
use crate::config::cluster::{HostDefaults, Layers, derive_spec};
use crate::core::bootstrap::static_pods::arguments;
use crate::core::bootstrap::{Facts, phases};
use crate::core::model::spec::{Component, Spec};

fn spec(settings: &[(&str, &str)]) -> Spec {
    let mut layers = Layers::defaults();
    for (name, value) in settings {
        assert_eq!(layers.add_flag(name, value), []);
    }
    let host = HostDefaults { name: "n1".into(), address: Some([10, 0, 0, 1].into()), program: "/b".into() };
    derive_spec(&layers, &host).unwrap()
}

/// A node with these settings whose files belong to root, except etcd's.
fn node(settings: &[(&str, &str)]) -> Observed {
    let spec = spec(settings);
    let facts = Facts::at(jiff::Timestamp::UNIX_EPOCH);
    let mut observed = Observed { control_plane: true, ..Observed::default() };
    for component in Component::REQUIRED {
        let flags = arguments(component, &spec, &facts).unwrap();
        let split = |flag: &String| flag.strip_prefix("--").unwrap().split_once('=').map(|(a, b)| (a.into(), b.into()));
        observed.flags.insert(component, flags.iter().filter_map(split).collect());
    }
    observed.kubelet = crate::core::bootstrap::objects::render_kubelet_configuration(&phases::objects::derive(&spec));
    for control in controls() {
        if let Check::Mode(files, _) | Check::Root(files) | Check::NotRoot(files) = control.check {
            let owner = if files == Files::EtcdData { 998 } else { 0 };
            observed.files.insert(files, vec![("/f".into(), FileFacts { mode: 0o400, user: owner, group: owner })]);
        }
    }
    observed
}

fn failed(observed: &Observed) -> Vec<&'static str> {
    judge(observed).iter().filter(|judged| judged.ours == Verdict::Fail).map(|judged| judged.id).collect()
}

#[test]
fn a_new_cluster_fails_no_control_but_those_with_a_reason() {
    // The CA for kubelets is created together with their certificates.
    assert_eq!(failed(&node(&[("args", "[kube-apiserver]\nkubelet-certificate-authority = \"/ca\"")])), [""; 0]);
    let lax = failed(&node(&[("security.hardening", "false")]));
    for id in ["1.2.3", "1.2.15", "1.2.16", "1.2.29", "1.2.30", "1.3.2", "1.4.1", "3.2.1", "4.2.13", "4.2.14"] {
        assert!(lax.contains(&id), "{id} is not among {lax:?}");
    }
}

/// Violates one control on the node.
fn spoil(observed: &mut Observed, check: Check) {
    let put = |flags: &mut BTreeMap<String, String>, flag: &str, value: Option<String>| match value {
        Some(value) => drop(flags.insert(flag.to_owned(), value)),
        None => drop(flags.remove(flag)),
    };
    let owned = |user| FileFacts { mode: 0o777, user, group: user };
    match check {
        Check::Mode(files, most) => {
            let facts = FileFacts { mode: most | 0o010, user: 0, group: 0 };
            observed.files.insert(files, vec![("/f".into(), facts)]);
        }
        Check::Root(files) => drop(observed.files.insert(files, vec![("/f".into(), owned(1000))])),
        Check::NotRoot(files) => drop(observed.files.insert(files, vec![("/f".into(), owned(0))])),
        Check::Flag(component, flag, test) => {
            put(observed.flags.get_mut(&component).unwrap(), flag, test.counterexample());
        }
        Check::Kubelet(flag, pointer, test) => match test.counterexample() {
            Some(value) => put(&mut observed.kubelet_flags, flag, Some(value)),
            None => {
                if let Some(value) = observed.kubelet.pointer_mut(pointer) {
                    *value = Value::Null;
                }
            }
        },
    }
}

#[test]
fn each_control_fails_where_it_is_not_kept() {
    for control in controls() {
        let mut observed = node(&[]);
        spoil(&mut observed, control.check);
        let (ours, why) = control.judge(&observed);
        let wanted = if control.stated.is_empty() { Verdict::Fail } else { Verdict::FailByChoice };
        assert_eq!(ours, wanted, "{} {}: {why}", control.id, control.title);
    }
}

#[test]
fn a_reason_is_given_for_what_fails_by_default_and_for_nothing_else() {
    let mut observed = node(&[]);
    observed.kubelet_flags.insert("hostname-override".into(), "n1".into());
    observed.files.insert(Files::EtcdData, vec![("/f".into(), FileFacts { mode: 0o700, user: 0, group: 0 })]);
    let by_choice: Vec<&str> =
        judge(&observed).iter().filter(|judged| judged.ours == Verdict::FailByChoice).map(|judged| judged.id).collect();
    let stated: Vec<&str> = controls().filter(|control| !control.stated.is_empty()).map(|control| control.id).collect();
    assert_eq!(by_choice, stated);
}

#[test]
fn a_worker_is_asked_for_its_kubelet_alone() {
    let mut observed = node(&[]);
    observed.control_plane = false;
    for judged in judge(&observed) {
        assert_eq!(judged.ours == Verdict::NotApplicable, !judged.id.starts_with("4."), "{} {}", judged.id, judged.why);
    }
}

#[test]
fn services_have_no_manifests_to_look_at() {
    let mut observed = node(&[]);
    observed.files.retain(|files, _| !matches!(files, Files::Manifest(_)));
    let judged = judge(&observed);
    let first = judged.first().unwrap();
    assert_eq!((first.id, first.ours), ("1.1.1", Verdict::NotApplicable));
    assert_eq!(first.why, "kube-apiserver has no manifest on this node");
}

#[test]
fn ids_are_in_their_order_and_once() {
    let number = |id: &str| id.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let numbers: Vec<_> = controls().map(|control| number(control.id)).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}
