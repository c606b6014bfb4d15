//! `bootstrap apply` and `bootstrap verify`.

use std::path::Path;

use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::Ports;
use roost::bootstrap::cis::observe_controls;
use roost::bootstrap::join::adopt_settings;
use roost::bootstrap::renewal::end_turn;
use roost::bootstrap::settle::{settle_control_plane, settle_worker};
use roost::bootstrap::upgrade::{Passage, Purpose, keep_running};
use roost::bootstrap::verify::observe_differences;
use roost::cli::apply::{ApplyArgs, VerifyArgs};
use roost::cli::args::{OutputFormat, SettingsArgs};
use roost::cli::bootstrap::RunArgs;
use roost::cli::output::{Console, complain, print_result};
use roost::config::cluster::render_joined;
use roost::core::bootstrap::cis::{BENCHMARK, Verdict, judge};
use roost::core::model::spec::Spec;
use roost::ports::bootstrap::Progress;
use serde_json::json;

use crate::failure::Failure;
use crate::init::leave_version;
use crate::preflight::preflight;
use crate::upgrade::{is_control_plane, refuse_under_way, turn};
use crate::{settings, world};

/// Applies the settings to this node.
pub async fn apply(args: &ApplyArgs) -> Result<(), Failure> {
    let (ports, mut spec, look) = look(&args.settings, args.cluster).await?;
    refuse_under_way(&ports, Purpose::Version)?;
    let Look { control_plane, follows, adopted } = look;
    if control_plane {
        leave_version(&ports, &mut spec)?;
    }
    let checks =
        RunArgs { dry_run: args.dry_run, ignore_preflight: args.ignore_preflight, output: args.output, phase: None };
    preflight(&spec, control_plane, &checks).await?;
    let console = Console::new(args.output, args.dry_run);
    let changed = go(&ports, &spec, args, !follows, &console).await?;
    if !args.dry_run {
        // Only now: settings that failed must not be used by later commands.
        let kept = settings::read(&args.settings)?.print();
        ports.files.write(Path::new(settings::KEPT_FILE), kept.as_bytes(), 0o600)?;
        if adopted {
            ports.files.write(Path::new(settings::JOINED_FILE), render_joined(&spec.cluster).as_bytes(), 0o644)?;
        }
    }
    let node = &spec.node.name;
    let text = match (args.dry_run, changed) {
        (_, 0) => format!("nothing to do: {node} matches its settings"),
        (true, many) => format!("{many} steps to do"),
        (false, _) => format!("\n{node} matches its settings."),
    };
    console.finish(changed, &json!({ "node": node, "controlPlane": control_plane }), &text);
    Ok(())
}

/// Compares this node with what its settings say.
pub async fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let (ports, mut spec, look) = look(&args.settings, args.cluster).await?;
    keep_running(&ports, &mut spec)?;
    if args.cis {
        return verify_controls(&ports, &spec, look.control_plane, args.output).await;
    }
    let differences = observe_differences(&ports, &spec, look.control_plane, !look.follows).await?;
    let lines: Vec<String> =
        differences.iter().map(|difference| format!("{}: {}", difference.subject, difference.what)).collect();
    let node = &spec.node.name;
    let text = if lines.is_empty() { format!("{node} matches its settings") } else { lines.join("\n") };
    print_result(args.output, &json!({ "node": node, "differences": differences }), &text);
    match lines.len() {
        0 => Ok(()),
        1 => Err(Failure::from("one difference".to_owned())),
        many => Err(Failure::from(format!("{many} differences"))),
    }
}

