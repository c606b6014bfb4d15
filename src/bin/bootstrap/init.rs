//! `bootstrap init`.

use std::path::Path;

use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::etcd::restore;
use roost::bootstrap::upgrade::keep_running;
use roost::bootstrap::{Ports, RunError, RunOptions, StepError, run};
use roost::cli::bootstrap::InitArgs;
use roost::cli::output::{Console, complain};
use roost::core::bootstrap::workflow::{INIT, INIT_FOR_SNAPSHOT};
use roost::core::model::spec::Spec;
use roost::ports::bootstrap::EtcdFiles;
use serde_json::json;

use crate::failure::Failure;
use crate::preflight::preflight;
use crate::{settings, world};

/// Creates the first control-plane node.
pub async fn init(args: InitArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    preflight(&spec, true, &args.run).await?;
    let ports = world::ports(&spec).await?;
    leave_version(&ports, &mut spec)?;
    if !args.run.dry_run {
        // Saved first: an interrupted run continues with the same settings.
        let kept = settings::read(&args.settings)?.print();
        ports.files.write(Path::new(settings::KEPT_FILE), kept.as_bytes(), 0o600)?;
    }
    let console = Console::new(args.run.output, args.run.dry_run);
    let options = RunOptions { dry_run: args.run.dry_run, only: args.run.phase.clone(), ..RunOptions::default() };
    let begun = match &args.snapshot {
        Some(snapshot) => begin_again(&ports, &spec, snapshot, &options, &console).await?,
        None => 0,
    };
    let changed = run(INIT, &spec, &ports, &options, &|facts| facts, &console).await.map_err(run_failure)?;
    let changed = changed.saturating_add(begun);
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

/// Restores the data of a lost cluster, before an API server without data could make its nodes stop their pods. Returns
/// how many steps were changed (or, in a dry run, would be).
async fn begin_again(
    ports: &Ports,
    spec: &Spec,
    snapshot: &Path,
    options: &RunOptions,
    console: &Console,
) -> Result<usize, Failure> {
    if spec.cluster.external_etcd.is_some() {
        return Err(StepError::NotOurEtcd.into());
    }
    let snapshot = std::path::absolute(snapshot)?;
    for name in ["ca.crt", "sa.key"] {
        let path = spec.node.paths.pki(name);
        if ports.files.info(&path)?.is_none() {
            let why = "without the PKI of the lost cluster no node and no client trusts the restored one";
            return Err(Failure::from(format!("{} does not exist: {why}", path.display())));
        }
    }
    if ports.files.info(&spec.node.paths.etcd_data.join("member"))?.is_some() {
        let then =
            "run `bootstrap init` without --snapshot to continue with it, or `bootstrap etcd restore` to replace it";
        return Err(Failure::from(format!("etcd already has data in {}: {then}", spec.node.paths.etcd_data.display())));
    }
    HostEtcdFiles.check_snapshot(&snapshot)?;
    if options.dry_run {
        let line = format!("restore {} into {}", snapshot.display(), spec.node.paths.etcd_data.display());
        console.foretell("etcd-restore", "data of the lost cluster", &[line]);
        return Ok(1);
    }
    let changed = run(INIT_FOR_SNAPSHOT, spec, ports, options, &|facts| facts, console).await.map_err(run_failure)?;
    restore(ports, &HostEtcdFiles, spec, &snapshot, console).await?;
    Ok(changed.saturating_add(1))
}

/// A node that already runs a version keeps it when the command is repeated: `upgrade` has the rules, the order and the
/// rollback.
pub fn leave_version(ports: &Ports, spec: &mut Spec) -> Result<(), Failure> {
    let told = spec.cluster.version.clone();
    keep_running(ports, spec)?;
    if spec.cluster.version != told {
        complain(&format!(
            "This node runs {} and keeps that version; use `bootstrap upgrade` to go to {told}.",
            spec.cluster.version
        ));
    }
    Ok(())
}

/// An unknown phase is a usage error.
pub fn run_failure(error: RunError) -> Failure {
    match error {
        RunError::NoPhase { .. } => Failure::Usage(error.to_string()),
        error @ (RunError::Plan { .. } | RunError::Step { .. }) => error.into(),
    }
}
