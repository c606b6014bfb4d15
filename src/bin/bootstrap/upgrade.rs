//! `bootstrap upgrade`.

use std::sync::Arc;

use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::join::adopt_settings;
use roost::bootstrap::renewal::{Turn, end_turn, take_turn};
use roost::bootstrap::upgrade::{Passage, Purpose, is_under_way, observe_cluster, upgrade_control_plane};
use roost::bootstrap::{Ports, RunOptions, run};
use roost::cli::output::{Console, complain, print_result};
use roost::cli::upgrade::{UpgradeApplyArgs, UpgradeCommand, UpgradeNodeArgs, UpgradePlanArgs};
use roost::core::bootstrap::Facts;
use roost::core::bootstrap::upgrade::{ObservedComponent, UpgradePlan, Wanted, derive_plan, render_text};
use roost::core::bootstrap::workflow::{
    Phase, UPGRADE_ADDONS, UPGRADE_IMAGES, UPGRADE_NODE, UPGRADE_SETTINGS, UPGRADE_WORKER,
};
use roost::core::model::Version;
use roost::core::model::kubelet_spec::KUBERNETES_VERSION;
use roost::core::model::spec::{ControlPlaneMode, Spec};
use roost::ports::bootstrap::{ClusterObjects, Progress};
use serde_json::json;

use crate::failure::Failure;
use crate::init::run_failure;
use crate::{settings, world};

/// Runs one of the subcommands.
pub async fn upgrade(command: UpgradeCommand) -> Result<(), Failure> {
    match command {
        UpgradeCommand::Plan(args) => plan(&args).await,
        UpgradeCommand::Apply(args) => apply(&args).await,
        UpgradeCommand::Node(args) => node(&args).await,
    }
}

fn wanted(spec: &Spec) -> Result<Wanted, Failure> {
    Ok(Wanted {
        version: spec.cluster.version.parse()?,
        images: spec.cluster.images.clone(),
        known: KUBERNETES_VERSION.parse()?,
        own_etcd: spec.cluster.external_etcd.is_none(),
    })
}

/// Connects to the API with the administrator's credentials, which control planes have.
pub async fn administrator(ports: &Ports, spec: &Spec) -> Result<Arc<dyn ClusterObjects>, Failure> {
    let path = spec.node.paths.kubeconfig("admin.conf");
    if ports.files.info(&path)?.is_none() {
        return Err(Failure::from(format!("{} does not exist: run this on a control plane", path.display())));
    }
    Ok(ports.net.connect(&path).await?)
}

async fn observe_plan(ports: &Ports, spec: &Spec, objects: &dyn ClusterObjects) -> Result<UpgradePlan, Failure> {
    let cluster = observe_cluster(ports, spec, objects).await?;
    Ok(derive_plan(cluster, &wanted(spec)?, &spec.node.name))
}

async fn plan(args: &UpgradePlanArgs) -> Result<(), Failure> {
    let spec = settings::spec_to_upgrade(&args.settings, args.version)?;
    let ports = world::ports(&spec).await?;
    let objects = administrator(&ports, &spec).await?;
    let plan = observe_plan(&ports, &spec, objects.as_ref()).await?;
    print_result(args.output, &plan.to_json(), &render_text(&plan));
    if plan.is_allowed() { Ok(()) } else { Err(Failure::from("version-skew rules forbid this upgrade".to_owned())) }
}

async fn apply(args: &UpgradeApplyArgs) -> Result<(), Failure> {
    let spec = settings::spec_to_upgrade(&args.node.settings, args.version)?;
    let ports = world::ports(&spec).await?;
    if !is_control_plane(&ports, &spec)? {
        return Err(Failure::from("this is not a control plane; `bootstrap upgrade node` upgrades workers".to_owned()));
    }
    control_plane(&ports, &spec, &args.node, true).await
}

async fn node(args: &UpgradeNodeArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    let ports = world::ports(&spec).await?;
    // With the node's own credentials: on a control plane whose API server is down they reach another one.
    let own = spec.node.paths.kubeconfig("kubelet.conf");
    if ports.files.info(&own)?.is_none() {
        return Err(Failure::from("this machine is not a node; run `bootstrap join` first".to_owned()));
    }
    let objects = ports.net.connect(&own).await?;
    adopt_settings(objects.as_ref(), &mut spec.cluster).await?;
    if is_control_plane(&ports, &spec)? {
        return control_plane(&ports, &spec, args, false).await;
    }
    let (kubelet, cluster): (Version, Version) = (KUBERNETES_VERSION.parse()?, spec.cluster.version.parse()?);
    if (kubelet.major, kubelet.minor) > (cluster.major, cluster.minor) {
        complain(&format!("warning: the kubelet here is {kubelet}, newer than the cluster's {cluster}"));
    }
    let console = Console::new(args.output, args.dry_run);
    let changed = phases(UPGRADE_WORKER, &ports, &spec, args, None, &console).await?;
    finish(&console, &spec, args, changed)
}

/// Fails while a change of this node's control plane for another purpose is unfinished.
pub fn refuse_under_way(ports: &Ports, purpose: Purpose) -> Result<(), Failure> {
    let what = match purpose {
        Purpose::Version => "an upgrade of this node was interrupted; finish it first",
        Purpose::Settings => "`bootstrap apply` was interrupted on this node; run it again first",
    };
    if is_under_way(ports, purpose)? { Err(Failure::from(what.to_owned())) } else { Ok(()) }
}

/// True if the files on disk are those of a control plane.
pub fn is_control_plane(ports: &Ports, spec: &Spec) -> Result<bool, Failure> {
    Ok(ports.files.info(&spec.node.paths.pki("apiserver.crt"))?.is_some())
}

