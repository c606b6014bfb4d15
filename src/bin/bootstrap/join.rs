//! `bootstrap join`.

use std::path::Path;

use roost::adapters::apiserver::discovery::Discovery;
use roost::adapters::apiserver::reachability::HttpReachability;
use roost::adapters::fs::node_files::HostFiles;
use roost::adapters::x509::X509;
use roost::bootstrap::join::{JoinRequest, adopt_settings, claim_name, discover_cluster, has_joined};
use roost::bootstrap::{Ports, RunOptions, members, run};
use roost::cli::bootstrap::JoinArgs;
use roost::cli::output::{Console, complain};
use roost::config::cluster::render_joined;
use roost::core::bootstrap::token::Token;
use roost::core::bootstrap::workflow::{JOIN, JOIN_CONTROL_PLANE};
use roost::core::bootstrap::{Facts, Joining};
use roost::core::model::spec::Spec;
use roost::ports::bootstrap::{NodeFiles, Reachability};
use serde_json::json;

use crate::failure::Failure;
use crate::init::{leave_version, run_failure};
use crate::preflight::preflight;
use crate::{settings, world};

/// Makes this machine a node.
pub async fn join(args: JoinArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    if !args.control_plane && HostFiles.info(&spec.node.paths.pki("apiserver.crt"))?.is_some() {
        return Err(Failure::Usage("this node is a control plane; pass --control-plane".to_owned()));
    }
    // The cluster's settings decide what this machine needs: with an external etcd, for example, etcd's ports may be in
    // use.
    let joining = find_cluster(&args, &mut spec).await?;
    preflight(&spec, args.control_plane, &args.run).await?;
    let ports = world::ports(&spec).await?;
    leave_version(&ports, &mut spec)?;
    if !args.run.dry_run {
        // Saved first: an interrupted run continues with the same settings.
        let kept = settings::read(&args.settings)?.print();
        ports.files.write(Path::new(settings::KEPT_FILE), kept.as_bytes(), 0o600)?;
        ports.files.remove(Path::new(settings::VERSION_FILE))?;
        let joined = render_joined(&spec.cluster);
        // Its modification time tells an agent whose unit the system declares that it has changed.
        if ports.files.read(Path::new(settings::JOINED_FILE))?.as_deref() != Some(joined.as_str()) {
            ports.files.write(Path::new(settings::JOINED_FILE), joined.as_bytes(), 0o644)?;
        }
    }
    let console = Console::new(args.run.output, args.run.dry_run);
    let options = RunOptions {
        dry_run: args.run.dry_run,
        only: args.run.phase.clone(),
        joins_etcd: args.control_plane && spec.cluster.external_etcd.is_none(),
        ..RunOptions::default()
    };
    let with_joining = |mut facts: Facts| {
        facts.joining = Some(joining.clone());
        facts
    };
    let phases = if args.control_plane { JOIN_CONTROL_PLANE } else { JOIN };
    let outcome = tokio::select! {
        outcome = run(phases, &spec, &ports, &options, &with_joining, &console) => outcome.map_err(run_failure),
        () = world::told_to_stop()? => Err(Failure::from("interrupted; run the same command again to continue".to_owned())),
    };
    let changed = match outcome {
        Ok(changed) => changed,
        Err(failure) => {
            if options.joins_etcd && !options.dry_run {
                withdraw(&ports, &spec).await;
            }
            return Err(failure);
        }
    };
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

/// Finds the cluster by the token, or by the files of an earlier join, and takes over its settings.
async fn find_cluster(args: &JoinArgs, spec: &mut Spec) -> Result<Joining, Failure> {
    let own = spec.node.paths.kubeconfig("kubelet.conf");
    match token(args)? {
        Some(token) => {
            if args.ca_hash.is_empty() {
                return Err(Failure::Usage(
                    "--ca-hash is required to verify the cluster; `bootstrap token create --print-join-command` prints it"
                        .to_owned(),
                ));
            }
            let request = JoinRequest { endpoint: args.server.clone(), token, pins: args.ca_hash.clone() };
            let (mut joining, objects) = discover_cluster(&Discovery, &request, &mut spec.cluster).await?;
            if !has_joined(&HostFiles, &X509, &own, &spec.node.name, &joining.ca)? {
                joining.denied = claim_name(objects.as_ref(), &spec.node.name).await?;
            }
            Ok(joining)
        }
        None if HostFiles.info(&own)?.is_some() => {
            let objects = HttpReachability.connect(&own).await?;
            spec.cluster.endpoint = args.server.clone();
            adopt_settings(objects.as_ref(), &mut spec.cluster).await?;
            let ca = HostFiles.read(&spec.node.paths.pki("ca.crt"))?.unwrap_or_default();
            if !ca.is_empty() {
                has_joined(&HostFiles, &X509, &own, &spec.node.name, &ca)?;
            }
            Ok(Joining { token: None, ca, denied: Default::default() })
        }
        None => Err(Failure::Usage(
            "a token is required (--token, or a --token-file that is not empty); `bootstrap token create --print-join-command` on a control-plane node prints the whole command".to_owned(),
        )),
    }
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

/// Removes this node's learner: one that is never promoted would keep every other node from joining.
async fn withdraw(ports: &Ports, spec: &Spec) {
    match members::withdraw(ports, spec).await {
        Ok(true) => complain("This node's etcd was still a learner and was removed from the cluster again."),
        Ok(false) => {}
        Err(error) => {
            let name = &spec.node.name;
            complain(&format!(
                "This node's etcd may remain in the cluster as a learner ({error}); on a control plane check `bootstrap etcd members` and remove {name}."
            ));
        }
    }
}
