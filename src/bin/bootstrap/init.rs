//! `bootstrap init`.

use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::commands::{self, node};
use roost::bootstrap::kept::keep_settings;
use roost::bootstrap::{Ports, RunOptions};
use roost::cli::bootstrap::InitArgs;
use roost::cli::output::{Console, complain};
use roost::core::bootstrap::preflight::{Purpose, Target};
use roost::core::model::spec::Spec;
use serde_json::json;

use crate::failure::Failure;
use crate::preflight::preflight;
use crate::{settings, world};

/// Creates the first control-plane node.
pub async fn init(args: InitArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    if args.run.phase.is_none() {
        let target = Target { purpose: Purpose::Init, control_plane: true, cluster_ca: None };
        preflight(&spec, &target, None, &args.preflight, args.run.dry_run).await?;
    }
    let ports = world::ports(&spec).await?;
    stay_at_version(&ports, &mut spec)?;
    if !args.run.dry_run {
        // Saved first: an interrupted run continues with the same settings.
        keep_settings(ports.files.as_ref(), &settings::read(&args.settings)?.print())?;
    }
    let console = Console::new(args.run.output, args.run.dry_run);
    let options = RunOptions { dry_run: args.run.dry_run, only: args.run.phase.clone(), ..RunOptions::default() };
    let snapshot = args.snapshot.as_ref().map(std::path::absolute).transpose()?;
    let changed = commands::init::init(&ports, &HostEtcdFiles, &spec, snapshot.as_deref(), &options, &console).await?;
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

/// Keeps the version that this node runs, and reports if the settings have another one.
pub fn stay_at_version(ports: &Ports, spec: &mut Spec) -> Result<(), Failure> {
    if let Some(configured) = node::stay_at_version(ports, spec)? {
        complain(&format!(
            "This node runs {} and keeps that version; use `bootstrap upgrade` to go to {configured}.",
            spec.cluster.version
        ));
    }
    Ok(())
}
