//! The moves that bring one node's control plane to its target manifests, or back to the previous ones.
//!
//! The only state are the manifests themselves: the present ones, and copies of those that were replaced. After an
//! interruption, some of them are replaced already.

use crate::core::model::spec::Component;
use std::fmt;

/// State of the pod of a present manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// It runs as the manifest describes, and is healthy.
    Healthy,
    /// It is starting, or not healthy yet.
    Pending,
    /// It has failed; the reason.
    Failed(String),
}

/// The files of one component of this node's control plane, and how it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The component whose manifest or unit is replaced.
    pub component: Component,
    /// The manifest that the settings require.
    pub wanted: String,
    /// The manifest on the node; `None` if there is none.
    pub present: Option<String>,
    /// The kept copy of the previous manifest; `None` unless an upgrade has replaced it.
    pub kept: Option<String>,
    /// State of the pod of the present manifest.
    pub state: PodState,
}

impl Replacement {
    fn is_wanted(&self) -> bool {
        self.present.as_ref() == Some(&self.wanted)
    }
}

/// The input from which the next move is derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The components in dependency order: etcd first.
    pub components: Vec<Replacement>,
    /// This run has taken a snapshot of etcd, or none is wanted.
    pub snapshot: bool,
    /// A component did not become healthy: everything is being rolled back.
    pub rolling_back: bool,
}

impl Facts {
    /// True when manifests were replaced and are not known to be healthy yet.
    pub fn is_under_way(&self) -> bool {
        self.components.iter().any(|component| component.kept.is_some())
    }
}

/// One move of an upgrade or rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Take a snapshot of etcd, before anything is changed.
    Snapshot,
    /// Keep a copy of the present manifest.
    Keep(Component),
    /// Write the target manifest.
    Write(Component),
    /// Wait for the component's pod, then observe again.
    Wait(Component),
    /// Stop the upgrade and roll back.
    RollBack {
        /// The component that does not become healthy.
        component: Component,
        /// The reason it failed, or that it timed out.
        why: String,
    },
    /// Restore the kept copy.
    Restore(Component),
    /// Remove the copies, which are no longer needed.
    Forget,
    /// Finished: every component runs its target manifest and is healthy.
    Done,
    /// Finished: all components are rolled back.
    RolledBack,
    /// Give up: neither the upgrade nor the rollback succeeds.
    Stuck {
        /// The component that does not become healthy.
        component: Component,
        /// The reason it failed, or that it timed out.
        why: String,
    },
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot => f.write_str("take a snapshot of etcd"),
            Self::Keep(component) => write!(f, "keep a copy of the manifest of {component}"),
            Self::Write(component) => write!(f, "replace the manifest of {component} and wait until it is healthy"),
            Self::Wait(component) => write!(f, "wait until {component} is healthy"),
            Self::RollBack { component, why } => write!(f, "{component} does not become healthy: {why}"),
            Self::Restore(component) => write!(f, "restore the previous manifest of {component}"),
            Self::Forget => f.write_str("remove the copies of the previous manifests"),
            Self::Done => f.write_str("done"),
            Self::RolledBack => f.write_str("all components are rolled back"),
            Self::Stuck { component, why } => write!(f, "{component} is unhealthy: {why}"),
        }
    }
}

/// Derives the next move. It is total: every state of a node has one.
pub fn next(facts: &Facts) -> Move {
    if facts.rolling_back { back(facts) } else { forth(facts) }
}

fn forth(facts: &Facts) -> Move {
    let under_way = facts.is_under_way();
    for component in &facts.components {
        let name = component.component;
        if component.is_wanted() {
            match &component.state {
                PodState::Healthy => continue,
                PodState::Pending => return Move::Wait(name),
                PodState::Failed(why) if under_way => return Move::RollBack { component: name, why: why.clone() },
                PodState::Failed(why) => return Move::Stuck { component: name, why: why.clone() },
            }
        }
        // Copies are made after the snapshot: if there is one, the snapshot was taken.
        if !under_way && !facts.snapshot {
            return Move::Snapshot;
        }
        // A copy from before an interruption belongs to the last complete set; later manifests are not kept.
        if component.kept.is_none() && component.present.is_some() {
            return Move::Keep(name);
        }
        return Move::Write(name);
    }
    if under_way { Move::Forget } else { Move::Done }
}

