//! `bootstrap join`.

use roost::adapters::apiserver::discovery::Discovery;
use roost::bootstrap::join::{JoinRequest, adopt_settings, discover_cluster};
use roost::bootstrap::{RunOptions, run};
use roost::cli::bootstrap::JoinArgs;
use roost::cli::output::Console;
use roost::core::bootstrap::Joining;
use roost::core::bootstrap::workflow::JOIN;
use serde_json::json;

use crate::init::run_failure;
use crate::preflight::preflight;
use crate::{Failure, settings, world};

/// Makes this machine a node.
pub async fn join(args: JoinArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    preflight(&spec, false, &args.run).await?;
    let ports = world::ports(&spec).await?;
    let own = spec.node.paths.kubeconfig("kubelet.conf");
    let joining = match &args.token {
        Some(token) => {
            if args.ca_hash.is_empty() {
                return Err(Failure::Usage(
                    "--ca-hash is needed to know the cluster; `bootstrap token create --print-join-command` shows it"
                        .to_owned(),
                ));
            }
            let request =
                JoinRequest { endpoint: args.server.clone(), token: token.clone(), pins: args.ca_hash.clone() };
            discover_cluster(&Discovery, &request, &mut spec.cluster).await?.0
        }
        None if ports.files.info(&own)?.is_some() => {
            let objects = ports.net.connect(&own).await?;
            spec.cluster.endpoint = args.server.clone();
            adopt_settings(objects.as_ref(), &mut spec.cluster).await?;
            Joining { token: None, ca: ports.files.read(&spec.node.paths.pki("ca.crt"))?.unwrap_or_default() }
        }
        None => {
            return Err(Failure::Usage(
                "--token is needed; `bootstrap token create --print-join-command` on a control-plane node shows the whole command".to_owned(),
            ));
        }
    };
    let console = Console::new(args.run.output, args.run.dry_run);
    let options = RunOptions { dry_run: args.run.dry_run, only: args.run.phase.clone(), reissue: false };
    let with_joining = |mut facts: roost::core::bootstrap::Facts| {
        facts.joining = Some(joining.clone());
        facts
    };
    let changed = run(JOIN, &spec, &ports, &options, &with_joining, &console).await.map_err(run_failure)?;
    let text = match (args.run.dry_run, changed) {
        (true, 0) | (false, 0) => "nothing to do".to_owned(),
        (true, many) => format!("{many} steps to do"),
        (false, _) => format!("\nNode {} has joined {}.", spec.node.name, spec.cluster.endpoint),
    };
    console.finish(changed, &json!({ "endpoint": spec.cluster.endpoint.to_string(), "node": spec.node.name }), &text);
    Ok(())
}
