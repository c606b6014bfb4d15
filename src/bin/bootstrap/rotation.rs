//! `bootstrap certs rotate-ca`.

use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::commands::rotate::{RotateOptions, needs_control_plane, rotate_ca as rotate_stage};
use roost::bootstrap::rotation::{Observed, Outcome, observe};
use roost::bootstrap::{Ports, administrator};
use roost::cli::args::SettingsArgs;
use roost::cli::output::{Console, print_result};
use roost::cli::rotation::{RotateArgs, RotateCommand, RotateStatusArgs};
use roost::core::bootstrap::rotation::{ReportedStage, Stage, Standing, ids, next_stage};
use roost::core::model::spec::Spec;
use serde_json::json;

use crate::apply::look;
use crate::failure::Failure;
use crate::init::stay_at_version;
use crate::world;

/// Runs one of the subcommands.
pub async fn rotate_ca(command: &RotateCommand) -> Result<(), Failure> {
    match command {
        RotateCommand::Status(args) => status(args).await,
        RotateCommand::Prepare(args) => stage(args, Stage::Prepared).await,
        RotateCommand::Switch(args) => stage(args, Stage::Switched).await,
        RotateCommand::Finish(args) => stage(args, Stage::Finished).await,
    }
}

async fn control_plane(args: &SettingsArgs) -> Result<(Ports, Spec), Failure> {
    let (ports, mut spec, role) = look(args, false).await?;
    needs_control_plane(&role)?;
    stay_at_version(&ports, &mut spec)?;
    Ok((ports, spec))
}

async fn stage(args: &RotateArgs, stage: Stage) -> Result<(), Failure> {
    let (ports, spec) = control_plane(&args.settings).await?;
    let console = Console::new(args.output, args.dry_run);
    let options = RotateOptions { etcd_files: &HostEtcdFiles, timeout: args.timeout, dry_run: args.dry_run };
    let outcome = rotate_stage(&ports, &spec, stage, &options, world::told_to_stop(), &console).await?;
    let result = json!({ "node": spec.node.name, "stage": stage, "left": outcome.left });
    console.finish(outcome.changed, &result, &told(&spec, stage, args.dry_run, &outcome));
    Ok(())
}

fn told(spec: &Spec, stage: Stage, dry_run: bool, outcome: &Outcome) -> String {
    let node = &spec.node.name;
    let word = stage.as_str();
    if dry_run {
        return match outcome.changed {
            0 => format!("nothing to do: {node} has {word}"),
            many => format!("{many} steps to do"),
        };
    }
    let next = match (stage, outcome.left.as_slice()) {
        (Stage::Finished, []) => "the rotation is finished: only the new CAs are trusted".to_owned(),
        (_, []) => {
            let next = next_stage(if stage == Stage::Prepared { Standing::Prepared } else { Standing::Switched });
            let what = format!(
                "bootstrap certs rotate-ca {}` on each control plane, when `rotate-ca status` shows that all nodes have followed",
                next.command()
            );
            match stage {
                Stage::Prepared => format!(
                    "all control planes trust both CAs. Restart pods that read the CA only at their start, distribute admin.conf again, then run `{what}"
                ),
                _ => format!(
                    "the next CAs sign everywhere. Distribute admin.conf again and restart programs that have certificates of their own, then run `{what}"
                ),
            }
        }
        (_, left) => format!("still to do: `bootstrap certs rotate-ca {}` on {}", stage.command(), left.join(", ")),
    };
    match outcome.changed {
        0 => format!("nothing to do: {node} has {word}; {next}"),
        _ => format!("\n{node} has {word}; {next}"),
    }
}

async fn status(args: &RotateStatusArgs) -> Result<(), Failure> {
    let (ports, spec) = control_plane(&args.settings).await?;
    let objects = administrator(&ports, &spec).await?;
    let seen = observe(&ports, &spec, objects.as_ref()).await?;
    let standing = seen.own.standing()?;
    let cluster = seen.own.authorities.first();
    let id = |text: Option<&String>| text.and_then(|text| ids(text).into_iter().next());
    let (former, next) =
        (id(cluster.and_then(|one| one.former.as_ref())), id(cluster.and_then(|one| one.next.as_ref())));
    let signs = id(cluster.and_then(|one| one.bundle.as_ref()));
    // Kubelets' serving certificates have a CA of their own.
    let of_kubelets = seen.own.authorities.iter().find(|one| one.is_of_kubelets());
    let serving =
        [id(of_kubelets.and_then(|one| one.former.as_ref())), id(of_kubelets.and_then(|one| one.next.as_ref()))];
    let document = json!({
        "node": spec.node.name,
        "next": if standing == Standing::Settled { None } else { Some(next_stage(standing).command()) },
        "authority": { "signs": signs, "former": former, "next": next },
        "kubeletServing": { "former": serving[0], "next": serving[1] },
        "controlPlanes": seen.control_planes.iter()
            .map(|one| json!({ "node": one.name, "told": one.told })).collect::<Vec<_>>(),
        "kubelets": seen.kubelets.iter()
            .map(|(node, trust)| json!({ "node": node, "authorities": trust })).collect::<Vec<_>>(),
    });
    print_result(args.output, &document, &text(&seen, standing, [[former, next], serving]));
    Ok(())
}

/// `names`: former and next CA of the cluster, and of kubelets' serving certificates.
fn text(seen: &Observed, standing: Standing, names: [[Option<String>; 2]; 2]) -> String {
    let is_former = |id: &String| names.iter().any(|[former, _]| former.as_ref() == Some(id));
    let is_next = |id: &String| names.iter().any(|[_, next]| next.as_ref() == Some(id));
    let name = |id: &String| match id {
        id if is_former(id) => "former".to_owned(),
        id if is_next(id) => "next".to_owned(),
        id => id.clone(),
    };
    let mut text = format!("{:24}  {:12}  {:24}  {:18}  {}\n", "NODE", "STAGE", "TRUSTS", "CLIENT", "SERVING");
    for (node, trust) in &seen.kubelets {
        let told = seen.told(node).map_or("-", |told: &ReportedStage| told.stage.as_str());
        let trust = trust.clone().unwrap_or_default();
        let trusts = trust.trusts.iter().map(name).collect::<Vec<_>>().join(",");
        let [client, serving] = [&trust.client, &trust.serving].map(|id| id.as_ref().map_or("-".to_owned(), name));
        text.push_str(&format!("{node:24}  {told:12}  {trusts:24}  {client:18}  {serving}\n"));
    }
    match standing {
        Standing::Settled => text.push_str("No CA rotation is in progress on this node."),
        standing => {
            let next = next_stage(standing).command();
            text.push_str(&format!("Next on this node: bootstrap certs rotate-ca {next}"));
        }
    }
    text
}
