//! `bootstrap convert`.

use std::path::Path;

use roost::bootstrap::renewal::{Turn, end_turn, take_turn};
use roost::bootstrap::upgrade::{Purpose, keep_running};
use roost::bootstrap::{RunOptions, members, run};
use roost::cli::bootstrap::{ConvertArgs, RunAs};
use roost::cli::output::Console;
use roost::core::bootstrap::workflow::{TO_SERVICES, TO_STATIC_PODS};
use serde_json::json;

use crate::failure::Failure;
use crate::init::run_failure;
use crate::preflight::preflight;
use crate::upgrade::refuse_under_way;
use crate::{settings, world};

/// Moves this node's control plane to the other form, one component after another.
pub async fn convert(args: ConvertArgs) -> Result<(), Failure> {
    let mode = args.to.as_str();
    let mut with_mode = args.settings.clone();
    with_mode.set.push(("mode".to_owned(), mode.to_owned()));
    let mut spec = settings::spec(&with_mode)?;
    preflight(&spec, true, &args.run).await?;
    let ports = world::ports(&spec).await?;
    keep_running(&ports, &mut spec)?;
    if ports.files.info(&spec.node.paths.pki("apiserver.crt"))?.is_none() {
        return Err(Failure::from("this node has no control plane".to_owned()));
    }
    for purpose in Purpose::ALL {
        refuse_under_way(&ports, purpose)?;
    }
    let console = Console::new(args.run.output, args.run.dry_run);
    let options = RunOptions {
        dry_run: args.run.dry_run,
        only: args.run.phase.clone(),
        // A member that joined an existing etcd keeps the flags that it joined with.
        joins_etcd: members::has_joined(&ports, &spec)?,
        ..RunOptions::default()
    };
    let phases = match args.to {
        RunAs::Systemd => TO_SERVICES,
        RunAs::StaticPods => TO_STATIC_PODS,
    };
    // Control planes convert one at a time, and never while another one renews certificates.
    let objects = match args.run.dry_run {
        true => None,
        false => ports.net.connect(&spec.node.paths.kubeconfig("admin.conf")).await.ok(),
    };
    let turn = match objects {
        Some(objects) => match take_turn(objects.as_ref(), &spec.node.name, ports.now, &console).await {
            Turn::Taken => Some(objects),
            Turn::NoApi => None,
            Turn::NeverCame => {
                return Err(Failure::from(
                    "other control planes did not finish in time; run the command again later".to_owned(),
                ));
            }
        },
        None => None,
    };
    let outcome = run(phases, &spec, &ports, &options, &|facts| facts, &console).await;
    if let Some(objects) = turn {
        end_turn(objects.as_ref()).await;
    }
    let changed = outcome.map_err(run_failure)?;
    if !args.run.dry_run && args.run.phase.is_none() {
        // Used by later commands and timers.
        let kept = settings::read(&with_mode)?.print();
        ports.files.write(Path::new(settings::KEPT_FILE), kept.as_bytes(), 0o600)?;
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
