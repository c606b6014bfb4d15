//! Runs phases: reads facts, makes the plan, and prints or applies each step that is not met.

use std::time::Instant;

use futures::StreamExt;

use super::error::StepError;
use super::observe::observe_facts;
use super::ports::Ports;
use super::steps::{apply, is_met};
use crate::core::bootstrap::step::{KubeconfigStep, ObjectStep, PkiStep};
use crate::core::bootstrap::{Facts, Phase, PhaseError, Step, declared_units};
use crate::core::model::StepOutcome;
use crate::core::model::spec::Spec;
use crate::ports::bootstrap::Progress;

/// How many objects are applied at a time.
const OBJECTS_AT_ONCE: usize = 6;

/// Options of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Only report the steps.
    pub dry_run: bool,
    /// Run only the phase with this id.
    pub only: Option<String>,
    /// Issue leaf certificates again even if they are valid.
    pub reissue: bool,
    /// This node joins an existing etcd.
    pub joins_etcd: bool,
}

impl RunOptions {
    fn forces(&self, step: &Step) -> bool {
        self.reissue && matches!(step, Step::Pki(PkiStep::IssueCert(_)) | Step::Kubeconfig(KubeconfigStep::Write(_)))
    }
}

/// Why a run failed. What was started keeps running; the same command continues it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no such phase.
    #[error("unknown phase \"{name}\"; known phases: {known}")]
    NoPhase {
        name: String,
        /// Ids of all phases.
        known: String,
    },
    /// A phase cannot be planned.
    #[error("phase {phase}")]
    Plan {
        /// Id of the phase.
        phase: &'static str,
        /// Why there is no plan.
        #[source]
        source: PhaseError,
    },
    #[error("phase {phase}: {step}")]
    Step {
        /// Id of the phase.
        phase: &'static str,
        /// The step, as one line.
        step: String,
        #[source]
        source: StepError,
    },
}

/// Runs the phases in order. Returns how many steps were changed (or, in a dry run, would be).
pub async fn run(
    phases: &[Phase],
    spec: &Spec,
    ports: &Ports,
    options: &RunOptions,
    facts_of: &(dyn Fn(Facts) -> Facts + Sync),
    progress: &dyn Progress,
) -> Result<usize, RunError> {
    if let Some(name) = &options.only
        && !phases.iter().any(|phase| phase.id == name)
    {
        let known = phases.iter().map(|phase| phase.id).collect::<Vec<_>>().join(", ");
        return Err(RunError::NoPhase { name: name.clone(), known });
    }
    let chosen: Vec<&Phase> =
        phases.iter().filter(|phase| options.only.as_deref().is_none_or(|only| only == phase.id)).collect();
    let mut assumed: Vec<Step> = Vec::new();
    let mut total: usize = 0;
    for (index, phase) in chosen.iter().enumerate() {
        let begun = Instant::now();
        progress.phase_begins(phase.id, phase.summary, (index.saturating_add(1), chosen.len()));
        let failed = |step: &str| {
            let step = step.to_owned();
            move |source| RunError::Step { phase: phase.id, step, source }
        };
        let mut facts = facts_of(
            observe_facts(ports, spec, options.joins_etcd).await.map_err(failed("read the state of the node"))?,
        );
        assumed.iter().for_each(|step| facts.assume(step, spec));
        let steps = (phase.plan)(spec, &facts).map_err(|source| RunError::Plan { phase: phase.id, source })?;
        let steps = declared_units::for_node(steps, spec);
        let changed = if options.dry_run {
            let changed = plan_only(phase, &steps, spec, ports, options, progress).await;
            assumed.extend(steps);
            changed
        } else {
            carry_out(phase, &steps, spec, ports, options, progress).await?
        };
        progress.phase_ends(phase.id, changed, begun.elapsed());
        total = total.saturating_add(changed);
    }
    Ok(total)
}

/// A step that cannot be checked yet (no runtime, no API) counts as not met.
async fn plan_only(
    phase: &Phase,
    steps: &[Step],
    spec: &Spec,
    ports: &Ports,
    options: &RunOptions,
    progress: &dyn Progress,
) -> usize {
    let mut planned: usize = 0;
    for step in steps {
        if options.forces(step) || !matches!(is_met(ports, spec, step).await, Ok(true)) {
            progress.step_ends(phase.id, &step.to_string(), StepOutcome::Planned);
            planned = planned.saturating_add(1);
        }
    }
    planned
}

async fn carry_out(
    phase: &Phase,
    steps: &[Step],
    spec: &Spec,
    ports: &Ports,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<usize, RunError> {
    let one = async |step: &Step| {
        let line = step.to_string();
        let attempt = async {
            // These say by themselves whether they changed anything.
            let direct =
                matches!(step, Step::Object(ObjectStep::Apply { create_only: false, .. }) | Step::EnsureImage { .. });
            if !direct && !options.forces(step) && is_met(ports, spec, step).await? {
                return Ok(StepOutcome::Unchanged);
            }
            progress.step_begins(&line);
            apply(ports, spec, step, progress).await
        };
        let outcome = attempt.await.map_err(|source| RunError::Step { phase: phase.id, step: line.clone(), source })?;
        progress.step_ends(phase.id, &line, outcome);
        Ok::<_, RunError>(outcome)
    };
    let mut changed: usize = 0;
    let is_object = |step: &Step| matches!(step, Step::Object(ObjectStep::Apply { .. }));
    for group in steps.chunk_by(|a, b| is_object(a) && is_object(b)) {
        // Objects do not wait for each other; everything else goes in order.
        let mut outcomes = futures::stream::iter(group.iter().map(one)).buffered(OBJECTS_AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            changed = changed.saturating_add(usize::from(outcome? == StepOutcome::Changed));
        }
    }
    Ok(changed)
}
