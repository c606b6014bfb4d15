//! Checks of the machine before a run changes anything.

use roost::adapters::preflight::observe_machine;
use roost::adapters::systemd::Systemd;
use roost::cli::bootstrap::RunArgs;
use roost::cli::output::complain;
use roost::core::bootstrap::preflight::{check, control_plane_ports, wanted_programs, worker_ports};
use roost::core::model::spec::{ComponentSource, Spec};
use roost::ports::bootstrap::Units;

use crate::failure::Failure;

/// Prints the findings; a fatal one stops the run, unless it is a dry run or the finding is ignored by option.
pub async fn preflight(spec: &Spec, control_plane: bool, args: &RunArgs) -> Result<(), Failure> {
    if args.phase.is_some() {
        return Ok(());
    }
    let systemd = Systemd::connect().await.ok();
    let units = systemd.as_ref().map(|systemd| systemd as &dyn Units);
    let ports = if control_plane { control_plane_ports(spec) } else { worker_ports(spec) };
    let archives = match &spec.cluster.source {
        ComponentSource::Archive { paths } => paths.clone(),
        ComponentSource::Registry | ComponentSource::Host { .. } => Vec::new(),
    };
    let machine = observe_machine(spec, units, &ports, &wanted_programs(spec, control_plane), &archives).await;
    let findings = check(spec, &machine);
    let may_go_on = args.ignore_preflight || args.dry_run;
    for finding in &findings {
        let word = if finding.fatal && !may_go_on { "error" } else { "warning" };
        complain(&format!("{word}: {finding}"));
    }
    match findings.iter().filter(|finding| finding.fatal).count() {
        0 => Ok(()),
        _ if may_go_on => Ok(()),
        many => Err(Failure::from(format!("{many} preflight checks failed; nothing was changed"))),
    }
}