fn back(facts: &Facts) -> Move {
    // Controllers first: they may be older than the API server, never newer.
    for component in facts.components.iter().rev() {
        // An etcd that became healthy with its new version stays: an older one may be unable to read its data.
        let stays =
            component.component == Component::Etcd && component.is_wanted() && component.state == PodState::Healthy;
        if component.kept.is_some() && component.kept != component.present && !stays {
            return Move::Restore(component.component);
        }
    }
    for component in &facts.components {
        match &component.state {
            PodState::Healthy => {}
            PodState::Pending => return Move::Wait(component.component),
            PodState::Failed(why) => return Move::Stuck { component: component.component, why: why.clone() },
        }
    }
    if facts.is_under_way() { Move::Forget } else { Move::RolledBack }
}

/// All moves, assuming that every component becomes healthy: the plan of a dry run.
pub fn foresee(facts: &Facts) -> Vec<Move> {
    let mut facts = facts.clone();
    let mut moves = Vec::new();
    loop {
        let coming = next(&facts);
        if matches!(coming, Move::Done | Move::RolledBack | Move::Stuck { .. } | Move::RollBack { .. }) {
            return moves;
        }
        facts.assume(&coming);
        moves.push(coming);
    }
}

impl Facts {
    fn assume(&mut self, done: &Move) {
        match done {
            Move::Snapshot => self.snapshot = true,
            Move::Forget => self.components.iter_mut().for_each(|component| component.kept = None),
            Move::Keep(name) | Move::Write(name) | Move::Wait(name) | Move::Restore(name) => {
                let Some(component) = self.components.iter_mut().find(|found| found.component == *name) else {
                    return;
                };
                match done {
                    Move::Keep(_) => component.kept = component.present.clone(),
                    Move::Write(_) => component.present = Some(component.wanted.clone()),
                    Move::Restore(_) => component.present = component.kept.clone(),
                    _ => {}
                }
                if !matches!(done, Move::Keep(_)) {
                    component.state = PodState::Healthy;
                }
            }
            Move::Done | Move::RolledBack | Move::Stuck { .. } | Move::RollBack { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Component; 4] = Component::REQUIRED;

    /// A node whose pods become healthy one observation after their manifest changed, except a broken one.
    struct World {
        facts: Facts,
        broken: Option<Component>,
        said: Vec<Move>,
    }

    impl World {
        fn new(changed: &[Component], broken: Option<Component>) -> Self {
            let component = |component: Component| Replacement {
                component,
                wanted: if changed.contains(&component) { "new".to_owned() } else { "old".to_owned() },
                present: Some("old".to_owned()),
                kept: None,
                state: PodState::Healthy,
            };
            let components = ALL.into_iter().map(component).collect();
            Self { facts: Facts { components, snapshot: false, rolling_back: false }, broken, said: Vec::new() }
        }

        fn look(&mut self) {
            for component in &mut self.facts.components {
                let broken = self.broken == Some(component.component) && component.present.as_deref() == Some("new");
                if component.state == PodState::Pending {
                    component.state = if broken { PodState::Failed("it ends".to_owned()) } else { PodState::Healthy };
                }
            }
        }

        /// Executes one move; `None` at the end.
        fn advance(&mut self) -> Option<Move> {
            let coming = next(&self.facts);
            self.said.push(coming.clone());
            match &coming {
                Move::Done | Move::RolledBack | Move::Stuck { .. } => return None,
                Move::RollBack { .. } => self.facts.rolling_back = true,
                Move::Wait(_) => self.look(),
                other => self.facts.assume(other),
            }
            if let Move::Write(name) | Move::Restore(name) = &coming {
                let component =
                    self.facts.components.iter_mut().find(|component| component.component == *name).unwrap();
                component.state = PodState::Pending;
            }
            Some(coming)
        }

        fn run(&mut self) {
            while self.advance().is_some() {
                assert!(self.said.len() < 100, "{:#?}", self.said);
            }
        }

        /// A new process, which knows only what it observes on the node.
        fn forget_all_but_the_node(&mut self) {
            self.facts.snapshot = false;
            self.facts.rolling_back = false;
        }

        fn manifests(&self) -> Vec<&str> {
            self.facts.components.iter().map(|component| component.present.as_deref().unwrap_or("none")).collect()
        }
    }

    #[test]
    fn one_component_after_another_and_a_snapshot_before_all() {
        let mut world = World::new(&ALL[1..], None);
        let foreseen = foresee(&world.facts);
        world.run();
        let told: Vec<String> = foreseen.iter().map(ToString::to_string).collect();
        assert_eq!(told[0], "take a snapshot of etcd");
        assert_eq!(told[2], "replace the manifest of kube-apiserver and wait until it is healthy");
        world.said.retain(|said| !matches!(said, Move::Wait(_)));
        assert_eq!(world.said.pop(), Some(Move::Done));
        assert_eq!(world.said, foreseen, "a dry run tells what is done");
        let mut nothing = World::new(&[], None);
        nothing.run();
        assert_eq!(nothing.said, [Move::Done]);
    }

    #[test]
    fn cut_short_anywhere_it_comes_to_the_wanted_set_or_back_to_the_former() {
        for broken in [None, Some(ALL[0]), Some(ALL[1]), Some(ALL[2]), Some(ALL[3])] {
            let changed: &[Component] = if broken == Some(Component::Etcd) { &ALL } else { &ALL[1..] };
            let mut whole = World::new(changed, broken);
            whole.run();
            for cut in 0..=whole.said.len() {
                let mut world = World::new(changed, broken);
                (0..cut).for_each(|_| drop(world.advance()));
                world.forget_all_but_the_node();
                world.run();
                let place = format!("{broken:?} cut after {cut}: {:#?}", world.said);
                let end = world.said.last();
                if broken.is_some() {
                    assert_eq!((world.manifests(), end), (vec!["old"; 4], Some(&Move::RolledBack)), "{place}");
                } else {
                    assert_eq!((&world.manifests()[1..], end), (&["new"; 3][..], Some(&Move::Done)), "{place}");
                }
                assert!(!world.facts.is_under_way(), "copies are left: {place}");
                let first = |wanted: fn(&Move) -> bool| world.said.iter().position(wanted);
                let written = first(|said| matches!(said, Move::Write(_)));
                assert!(written.is_none() || first(|said| *said == Move::Snapshot) < written, "{place}");
            }
        }
    }

    #[test]
    fn an_etcd_that_came_up_stays_when_something_else_does_not() {
        let mut world = World::new(&ALL, Some(Component::Scheduler));
        world.run();
        assert_eq!(world.said.last(), Some(&Move::RolledBack));
        assert_eq!(world.manifests(), ["new", "old", "old", "old"]);
    }

    #[test]
    fn what_was_ill_before_is_not_taken_for_a_failed_upgrade() {
        let mut world = World::new(&[], None);
        world.facts.components[1].state = PodState::Failed("it ends".to_owned());
        world.run();
        assert_eq!(world.said, [Move::Stuck { component: Component::ApiServer, why: "it ends".to_owned() }]);
    }

    #[test]
    fn a_third_version_after_a_cut_still_returns_to_the_first() {
        let mut world = World::new(&ALL[1..], Some(Component::ControllerManager));
        while world.manifests()[1] != "new" || world.facts.components[1].state != PodState::Healthy {
            world.advance();
        }
        world.forget_all_but_the_node();
        world.facts.components.iter_mut().skip(1).for_each(|component| component.wanted = "newest".to_owned());
        world.look();
        world.advance();
        assert_eq!(world.manifests()[1], "newest");
        assert_eq!(world.facts.components[1].kept.as_deref(), Some("old"));
    }
}
