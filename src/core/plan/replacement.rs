//! Holds a pod's status back for up to 1 s while one pass kills and restarts a container, so that readiness does not
//! flap.
//!
//! Upstream reports nothing in between, because one sync does both.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::action::Action;
use crate::core::model::time::Moment;
use crate::core::model::{Observed, RunState};

/// How long a status may be held back. Services send traffic to a pod as long as it is reported ready, so this is only
/// a little more than a container start takes.
const MOMENT: SignedDuration = SignedDuration::from_secs(1);

/// Containers that the current pass kills and restarts in the same sandbox.
#[derive(Debug, Default)]
pub struct Replacement {
    names: BTreeSet<String>,
    /// End of the delay, once one of them was observed not running.
    until: Option<Timestamp>,
}

impl Replacement {
    /// The containers that these actions replace.
    pub fn of(actions: &[Action]) -> Self {
        if actions.iter().any(|action| matches!(action, Action::CreateSandbox { .. })) {
            return Self::default();
        }
        let killed = |name: &str| {
            let mut kills = actions.iter().filter_map(|a| if let Action::Kill(kills) = a { Some(kills) } else { None });
            kills.any(|kills| kills.iter().any(|kill| kill.name == name))
        };
        let started =
            actions.iter().filter_map(|a| if let Action::Start(start) = a { Some(&start.name) } else { None });
        Self { names: started.filter(|name| killed(name)).cloned().collect(), until: None }
    }

    /// True if one of them is not running; the pass is about to start it.
    pub fn is_down(&self, observed: &Observed) -> bool {
        self.names.iter().any(|name| observed.container(name).is_none_or(|record| record.state != RunState::Running))
    }

    /// Until when the status is held back; `None` if it has to be reported now.
    pub fn holds_until(&mut self, observed: &Observed, now: Timestamp) -> Option<Timestamp> {
        if !self.is_down(observed) {
            return None;
        }
        Some(*self.until.get_or_insert(now.later(MOMENT))).filter(|until| now < *until)
    }
}
