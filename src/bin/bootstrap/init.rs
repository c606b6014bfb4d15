//! `bootstrap init`.

use std::path::Path;

use roost::bootstrap::{RunError, RunOptions, run};
use roost::cli::bootstrap::InitArgs;
use roost::cli::output::Console;
use roost::core::bootstrap::workflow::INIT;
use serde_json::json;

use crate::preflight::preflight;
use crate::{Failure, settings, world};

/// Makes the first control-plane node.
pub async fn init(args: InitArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.settings)?;
    preflight(&spec, true, &args.run).await?;
    let ports = world::ports(&spec).await?;
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

/// A phase that is not there is a matter of usage.
pub fn run_failure(error: RunError) -> Failure {
    match error {
        RunError::NoPhase { .. } => Failure::Usage(error.to_string()),
        error @ (RunError::Plan { .. } | RunError::Step { .. }) => error.into(),
    }
}
