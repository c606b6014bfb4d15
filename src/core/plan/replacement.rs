//! A container that one pass ends and starts again: what is told of its pod waits for the new one, for a moment.
//!
//! Upstream says nothing between the two, because one sync does both.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::action::Action;
use crate::core::model::time::Moment;
use crate::core::model::{Observed, RunState};

/// How long a status may wait. Services send to a pod for as long as it is told to be ready, so this is little more than
/// it takes to start a container.
const MOMENT: SignedDuration = SignedDuration::from_secs(1);

/// Containers that the pass under way ends and starts again in the same sandbox.
#[derive(Debug, Default)]
pub struct Replacement {
    names: BTreeSet<String>,
    /// The end of the moment, once one of them was seen to be down.
    until: Option<Timestamp>,
}

impl Replacement {
    /// What these actions replace.
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

    /// Whether one of them does not run yet; the pass is about to start it.
    pub fn is_down(&self, observed: &Observed) -> bool {
        self.names.iter().any(|name| observed.container(name).is_none_or(|record| record.state != RunState::Running))
    }

    /// Until when the status waits; none when it is to be told now.
    pub fn holds_until(&mut self, observed: &Observed, now: Timestamp) -> Option<Timestamp> {
        if !self.is_down(observed) {
            return None;
        }
        Some(*self.until.get_or_insert(now.later(MOMENT))).filter(|until| now < *until)
    }
}