/// Checks this node against the CIS benchmark.
async fn verify_controls(ports: &Ports, spec: &Spec, control_plane: bool, output: OutputFormat) -> Result<(), Failure> {
    let judged = judge(&observe_controls(ports, spec, control_plane).await?);
    let count = |verdict: Verdict| judged.iter().filter(|control| control.ours == verdict).count();
    let width = judged.iter().map(|control| control.title.len()).max().unwrap_or_default();
    let mut text = format!("{:8}{:16}{:width$}  {}\n", "CONTROL", "OURS", "ASKED FOR", "SEEN");
    for control in &judged {
        let (id, ours) = (control.id, control.ours.as_str());
        text.push_str(&format!("{id:8}{ours:16}{:width$}  {}\n", control.title, control.why));
    }
    let verdicts = [Verdict::Pass, Verdict::Fail, Verdict::FailByChoice, Verdict::NotApplicable];
    let counts: Vec<String> =
        verdicts.iter().map(|verdict| format!("{} {}", count(*verdict), verdict.as_str())).collect();
    text.push_str(&format!("{BENCHMARK}: {}", counts.join(", ")));
    let node = &spec.node.name;
    print_result(output, &json!({ "node": node, "benchmark": BENCHMARK, "controls": judged }), &text);
    match count(Verdict::Fail) {
        0 => Ok(()),
        1 => Err(Failure::from("one control fails".to_owned())),
        many => Err(Failure::from(format!("{many} controls fail"))),
    }
}

/// The role of this node and the source of its settings.
pub struct Look {
    /// True if the files on disk are those of a control plane.
    pub control_plane: bool,
    /// True for all but the first control plane, which follow the cluster's settings.
    follows: bool,
    /// True if the cluster's current settings were read.
    adopted: bool,
}

/// Reads the node, its settings, and if `cluster` is set the cluster's current settings.
pub async fn look(args: &SettingsArgs, cluster: bool) -> Result<(Ports, Spec, Look), Failure> {
    let mut spec = settings::spec(args)?;
    let ports = world::ports(&spec).await?;
    let control_plane = is_control_plane(&ports, &spec)?;
    if !control_plane && ports.files.info(&spec.node.paths.kubeconfig("kubelet.conf"))?.is_none() {
        let what = "this machine is not a node yet; run `bootstrap init` or `bootstrap join` first";
        return Err(Failure::from(what.to_owned()));
    }
    let follows = ports.files.info(Path::new(settings::JOINED_FILE))?.is_some() && !cluster;
    let adopted = follows && adopt(&ports, &mut spec).await?;
    Ok((ports, spec, Look { control_plane, follows, adopted }))
}

/// Takes over the cluster's current settings; without an API those of the last run apply.
async fn adopt(ports: &Ports, spec: &mut Spec) -> Result<bool, Failure> {
    let own = spec.node.paths.kubeconfig("kubelet.conf");
    let objects = ports.net.connect(&own).await?;
    match adopt_settings(objects.as_ref(), &mut spec.cluster).await {
        Ok(()) => Ok(true),
        Err(error) => {
            complain(&format!(
                "The settings of the cluster cannot be read ({error}); continuing with those of the last run."
            ));
            Ok(false)
        }
    }
}

async fn go(ports: &Ports, spec: &Spec, args: &ApplyArgs, shared: bool, console: &Console) -> Result<usize, Failure> {
    if !is_control_plane(ports, spec)? {
        return Ok(settle_worker(ports, spec, args.dry_run, console).await?);
    }
    let objects = ports.net.connect(&spec.node.paths.kubeconfig("admin.conf")).await.ok();
    let turn = match objects {
        Some(objects) if !args.dry_run => turn(ports, spec, objects, console).await?,
        Some(_) | None => None,
    };
    let (timeout, dry_run, purpose) = (args.timeout, args.dry_run, Purpose::Settings);
    let passage = Passage { etcd_files: &HostEtcdFiles, timeout, dry_run, purpose, turn: turn.clone() };
    let outcome = tokio::select! {
        outcome = settle_control_plane(ports, spec, &passage, shared, console) => outcome.map_err(Failure::from),
        () = world::told_to_stop()? => Err(Failure::from("interrupted; run the same command again to continue".to_owned())),
    };
    if let Some(turn) = turn {
        end_turn(turn.as_ref()).await;
    }
    if !shared {
        console.step_says("Objects that the cluster shares are written on the first control plane, or with --cluster.");
    }
    outcome
}