/// Upgrades this control plane; `first` sets the cluster's version.
async fn control_plane(ports: &Ports, spec: &Spec, args: &UpgradeNodeArgs, first: bool) -> Result<(), Failure> {
    if spec.cluster.mode != ControlPlaneMode::StaticPods {
        return Err(Failure::from("only control planes that run as static pods can be upgraded".to_owned()));
    }
    refuse_under_way(ports, Purpose::Settings)?;
    let objects = administrator(ports, spec).await?;
    match observe_plan(ports, spec, objects.as_ref()).await {
        Ok(plan) => check(&plan, &spec.node.name, args.ignore_preflight)?,
        // A run was interrupted while nothing ran: it was checked when it began.
        Err(_) if is_under_way(ports, Purpose::Version)? => {
            complain("The API does not answer; continuing the upgrade that was started.")
        }
        Err(failure) => return Err(failure),
    }
    let console = Console::new(args.output, args.dry_run);
    let turn = if args.dry_run { None } else { turn(ports, spec, objects.clone(), &console).await? };
    let outcome = tokio::select! {
        outcome = in_turn(ports, spec, args, first, turn.clone(), &objects, &console) => outcome,
        () = world::told_to_stop()? => Err(Failure::from("interrupted; run the same command again to continue".to_owned())),
    };
    if let Some(turn) = turn {
        end_turn(turn.as_ref()).await;
    }
    finish(&console, spec, args, outcome?)
}

fn check(plan: &UpgradePlan, node: &str, although_ill: bool) -> Result<(), Failure> {
    let obstacles = plan.obstacles(node, although_ill);
    for fault in &plan.faults {
        complain(&format!("{}: {fault}", if obstacles.contains(&fault) { "error" } else { "warning" }));
    }
    match obstacles.len() {
        0 => Ok(()),
        many => Err(Failure::from(format!("{many} checks failed; nothing was changed"))),
    }
}

/// Takes this node's turn among the control planes; `None` without an API.
pub async fn turn(
    ports: &Ports,
    spec: &Spec,
    objects: Arc<dyn ClusterObjects>,
    console: &Console,
) -> Result<Option<Arc<dyn ClusterObjects>>, Failure> {
    match take_turn(objects.as_ref(), &spec.node.name, ports.now, console).await {
        Turn::Taken => Ok(Some(objects)),
        Turn::NoApi => Ok(None),
        Turn::NeverCame => {
            Err(Failure::from("another control plane is being changed; try again when it is finished".to_owned()))
        }
    }
}

async fn in_turn(
    ports: &Ports,
    spec: &Spec,
    args: &UpgradeNodeArgs,
    first: bool,
    turn: Option<Arc<dyn ClusterObjects>>,
    objects: &Arc<dyn ClusterObjects>,
    console: &Console,
) -> Result<usize, Failure> {
    let mut changed = phases(UPGRADE_IMAGES, ports, spec, args, None, console).await?;
    let (timeout, dry_run, purpose) = (args.timeout, args.dry_run, Purpose::Version);
    let passage = Passage { etcd_files: &HostEtcdFiles, timeout, dry_run, purpose, turn };
    changed = changed.saturating_add(upgrade_control_plane(ports, spec, &passage, console).await?);
    if !args.dry_run {
        settings::record_version(ports, &args.settings, &spec.cluster.version)?;
    }
    if first {
        changed = changed.saturating_add(phases(UPGRADE_SETTINGS, ports, spec, args, None, console).await?);
    }
    changed = changed.saturating_add(phases(UPGRADE_NODE, ports, spec, args, None, console).await?);
    // kube-proxy may not be newer than any API server that it may reach.
    let wanted: Version = spec.cluster.version.parse()?;
    let cluster = observe_cluster(ports, spec, objects.as_ref()).await?;
    let older = |(node, seen): &(&str, &ObservedComponent)| {
        *node != spec.node.name && seen.version.is_some_and(|version| version < wanted)
    };
    let behind: Vec<&str> = cluster.everywhere("kube-apiserver").filter(older).map(|(node, _)| node).collect();
    if behind.is_empty() {
        let addons = phases(UPGRADE_ADDONS, ports, spec, args, cluster.coredns_replicas, console).await?;
        changed = changed.saturating_add(addons);
    } else {
        let nodes = behind.join(", ");
        console
            .step_says(&format!("kube-proxy and CoreDNS are upgraded with the last control plane; remaining: {nodes}"));
    }
    Ok(changed)
}

async fn phases(
    table: &[Phase],
    ports: &Ports,
    spec: &Spec,
    args: &UpgradeNodeArgs,
    dns_replicas: Option<u64>,
    console: &Console,
) -> Result<usize, Failure> {
    let options = RunOptions { dry_run: args.dry_run, ..RunOptions::default() };
    let with_replicas = |mut facts: Facts| {
        facts.dns_replicas = dns_replicas;
        facts
    };
    run(table, spec, ports, &options, &with_replicas, console).await.map_err(run_failure)
}

fn finish(console: &Console, spec: &Spec, args: &UpgradeNodeArgs, changed: usize) -> Result<(), Failure> {
    let (node, version) = (&spec.node.name, &spec.cluster.version);
    let text = match (args.dry_run, changed) {
        (_, 0) => format!("nothing to do: {node} is at {version}"),
        (true, many) => format!("{many} steps to do"),
        (false, _) => {
            format!("\nNode {node} is at {version}; `bootstrap upgrade plan` on a control plane shows what remains.")
        }
    };
    console.finish(changed, &json!({ "node": node, "version": version }), &text);
    Ok(())
}
