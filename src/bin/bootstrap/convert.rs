//! `bootstrap convert`.

use roost::bootstrap::kept::keep_settings;
use roost::bootstrap::upgrade::keep_running;
use roost::bootstrap::{RunOptions, commands};
use roost::cli::bootstrap::{ConvertArgs, RunAs};
use roost::cli::output::Console;
use roost::core::bootstrap::preflight::{Purpose, Target};
use serde_json::json;

use crate::failure::Failure;
use crate::preflight::preflight;
use crate::{settings, world};

/// Moves this node's control plane to the other form, one component after another.
pub async fn convert(args: ConvertArgs) -> Result<(), Failure> {
    let mode = args.to.as_str();
    let mut with_mode = args.settings.clone();
    with_mode.set.push(("mode".to_owned(), mode.to_owned()));
    let mut spec = settings::spec(&with_mode)?;
    if args.run.phase.is_none() {
        let target = Target { purpose: Purpose::Change, control_plane: true, cluster_ca: None };
        preflight(&spec, &target, None, &args.preflight, args.run.dry_run).await?;
    }
    let ports = world::ports(&spec).await?;
    keep_running(&ports, &mut spec)?;
    let console = Console::new(args.run.output, args.run.dry_run);
    let options = RunOptions { dry_run: args.run.dry_run, only: args.run.phase.clone(), ..RunOptions::default() };
    let changed = commands::convert::convert(&ports, &spec, &options, &console).await?;
    if !args.run.dry_run && args.run.phase.is_none() {
        // What later commands and timers go by.
        keep_settings(ports.files.as_ref(), &settings::read(&with_mode)?.print())?;
    }
    let stale = match settings::own_file(&args.settings) {
        Some(file) if settings::spec(&args.settings)?.cluster.mode != spec.cluster.mode => Some(file),
        _ => None,
    };
    let mut text = match (args.run.dry_run, changed) {
        (_, 0) => "nothing to do".to_owned(),
        (true, many) => format!("{many} steps to do"),
        (false, _) => format!("\nThe control plane of {} runs as {}.", spec.node.name, words(args.to)),
    };
    if let Some(file) = stale.as_ref().filter(|_| !args.run.dry_run) {
        text.push_str(&format!("\nSet mode = \"{mode}\" in {} as well.", file.display()));
    }
    console.finish(changed, &json!({ "node": spec.node.name, "mode": mode, "setModeIn": stale }), &text);
    Ok(())
}

fn words(to: RunAs) -> &'static str {
    match to {
        RunAs::Systemd => "systemd services",
        RunAs::StaticPods => "static pods",
    }
}
