//! `bootstrap init`.

use std::path::Path;

use roost::bootstrap::upgrade::keep_running;
use roost::bootstrap::{Ports, RunError, RunOptions, run};
use roost::cli::bootstrap::InitArgs;
use roost::cli::output::{Console, complain};
use roost::core::bootstrap::workflow::INIT;
use roost::core::model::spec::Spec;
use serde_json::json;

use crate::preflight::preflight;
use crate::{Failure, settings, world};

/// Makes the first control-plane node.
pub async fn init(args: InitArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    preflight(&spec, true, &args.run).await?;
    let ports = world::ports(&spec).await?;
    leave_version(&ports, &mut spec)?;
    if !args.run.dry_run {
        // Kept first: a run cut short is continued with the same settings.
        let kept = settings::read(&args.settings)?.print();
        ports.files.write(Path::new(settings::KEPT_FILE), kept.as_bytes(), 0o600)?;
    }
    let console = Console::new(args.run.output, args.run.dry_run);
    let options = RunOptions { dry_run: args.run.dry_run, only: args.run.phase.clone(), ..RunOptions::default() };
    let changed = run(INIT, &spec, &ports, &options, &|facts| facts, &console).await.map_err(run_failure)?;
    let kubeconfig = spec.node.paths.kubeconfig("admin.conf");
    let text = match (args.run.dry_run, changed) {
        (true, 0) | (false, 0) => "nothing to do".to_owned(),
        (true, many) => format!("{many} steps to do"),
        (false, _) => format!(
            "\nThe control plane answers at {}.\n\n  export KUBECONFIG={}\n\nNodes join with the command that this prints:\n\n  bootstrap token create --print-join-command",
            spec.cluster.endpoint.url(),
            kubeconfig.display()
        ),
    };
    let result =
        json!({ "endpoint": spec.cluster.endpoint.to_string(), "kubeconfig": kubeconfig, "node": spec.node.name });
    console.finish(changed, &result, &text);
    Ok(())
}

/// A node that runs a version keeps it when it is run again: `upgrade` has the rules, the order and the way back.
pub fn leave_version(ports: &Ports, spec: &mut Spec) -> Result<(), Failure> {
    let told = spec.cluster.version.clone();
    keep_running(ports, spec)?;
    if spec.cluster.version != told {
        complain(&format!(
            "This node runs {} and stays at it; `bootstrap upgrade` goes to {told}.",
            spec.cluster.version
        ));
    }
    Ok(())
}

/// A phase that is not there is a matter of usage.
pub fn run_failure(error: RunError) -> Failure {
    match error {
        RunError::NoPhase { .. } => Failure::Usage(error.to_string()),
        error @ (RunError::Plan { .. } | RunError::Step { .. }) => error.into(),
    }
}
