//! The controls of the CIS Kubernetes Benchmark (1.12) that can be checked on the node itself: id, title, and the
//! verdict for an observed node. Sections 3.1 and 5 are about people and workloads and are left out.

mod control;
mod control_plane;
mod flags;
mod node;
mod test;
#[cfg(test)]
mod tests;

use crate::core::model::spec::Component;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

pub use self::control::Files;
use self::control::{Check, Control};
pub use flags::{flags_among, flags_of};
pub use test::Test;

/// The edition that the ids refer to.
pub const BENCHMARK: &str = "cis-1.12";

/// Everybody may read, and only the owner may write.
const READABLE: u32 = 0o644;
/// What is stated of a unit that is a file of the Nix store.
const DECLARED_UNIT: &str = "the system declares it, in a store that everybody on the node may read; it has no secrets";

/// Mode and owner of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// The permission bits, e.g. 0o600.
    pub mode: u32,
    /// User id of the owner.
    pub user: u32,
    /// Group id of the owner.
    pub group: u32,
}

/// What was observed on a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// `true` if the node has a control plane.
    pub control_plane: bool,
    /// The system declares the units of the node (`node.units = "declared"`).
    pub declared_units: bool,
    /// The flags (without dashes) that the components of its control plane run with; missing ones have no entry.
    pub flags: BTreeMap<Component, BTreeMap<String, String>>,
    /// The KubeletConfiguration on its disk.
    pub kubelet: Value,
    /// The flags of the kubelet's unit; they override its configuration file.
    pub kubelet_flags: BTreeMap<String, String>,
    /// Mode and owner of each existing file.
    pub files: BTreeMap<Files, Vec<(PathBuf, FileFacts)>>,
}

/// Result of a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The node does what the control requires.
    Pass,
    /// The control fails without a documented reason.
    Fail,
    /// The control fails, and docs/security.md states why.
    FailByChoice,
    /// The node has nothing that the control examines.
    NotApplicable,
}

impl Verdict {
    /// The verdict as the tables and JSON print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::FailByChoice => "fail by choice",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// A control with its result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Judgement {
    /// Number of the control in the benchmark, e.g. `1.2.16`.
    pub id: &'static str,
    /// What the control requires, in a few words.
    pub title: &'static str,
    /// The verdict for this node.
    pub ours: Verdict,
    /// What was observed, followed by the documented reason if the control fails by choice.
    pub why: String,
}

/// All controls in the benchmark's order.
pub fn judge(observed: &Observed) -> Vec<Judgement> {
    let judgement = |control: &Control| {
        let (ours, why) = control.judge(observed);
        Judgement { id: control.id, title: control.title, ours, why }
    };
    controls().map(judgement).collect()
}

fn controls() -> impl Iterator<Item = &'static Control> {
    control_plane::CONTROLS.iter().chain(node::CONTROLS)
}

impl Control {
    fn judge(&self, observed: &Observed) -> (Verdict, String) {
        let of_node = self.id.starts_with("4.");
        if !of_node && !observed.control_plane {
            return (Verdict::NotApplicable, "this node has no control plane".to_owned());
        }
        match (self.check.look(observed), self.reason(observed)) {
            (None, _) => (Verdict::NotApplicable, self.check.absent()),
            (Some(Ok(seen)), _) => (Verdict::Pass, seen),
            (Some(Err(seen)), "") => (Verdict::Fail, seen),
            (Some(Err(seen)), reason) => (Verdict::FailByChoice, format!("{seen}; {reason}")),
        }
    }

    /// Why a failure is stated in docs/security.md; empty if it is not.
    fn reason(&self, observed: &Observed) -> &'static str {
        match self.check {
            Check::Mode(unit @ Files::KubeletUnit, _)
                if observed.declared_units && matches!(Check::Mode(unit, READABLE).look(observed), Some(Ok(_))) =>
            {
                DECLARED_UNIT
            }
            _ => self.stated,
        }
    }
}

impl Check {
    /// What was observed, `Ok` if it passes; `None` if there is nothing to check.
    fn look(&self, observed: &Observed) -> Option<Result<String, String>> {
        match *self {
            Self::Mode(files, most) => {
                judge_files(observed, files, |facts| facts.mode & !most == 0, |facts| format!("{:04o}", facts.mode))
            }
            Self::Root(files) => judge_files(observed, files, |facts| (facts.user, facts.group) == (0, 0), owner),
            Self::NotRoot(files) => judge_files(observed, files, |facts| facts.user != 0 && facts.group != 0, owner),
            Self::Flag(component, flag, test) => {
                let value = observed.flags.get(&component)?.get(flag).map(String::as_str);
                Some(test.judge(&format!("--{flag}"), value))
            }
            Self::Kubelet(flag, pointer, test) => {
                let name = pointer.trim_start_matches('/').replace('/', ".");
                match observed.kubelet_flags.get(flag) {
                    Some(value) => Some(test.judge(&format!("--{flag}"), Some(value))),
                    None => Some(test.judge(&name, field(&observed.kubelet, pointer).as_deref())),
                }
            }
        }
    }

    /// Why there is nothing to check.
    fn absent(&self) -> String {
        match self {
            Self::Mode(Files::Manifest(component), _) | Self::Root(Files::Manifest(component)) => {
                format!("{component} has no manifest on this node")
            }
            Self::Mode(..) | Self::Root(_) | Self::NotRoot(_) => "the file does not exist on this node".to_owned(),
            Self::Flag(component, ..) => format!("{component} is not running on this node"),
            Self::Kubelet(..) => "no kubelet runs on this node".to_owned(),
        }
    }
}

fn owner(facts: &FileFacts) -> String {
    format!("{}:{}", facts.user, facts.group)
}

fn judge_files(
    observed: &Observed,
    files: Files,
    fits: impl Fn(&FileFacts) -> bool,
    shown: impl Fn(&FileFacts) -> String,
) -> Option<Result<String, String>> {
    let all = observed.files.get(&files).filter(|all| !all.is_empty())?;
    let line = |(path, facts): &(PathBuf, FileFacts)| format!("{} {}", path.display(), shown(facts));
    Some(match all.iter().find(|(_, facts)| !fits(facts)) {
        Some(odd) => Err(line(odd)),
        None => Ok(all.first().map(line).unwrap_or_default()),
    })
}

/// A field printed as a flag would be, lists with commas; `None` if it does not exist or is empty.
fn field(configuration: &Value, pointer: &str) -> Option<String> {
    match configuration.pointer(pointer)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            (!items.is_empty()).then(|| items.join(","))
        }
        other => Some(other.to_string()),
    }
}
