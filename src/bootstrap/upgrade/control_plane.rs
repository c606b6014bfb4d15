//! Executes the moves of one node's control plane.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use super::form::Form;
use super::pods::ComponentHealth;
use super::{Purpose, manifests};
use crate::bootstrap::observe::observe_facts;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::{etcd, renewal};
use crate::core::bootstrap::upgrade::difference::difference;
use crate::core::bootstrap::upgrade::moves::{Facts, Move, PodState, Replacement, foresee, next};
use crate::core::model::StepOutcome;
use crate::core::model::spec::{Component, Spec};
use crate::ports::bootstrap::{ClusterObjects, EtcdFiles, Progress};

const PAUSE: Duration = Duration::from_millis(500);
/// Number of container exits after which a component counts as failed.
const ENDS: u32 = 3;
/// Id and title of this phase for progress output.
const PHASE: (&str, &str) = ("control-plane", "control plane, component by component");

/// What a change from one set of manifests to another needs besides the ports.
pub struct ControlPlaneChange<'a> {
    /// Keeps etcd's data files.
    pub etcd_files: &'a dyn EtcdFiles,
    /// How long each component may take to become healthy.
    pub timeout: Duration,
    /// Only report the moves.
    pub dry_run: bool,
    /// Why the control plane is changed.
    pub purpose: Purpose,
    /// Renews the Lease of this node's turn; `None` if there are no turns.
    pub turn: Option<Arc<dyn ClusterObjects>>,
}

/// State of a component when the wait for it began.
struct Waiting {
    uid: String,
    since: Instant,
    restarts: u32,
}

/// A run in progress.
struct Run<'a> {
    ports: &'a Ports,
    spec: &'a Spec,
    change: &'a ControlPlaneChange<'a>,
    progress: &'a dyn Progress,
    form: Form,
    wanted: Vec<(Component, String)>,
    snapshot: Option<PathBuf>,
    needs_snapshot: bool,
    given_up: Option<(Component, String)>,
    waiting: BTreeMap<Component, Waiting>,
    /// The most recent observation of each component.
    observed: BTreeMap<Component, ComponentHealth>,
}

/// Brings this node's control plane to the manifests of the settings. Returns how many were replaced (or, in a dry run,
/// would be).
pub async fn upgrade_control_plane(
    ports: &Ports,
    spec: &Spec,
    change: &ControlPlaneChange<'_>,
    progress: &dyn Progress,
) -> Result<usize, Error> {
    let begun = Instant::now();
    progress.phase_begins(PHASE.0, PHASE.1, (1, 1));
    let form = Form::of(&observe_facts(ports, spec, false).await?)?;
    if form == Form::Services && change.purpose == Purpose::Version {
        return Err(Error::AreServices);
    }
    if form.mode_of_cluster() != spec.cluster.mode && change.purpose == Purpose::Settings {
        return Err(Error::OtherMode { to: spec.cluster.mode.as_str() });
    }
    if form == Form::Pods && !change.dry_run {
        etcd::needs_kubelet(ports).await?;
    }
    let mut run = Run {
        ports,
        spec,
        change,
        progress,
        form,
        wanted: manifests::wanted(ports, spec, form, change.purpose).await?,
        snapshot: None,
        // Snapshots of an external etcd are taken by its operator.
        needs_snapshot: spec.cluster.external_etcd.is_none() && change.purpose == Purpose::Version,
        given_up: None,
        waiting: BTreeMap::new(),
        observed: BTreeMap::new(),
    };
    let changed = if change.dry_run { run.dry_run().await? } else { run.go().await? };
    progress.phase_ends(PHASE.0, changed, begun.elapsed());
    Ok(changed)
}

