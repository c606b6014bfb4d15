//! `bootstrap upgrade`.

use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::administrator;
use roost::bootstrap::commands::upgrade::{
    RecordVersion, UpgradeOptions, observe_plan, upgrade_first, upgrade_to_cluster,
};
use roost::cli::output::{Console, print_result};
use roost::cli::upgrade::{UpgradeApplyArgs, UpgradeCommand, UpgradeNodeArgs, UpgradePlanArgs};
use roost::core::bootstrap::upgrade::render_text;
use roost::core::model::spec::Spec;
use serde_json::json;

use crate::failure::Failure;
use crate::{settings, world};

/// Runs one of the subcommands.
pub async fn upgrade(command: UpgradeCommand) -> Result<(), Failure> {
    match command {
        UpgradeCommand::Plan(args) => plan(&args).await,
        UpgradeCommand::Apply(args) => apply(&args).await,
        UpgradeCommand::Node(args) => node(&args).await,
    }
}

async fn plan(args: &UpgradePlanArgs) -> Result<(), Failure> {
    let spec = settings::spec_to_upgrade(&args.settings, args.version)?;
    let ports = world::ports(&spec).await?;
    let objects = administrator(&ports, &spec).await?;
    let plan = observe_plan(&ports, &spec, objects.as_ref()).await?;
    print_result(args.output, &plan.to_json(), &render_text(&plan));
    if plan.is_allowed() { Ok(()) } else { Err(Failure::reported("version-skew rules forbid this upgrade")) }
}

async fn apply(args: &UpgradeApplyArgs) -> Result<(), Failure> {
    let spec = settings::spec_to_upgrade(&args.node.settings, args.version)?;
    let ports = world::ports(&spec).await?;
    let console = Console::new(args.node.output, args.node.dry_run);
    let record = |version: &str| {
        settings::record_version(ports.files.as_ref(), &args.node.settings, version).map_err(Failure::into_error)
    };
    let options = options(&args.node, &record);
    let changed = upgrade_first(&ports, &spec, &options, world::told_to_stop(), &console).await?;
    finish(&console, &spec, &args.node, changed);
    Ok(())
}

async fn node(args: &UpgradeNodeArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    let ports = world::ports(&spec).await?;
    let console = Console::new(args.output, args.dry_run);
    let record = |version: &str| {
        settings::record_version(ports.files.as_ref(), &args.settings, version).map_err(Failure::into_error)
    };
    let options = options(args, &record);
    let changed = upgrade_to_cluster(&ports, &mut spec, &options, world::told_to_stop(), &console).await?;
    finish(&console, &spec, args, changed);
    Ok(())
}

fn options<'a>(args: &UpgradeNodeArgs, record: &'a RecordVersion<'a>) -> UpgradeOptions<'a> {
    let (timeout, dry_run, ignore_health) = (args.timeout, args.dry_run, args.ignore_preflight);
    UpgradeOptions { etcd_files: &HostEtcdFiles, timeout, dry_run, ignore_health, record }
}

fn finish(console: &Console, spec: &Spec, args: &UpgradeNodeArgs, changed: usize) {
    let (node, version) = (&spec.node.name, &spec.cluster.version);
    let text = match (args.dry_run, changed) {
        (_, 0) => format!("nothing to do: {node} is at {version}"),
        (true, many) => format!("{many} steps to do"),
        (false, _) => {
            format!("\nNode {node} is at {version}; `bootstrap upgrade plan` on a control plane shows what remains.")
        }
    };
    console.finish(changed, &json!({ "node": node, "version": version }), &text);
}
