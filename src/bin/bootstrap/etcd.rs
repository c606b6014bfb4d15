//! `bootstrap etcd`.

use roost::adapters::etcd::{HostEtcdFiles, free_port};
use roost::bootstrap::etcd::{
    MemberReport, defragment, drill, foresee_defragment, foresee_drill, foresee_recover, foresee_restore, foresee_take,
    health, members, recover, remove, restore, take,
};
use roost::bootstrap::upgrade::keep_running;
use roost::cli::args::OutputFormat;
use roost::cli::etcd::{
    DefragmentArgs, DrillArgs, EtcdArgs, EtcdCommand, RecoverArgs, RemoveArgs, RestoreArgs, SnapshotArgs,
};
use roost::cli::output::{Console, ask, print_result};
use roost::core::bootstrap::membership::Member;
use roost::core::model::with_causes;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::{settings, world};

/// Runs one of the subcommands.
pub async fn etcd(command: EtcdCommand) -> Result<(), Failure> {
    match command {
        EtcdCommand::Members(args) => show_members(&args).await,
        EtcdCommand::Health(args) => show_health(&args).await,
        EtcdCommand::Snapshot(args) => snapshot(&args).await,
        EtcdCommand::Drill(args) => hold_drill(&args).await,
        EtcdCommand::Restore(args) => restore_snapshot(&args).await,
        EtcdCommand::Defragment(args) => defragment_all(&args).await,
        EtcdCommand::Remove(args) => remove_member(&args).await,
        EtcdCommand::Recover(args) => recover_quorum(&args).await,
    }
}

async fn show_members(args: &EtcdArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.settings)?;
    let list = members(&world::ports(&spec).await?, &spec).await?;
    let items: Vec<Value> = list
        .iter()
        .map(|member| {
            json!({
                "id": format!("{:x}", member.id), "name": member.name, "learner": member.learner,
                "peerUrls": member.peer_urls, "clientUrls": member.client_urls,
            })
        })
        .collect();
    print_result(args.output, &json!({ "members": items }), &member_table(&list));
    Ok(())
}

fn member_table(list: &[Member]) -> String {
    let row = |id: &str, name: &str, role: &str, peers: &str, clients: &str| {
        format!("{id:16}  {name:20}  {role:7}  {peers:32}  {clients}\n")
    };
    let mut text = row("ID", "NAME", "ROLE", "PEER URLS", "CLIENT URLS");
    for member in list {
        let name = if member.name.is_empty() { "(never started)" } else { member.name.as_str() };
        let role = if member.learner { "learner" } else { "voter" };
        let id = format!("{:x}", member.id);
        text.push_str(&row(&id, name, role, &member.peer_urls.join(","), &member.client_urls.join(",")));
    }
    text
}

async fn show_health(args: &EtcdArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.settings)?;
    let reports = health(&world::ports(&spec).await?, &spec).await?;
    let items: Vec<Value> = reports
        .iter()
        .map(|report| match &report.health {
            Ok(health) => json!({
                "name": report.name, "endpoint": report.endpoint, "healthy": report.is_healthy(),
                "id": format!("{:x}", health.id), "leader": format!("{:x}", health.leader),
                "learner": health.learner, "version": health.version, "raftIndex": health.raft_index,
                "appliedIndex": health.applied_index, "dbSize": health.db_size, "dbInUse": health.db_in_use,
                "dbQuota": health.db_quota,
                "errors": health.errors,
            }),
            Err(error) => json!({
                "name": report.name, "endpoint": report.endpoint, "healthy": false, "errors": [with_causes(error)],
            }),
        })
        .collect();
    print_result(args.output, &json!({ "members": items }), &health_table(&reports));
    match reports.iter().filter(|report| !report.is_healthy()).count() {
        0 => Ok(()),
        sick => Err(Failure::reported(format!("{sick} of {} members are unhealthy", reports.len()))),
    }
}

fn health_table(reports: &[MemberReport]) -> String {
    let row = |name: &str, endpoint: &str, role: &str, index: &str, size: &str, state: &str| {
        format!("{name:20}  {endpoint:32}  {role:8}  {index:>12}  {size:>10}  {state}\n")
    };
    let mut text = row("NAME", "ENDPOINT", "ROLE", "RAFT INDEX", "DB MIB", "STATE");
    for report in reports {
        let line = match &report.health {
            Ok(health) => {
                let role = match (health.learner, health.leader == health.id) {
                    (true, _) => "learner",
                    (false, true) => "leader",
                    (false, false) => "follower",
                };
                let state = match (health.leader, health.errors.as_slice()) {
                    (0, _) => "has no leader".to_owned(),
                    (_, []) => "ok".to_owned(),
                    (_, errors) => errors.join(", "),
                };
                let size = format!("{:.1}", health.db_size as f64 / f64::from(1 << 20));
                row(&report.name, &report.endpoint, role, &health.raft_index.to_string(), &size, &state)
            }
            Err(error) => row(&report.name, &report.endpoint, "-", "-", "-", &with_causes(error)),
        };
        text.push_str(&line);
    }
    text
}

async fn snapshot(args: &SnapshotArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.etcd.settings)?;
    let ports = world::ports(&spec).await?;
    let folder = args.directory.as_ref().unwrap_or(&spec.node.paths.snapshots);
    if args.dry_run {
        let lines = foresee_take(&ports, &spec, args.file.as_deref(), folder, args.keep).await?;
        foretell(args.etcd.output, "snapshot", &lines);
        return Ok(());
    }
    let taken = take(&ports, &HostEtcdFiles, &spec, args.file.as_deref(), folder, args.keep).await?;
    let text = format!("{} ({:.1} MiB, checked)", taken.path.display(), taken.size as f64 / f64::from(1 << 20));
    let document = json!({ "path": taken.path, "size": taken.size, "removed": taken.removed });
    print_result(args.etcd.output, &document, &text);
    Ok(())
}