impl Run<'_> {
    async fn dry_run(&mut self) -> Result<usize, Error> {
        let facts = self.observe().await?;
        let moves = foresee(&facts);
        for coming in &moves {
            self.progress.step_ends(PHASE.0, &coming.to_string(), StepOutcome::Planned);
            for line in changed_lines(coming, &facts) {
                self.progress.step_ends(PHASE.0, &line, StepOutcome::Planned);
            }
        }
        Ok(moves.iter().filter(|coming| matches!(coming, Move::Write(_))).count())
    }

    async fn go(&mut self) -> Result<usize, Error> {
        let mut written = 0;
        let mut waited_for: Option<Component> = None;
        loop {
            let facts = self.observe().await?;
            let coming = next(&facts);
            if let Some(name) = waited_for.filter(|name| coming != Move::Wait(*name)) {
                waited_for = None;
                self.waiting.remove(&name);
                if !matches!(coming, Move::RollBack { .. } | Move::Stuck { .. }) {
                    self.progress.step_ends(PHASE.0, &format!("{name} is healthy"), StepOutcome::Changed);
                    self.progress.step_says(&format!("{name} is healthy"));
                }
            }
            let line = coming.to_string();
            match &coming {
                Move::Done => return Ok(written),
                Move::RolledBack => {
                    let Some((component, why)) = self.given_up.take() else { return Ok(written) };
                    return Err(Error::RolledBack { component, why, snapshot: self.snapshot.take() });
                }
                Move::Stuck { component, why } => {
                    let kept = self.change.purpose.kept();
                    return Err(Error::Stuck { component: *component, why: why.clone(), kept });
                }
                Move::Wait(name) => {
                    if waited_for != Some(*name) {
                        self.progress.step_begins(&line);
                        waited_for = Some(*name);
                        self.begin_waiting(*name).await?;
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Move::RollBack { component, why } => {
                    self.progress.step_says(&format!("{line}; rolling back to the previous manifests"));
                    self.given_up = Some((*component, why.clone()));
                    self.waiting.clear();
                    continue;
                }
                _ => {}
            }
            self.progress.step_begins(&line);
            changed_lines(&coming, &facts).iter().for_each(|line| self.progress.step_says(line));
            self.carry_out(&coming, &facts).await?;
            if !matches!(coming, Move::Keep(_) | Move::Forget) {
                self.progress.step_says(&line);
            }
            self.progress.step_ends(PHASE.0, &line, StepOutcome::Changed);
            written = written.saturating_add(usize::from(matches!(coming, Move::Write(_))));
        }
    }

    /// Moves that change something.
    async fn carry_out(&mut self, coming: &Move, facts: &Facts) -> Result<(), Error> {
        let files = &self.ports.files;
        let (kept, form, spec) = (self.change.purpose.kept(), self.form, self.spec);
        let of = |name: &Component| facts.components.iter().find(|found| found.component == *name);
        let (target, content) = match coming {
            Move::Snapshot => return self.take_snapshot().await,
            Move::Forget => return Ok(files.empty_dir(kept)?),
            Move::Keep(name) => {
                files.ensure_dir(kept, 0o700)?;
                (form.kept(spec, *name, self.change.purpose), of(name).and_then(|component| component.present.as_ref()))
            }
            Move::Write(name) => {
                if *name == Component::Etcd {
                    self.require_healthy_members().await?;
                }
                self.hold_turn().await;
                (form.path(spec, *name), of(name).map(|component| &component.wanted))
            }
            Move::Restore(name) => {
                self.hold_turn().await;
                (form.path(spec, *name), of(name).and_then(|component| component.kept.as_ref()))
            }
            Move::Wait(_) | Move::RollBack { .. } | Move::Done | Move::RolledBack | Move::Stuck { .. } => return Ok(()),
        };
        let Some(content) = content else { return Ok(()) };
        files.write(&target, content.as_bytes(), form.mode())?;
        Ok(())
    }

    async fn take_snapshot(&mut self) -> Result<(), Error> {
        let folder = &self.spec.node.paths.snapshots;
        self.ports.files.ensure_dir(folder, 0o700)?;
        // A name with its own prefix: the snapshot timer removes only its own old files.
        let stamp = (self.ports.now)().strftime("%Y%m%dT%H%M%SZ");
        let file = format!("before-{}-{}-{stamp}.db", self.spec.cluster.version, self.spec.node.name);
        let path = folder.join(file);
        let taken = etcd::take(self.ports, self.change.etcd_files, self.spec, Some(&path), folder, 0).await?;
        self.snapshot = Some(taken.path);
        Ok(())
    }

    /// While this member restarts, the others have to agree without it.
    async fn require_healthy_members(&self) -> Result<(), Error> {
        let reports = etcd::health(self.ports, self.spec).await?;
        // If the members are unknown there is no quorum to lose, and this member may have a wrong address.
        if self.change.purpose == Purpose::Settings && reports.iter().all(|report| report.name.is_empty()) {
            return Ok(());
        }
        let ill = reports.iter().filter(|report| report.name != self.spec.node.name && !report.is_healthy());
        let ill: Vec<String> = ill.map(|report| report.name.clone()).collect();
        if ill.is_empty() { Ok(()) } else { Err(Error::UnhealthyMembers(ill.join(", "))) }
    }

    async fn hold_turn(&self) {
        if let Some(objects) = &self.change.turn {
            renewal::hold_turn(objects.as_ref(), &self.spec.node.name, (self.ports.now)()).await;
        }
    }

    async fn begin_waiting(&mut self, name: Component) -> Result<(), Error> {
        self.form.load_unit(self.ports, self.spec, name).await?;
        if let Some(health) = self.observed.get(&name) {
            let waiting = Waiting { uid: health.uid.clone(), since: Instant::now(), restarts: health.restarts };
            self.waiting.insert(name, waiting);
        }
        Ok(())
    }

    async fn observe(&mut self) -> Result<Facts, Error> {
        let mut components = Vec::new();
        for &(component, ref wanted) in &self.wanted {
            let present = self.ports.files.read(&self.form.path(self.spec, component))?;
            let kept = self.ports.files.read(&self.form.kept(self.spec, component, self.change.purpose))?;
            let state = match &present {
                None => PodState::Pending,
                Some(text) => {
                    let seen = self.form.observe_health(self.ports, self.spec, component, text).await?;
                    let state = judge(&seen, self.waiting.get(&component), self.change.timeout);
                    self.observed.insert(component, seen);
                    state
                }
            };
            components.push(Replacement { component, wanted: wanted.clone(), present, kept, state });
        }
        let snapshot = self.snapshot.is_some() || !self.needs_snapshot;
        Ok(Facts { components, snapshot, rolling_back: self.given_up.is_some() })
    }
}

/// The lines of a manifest or unit that a move changes.
fn changed_lines(coming: &Move, facts: &Facts) -> Vec<String> {
    let Move::Write(name) = coming else { return Vec::new() };
    let component = facts.components.iter().find(|found| found.component == *name);
    let lines =
        component.map(|component| difference(component.present.as_deref().unwrap_or_default(), &component.wanted));
    lines.unwrap_or_default().iter().map(|line| format!("  {line}")).collect()
}

/// Only the component that is waited for can fail: a controller may exit while its API server is down.
fn judge(health: &ComponentHealth, waiting: Option<&Waiting>, timeout: Duration) -> PodState {
    if health.healthy {
        return PodState::Healthy;
    }
    let Some(waiting) = waiting else { return PodState::Pending };
    let before = if waiting.uid == health.uid { waiting.restarts } else { 0 };
    let more = health.restarts.saturating_sub(before);
    if health.exited && more >= ENDS {
        return PodState::Failed(format!("{}, {} times", health.reason, more.saturating_add(1)));
    }
    match waiting.since.elapsed() > timeout {
        true => PodState::Failed(format!("unhealthy after {} s: {}", timeout.as_secs(), health.reason)),
        false => PodState::Pending,
    }
}
