//! Checks of the machine before a run changes anything.

use roost::adapters::preflight::{observe_clock, observe_machine};
use roost::adapters::systemd::Systemd;
use roost::cli::output::complain;
use roost::cli::preflight::PreflightArgs;
use roost::core::bootstrap::preflight::{Finding, Target, check};
use roost::core::model::spec::{Endpoint, Spec};
use roost::ports::bootstrap::Units;

use crate::failure::Failure;

/// Prints the findings; a fatal one stops the run, unless it is a dry run or its check is ignored by option. `server` is
/// an API server whose clock counts.
pub async fn preflight(
    spec: &Spec,
    target: &Target<'_>,
    server: Option<&Endpoint>,
    args: &PreflightArgs,
    dry_run: bool,
) -> Result<(), Failure> {
    let systemd = Systemd::connect().await.ok();
    let units = systemd.as_ref().map(|systemd| systemd as &dyn Units);
    let mut machine = observe_machine(spec, target.control_plane, units, !dry_run).await;
    if let Some(server) = server {
        machine.clock_ahead = observe_clock(server).await;
    }
    let stops = |finding: &Finding| {
        finding.fatal && !dry_run && !args.ignore_preflight.iter().any(|ignored| ignored.covers(finding.check))
    };
    let findings = check(spec, target, &machine);
    for finding in &findings {
        let word = if stops(finding) { "error" } else { "warning" };
        complain(&format!("{word} [{}]: {finding}", finding.check));
    }
    let what = match findings.iter().filter(|finding| stops(finding)).count() {
        0 => return Ok(()),
        1 => "one preflight check failed".to_owned(),
        many => format!("{many} preflight checks failed"),
    };
    Err(Failure::from(format!(
        "{what}; nothing was changed (--ignore-preflight NAME, with the name in brackets, continues nevertheless)"
    )))
}
