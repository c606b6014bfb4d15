//! `bootstrap apply` and `bootstrap verify`.

use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::Ports;
use roost::bootstrap::cis::observe_controls;
use roost::bootstrap::commands::apply::{ApplyOptions, apply as apply_settings};
use roost::bootstrap::commands::node::{Adopted, NodeRole, observe_role, refuse_under_way};
use roost::bootstrap::kept::{keep_joined, keep_settings};
use roost::bootstrap::upgrade::{Purpose, keep_running};
use roost::bootstrap::verify::observe_differences;
use roost::cli::apply::{ApplyArgs, VerifyArgs};
use roost::cli::args::{OutputFormat, SettingsArgs};
use roost::cli::output::{Console, complain, print_result};
use roost::config::cluster::render_joined;
use roost::core::bootstrap::cis::{BENCHMARK, Verdict, judge};
use roost::core::bootstrap::preflight::{self, Target};
use roost::core::model::spec::Spec;
use roost::core::model::with_causes;
use serde_json::json;

use crate::failure::Failure;
use crate::init::stay_at_version;
use crate::preflight::preflight as check_machine;
use crate::{settings, world};

/// Applies the settings to this node.
pub async fn apply(args: &ApplyArgs) -> Result<(), Failure> {
    let (ports, mut spec, NodeRole { control_plane, follows, adopted }) = look(&args.settings, args.cluster).await?;
    refuse_under_way(&ports, Purpose::Version)?;
    if control_plane {
        stay_at_version(&ports, &mut spec)?;
    }
    let target = Target { purpose: preflight::Purpose::Change, control_plane, cluster_ca: None };
    check_machine(&spec, &target, None, &args.preflight, args.dry_run).await?;
    let console = Console::new(args.output, args.dry_run);
    let options =
        ApplyOptions { etcd_files: &HostEtcdFiles, timeout: args.timeout, dry_run: args.dry_run, shared: !follows };
    let changed = apply_settings(&ports, &spec, &options, world::told_to_stop(), &console).await?;
    if !args.dry_run {
        // Only now: what did not come up is not what later commands shall go by.
        keep_settings(ports.files.as_ref(), &settings::read(&args.settings)?.print())?;
        if matches!(adopted, Adopted::Yes) {
            keep_joined(ports.files.as_ref(), &render_joined(&spec.cluster))?;
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
    let (ports, mut spec, role) = look(&args.settings, args.cluster).await?;
    keep_running(&ports, &mut spec)?;
    if args.cis {
        return verify_controls(&ports, &spec, role.control_plane, args.output).await;
    }
    let differences = observe_differences(&ports, &spec, role.control_plane, !role.follows).await?;
    let lines: Vec<String> =
        differences.iter().map(|difference| format!("{}: {}", difference.subject, difference.what)).collect();
    let node = &spec.node.name;
    let text = if lines.is_empty() { format!("{node} matches its settings") } else { lines.join("\n") };
    print_result(args.output, &json!({ "node": node, "differences": differences }), &text);
    match lines.len() {
        0 => Ok(()),
        1 => Err(Failure::reported("one difference")),
        many => Err(Failure::reported(format!("{many} differences"))),
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
        1 => Err(Failure::reported("one control fails")),
        many => Err(Failure::reported(format!("{many} controls fail"))),
    }
}

/// The node, its settings, and what it is; reports if the cluster's settings could not be taken over.
pub async fn look(args: &SettingsArgs, cluster: bool) -> Result<(Ports, Spec, NodeRole), Failure> {
    let mut spec = settings::spec(args)?;
    let ports = world::ports(&spec).await?;
    let role = observe_role(&ports, &mut spec, cluster).await?;
    if let Adopted::No(error) = &role.adopted {
        complain(&format!(
            "The settings of the cluster cannot be read ({}); continuing with those of the last run.",
            with_causes(error)
        ));
    }
    Ok((ports, spec, role))
}
