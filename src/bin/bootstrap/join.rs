//! `bootstrap join`.

use roost::adapters::apiserver::discovery::Discovery;
use roost::adapters::apiserver::reachability::HttpReachability;
use roost::adapters::fs::node_files::HostFiles;
use roost::adapters::x509::X509;
use roost::bootstrap::commands::join::{ClusterRequest, JoinOptions, Search, find_cluster, join as join_cluster, keep};
use roost::cli::bootstrap::JoinArgs;
use roost::cli::output::Console;
use roost::config::cluster::render_joined;
use roost::core::bootstrap::preflight::{Purpose, Target};
use roost::core::bootstrap::token::Token;
use serde_json::json;

use crate::failure::Failure;
use crate::init::stay_at_version;
use crate::preflight::preflight;
use crate::{settings, world};

/// Makes this machine a node.
pub async fn join(args: JoinArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    // The cluster says what this machine has to have: with an etcd elsewhere, for one, its ports may be taken.
    let search = Search { discovery: &Discovery, net: &HttpReachability, files: &HostFiles, pki: &X509 };
    let request = ClusterRequest {
        server: args.server.clone(),
        token: token(&args)?,
        pins: args.ca_hash.clone(),
        control_plane: args.control_plane,
    };
    let found = find_cluster(&search, &request, &mut spec).await;
    let cluster_ca = found.as_ref().ok().map(|joining| joining.ca.as_str());
    let target = Target { purpose: Purpose::Join, control_plane: args.control_plane, cluster_ca };
    // What is wrong with the machine is reported together with what the cluster has against it.
    let checked = match args.run.phase {
        None => preflight(&spec, &target, Some(&args.server), &args.preflight, args.run.dry_run).await,
        Some(_) => Ok(()),
    };
    let joining = found?;
    checked?;
    let ports = world::ports(&spec).await?;
    stay_at_version(&ports, &mut spec)?;
    if !args.run.dry_run {
        keep(ports.files.as_ref(), &settings::read(&args.settings)?.print(), &render_joined(&spec.cluster))?;
    }
    let console = Console::new(args.run.output, args.run.dry_run);
    let options =
        JoinOptions { control_plane: args.control_plane, dry_run: args.run.dry_run, only: args.run.phase.clone() };
    let changed = join_cluster(&ports, &spec, &joining, &options, world::told_to_stop(), &console).await?;
    let text = match (args.run.dry_run, changed) {
        (true, 0) | (false, 0) => "nothing to do".to_owned(),
        (true, many) => format!("{many} steps to do"),
        (false, _) => {
            let role = if args.control_plane { " as a control plane" } else { "" };
            format!("\nNode {} has joined {}{role}.", spec.node.name, spec.cluster.endpoint)
        }
    };
    console.finish(changed, &json!({ "endpoint": spec.cluster.endpoint.to_string(), "node": spec.node.name }), &text);
    Ok(())
}

fn token(args: &JoinArgs) -> Result<Option<Token>, Failure> {
    let Some(path) = &args.token_file else { return Ok(args.token.clone()) };
    let text = std::fs::read_to_string(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    // A token file that was deleted after the join arrives as an empty credential.
    if text.trim().is_empty() {
        return Ok(None);
    }
    // The text itself is not in the message: it may be almost a token.
    let token = text.trim().parse().map_err(|_| Failure::Usage(format!("{} contains no token", path.display())))?;
    Ok(Some(token))
}
