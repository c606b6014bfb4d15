//! `bootstrap reset`.

use roost::bootstrap::commands::node::is_control_plane;
use roost::bootstrap::{RunOptions, commands};
use roost::cli::bootstrap::ResetArgs;
use roost::cli::output::{Console, ask};
use roost::core::bootstrap::leftovers::render;
use serde_json::json;

use crate::failure::Failure;
use crate::{settings, world};

/// Returns the machine to its state before `init` or `join`.
pub async fn reset(args: ResetArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.settings)?;
    let name = &spec.node.name;
    if !args.yes && !args.run.dry_run {
        let question = format!(
            "This stops every pod on {name} and deletes its certificates, its kubelet's data and {}. Continue?",
            spec.node.paths.etcd_data.display()
        );
        match ask(&question) {
            Some(true) => {}
            Some(false) => return Err(Failure::Usage("nothing was changed".to_owned())),
            None => {
                return Err(Failure::Usage(
                    "standard input is not a terminal, so there is nobody to confirm; pass --yes".to_owned(),
                ));
            }
        }
    }
    let ports = world::ports(&spec).await?;
    let control_plane = is_control_plane(&ports, &spec)?;
    let console = Console::new(args.run.output, args.run.dry_run);
    let options = RunOptions { dry_run: args.run.dry_run, only: args.run.phase.clone(), ..RunOptions::default() };
    let changed = commands::reset::reset(&ports, &spec, &options, &console).await?;
    let left = commands::reset::observe_left(&ports, &spec)?;
    let kept = render(&left);
    let text = match (args.run.dry_run, changed) {
        (true, 0) | (false, 0) => format!("nothing to do{kept}"),
        (true, many) => format!("{many} steps to do{kept}"),
        (false, _) => {
            let etcd = match &spec.cluster.external_etcd {
                Some(etcd) if control_plane => format!(
                    "\nYour external etcd keeps the data of the cluster; empty it before another cluster uses it: etcdctl --endpoints={} del --prefix /registry/",
                    etcd.endpoints.join(",")
                ),
                Some(_) | None => String::new(),
            };
            format!(
                "\nThis machine is reset. The cluster may still have the Node object: kubectl delete node {name}{etcd}{kept}"
            )
        }
    };
    console.finish(changed, &json!({ "node": name, "left": left }), &text);
    Ok(())
}