async fn hold_drill(args: &DrillArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.etcd.settings)?;
    let file = args.file.as_ref().map(std::path::absolute).transpose()?;
    let ports = world::ports(&spec).await?;
    keep_running(&ports, &mut spec)?;
    if args.dry_run {
        foretell(args.etcd.output, "drill", &foresee_drill(&ports, &spec, file.as_deref()).await?);
        return Ok(());
    }
    let console = Console::new(args.etcd.output, false);
    let result = drill(&ports, &HostEtcdFiles, &spec, file.as_deref(), free_port()?, &console).await?;
    let name = result.snapshot.as_ref().map_or_else(String::new, |path| path.display().to_string());
    let text = result.contents.as_ref().map_or_else(String::new, |contents| {
        let mib = contents.size as f64 / f64::from(1 << 20);
        let seconds = contents.millis as f64 / 1000.0;
        format!(
            "{name} can be restored: {} keys at revision {}, {mib:.1} MiB, all read; etcd answered after {seconds:.1} s",
            contents.keys, contents.revision
        )
    });
    print_result(args.etcd.output, &json!(result), &text);
    match result.fault {
        None => Ok(()),
        Some(fault) => Err(Failure::reported(format!("the snapshot cannot be restored: {fault}"))),
    }
}

async fn defragment_all(args: &DefragmentArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.etcd.settings)?;
    let ports = world::ports(&spec).await?;
    if args.dry_run {
        foretell(args.etcd.output, "defragment", &foresee_defragment(&ports, &spec, args.compact).await?);
        return Ok(());
    }
    let console = Console::new(args.etcd.output, false);
    let done = defragment(&ports, &spec, args.compact, &console).await?;
    let again = if done.disarmed { "; the NOSPACE alarm is cleared" } else { "" };
    let text = format!("{} members defragmented{again}", done.members);
    print_result(
        args.etcd.output,
        &json!({ "defragmented": done.members, "compacted": args.compact, "disarmed": done.disarmed }),
        &text,
    );
    Ok(())
}

async fn remove_member(args: &RemoveArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.etcd.settings)?;
    match remove(&world::ports(&spec).await?, &spec, &args.name, args.dry_run).await? {
        Some(member) if args.dry_run => {
            let line = format!("remove member {} ({}) of etcd", args.name, member.peer_urls.join(","));
            foretell(args.etcd.output, "remove", &[line]);
            Ok(())
        }
        Some(_) => {
            print_result(args.etcd.output, &json!({ "removed": args.name }), &format!("removed member {}", args.name));
            Ok(())
        }
        None => Err(Failure::from(format!("etcd has no member {}; `bootstrap etcd members` shows them", args.name))),
    }
}

fn foretell(output: OutputFormat, command: &str, lines: &[String]) {
    let console = Console::new(output, true);
    console.foretell(command, &format!("etcd {command}"), lines);
    console.finish(lines.len(), &json!({}), &format!("{} steps to do", lines.len()));
}

fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    match ask(question) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Usage("nothing was changed".to_owned())),
        None => Err(Failure::Usage(
            "standard input is not a terminal, so there is nobody to confirm; pass --yes".to_owned(),
        )),
    }
}

/// What to do with control planes that are not in the new etcd.
const OTHERS: &str = "The etcd of every other control plane is now out of date. On each of them run:\n\n  bootstrap reset --yes\n\nand then the command that this prints on this node:\n\n  bootstrap token create --control-plane --print-join-command";

async fn restore_snapshot(args: &RestoreArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.etcd.settings)?;
    let file = std::path::absolute(&args.file)?;
    let question = format!(
        "This restores the cluster to {}: everything written since then is lost. The control planes of all other nodes must be stopped (run `bootstrap reset` there). Continue?",
        file.display()
    );
    let ports = world::ports(&spec).await?;
    keep_running(&ports, &mut spec)?;
    if args.dry_run {
        let lines = foresee_restore(&ports, &HostEtcdFiles, &spec, &file).await?;
        foretell(args.etcd.output, "restore", &lines);
        return Ok(());
    }
    confirm(args.yes, &question)?;
    let console = Console::new(args.etcd.output, false);
    let kept = restore(&ports, &HostEtcdFiles, &spec, &file, &console).await?;
    let beside = kept.as_ref().map_or_else(String::new, |kept| format!(" The previous data is in {}.", kept.display()));
    let text = format!("The cluster is restored from {}.{beside}\n\n{OTHERS}", file.display());
    print_result(args.etcd.output, &json!({ "restored": file, "kept": kept }), &text);
    Ok(())
}

async fn recover_quorum(args: &RecoverArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.etcd.settings)?;
    let ports = world::ports(&spec).await?;
    keep_running(&ports, &mut spec)?;
    if args.dry_run {
        foretell(args.etcd.output, "recover", &foresee_recover(&ports, &spec).await?);
        return Ok(());
    }
    confirm(
        args.yes,
        "This makes this node's etcd the only member; use it when most members are permanently lost. Stop all other members that still run first. Continue?",
    )?;
    let console = Console::new(args.etcd.output, false);
    recover(&ports, &spec, &console).await?;
    let name = &spec.node.name;
    print_result(
        args.etcd.output,
        &json!({ "recovered": name }),
        &format!("etcd of {name} is now the only member.\n\n{OTHERS}"),
    );
    Ok(())
}
