//! `bootstrap manifests`.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use roost::adapters::fs::node_files::HostFiles;
use roost::adapters::static_pods::KubeletSocket;
use roost::bootstrap::manifest_sets::{ManifestSet, SetPorts, read_set};
use roost::cli::args::OutputFormat;
use roost::cli::manifests::{CheckArgs, ManifestsCommand, SwitchArgs};
use roost::cli::output::{complain, print_line, print_result};
use roost::core::manifest::switch::{Change, SetFiles, check_set};
use roost::core::static_units::SOCKET;
use serde_json::json;

use crate::failure::{CONFIGURATION, Failure};
use crate::settings;

/// Checks or switches manifest sets.
pub async fn manifests(command: ManifestsCommand) -> Result<(), Failure> {
    match command {
        ManifestsCommand::Check(args) => check(&args),
        ManifestsCommand::Apply(args) => switch(&args.switch, Some(&args.folder)).await,
        ManifestsCommand::Rollback(args) => switch(&args, None).await,
    }
}

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let path = &args.path;
    let files = if path.is_dir() {
        read_set(&HostFiles, path)?
    } else {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::from(format!("{}: {error}", path.display())))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        SetFiles::from([(name, text)])
    };
    match check_set(&files, &[], Path::new("/etc/kubernetes/manifests"), "node") {
        Ok(pods) => {
            let text = format!("{} static pods are valid", pods.len());
            print_result(args.output, &json!({ "pods": pods.len(), "faults": [] }), &text);
            Ok(())
        }
        Err(faults) if args.output == OutputFormat::Json => {
            print_result(args.output, &json!({ "pods": 0, "faults": faults }), "");
            Err(Failure::Reported(format!("{} faults", faults.len()), CONFIGURATION))
        }
        Err(faults) => Err(Failure::Configuration(faults.join("\n"))),
    }
}

async fn switch(args: &SwitchArgs, folder: Option<&Path>) -> Result<(), Failure> {
    let spec = settings::spec(&args.settings)?;
    let set = ManifestSet::new(&args.name, &spec.node.paths.manifests(), &spec.node.name);
    let states = KubeletSocket::new(Path::new(SOCKET));
    let say = |text: &str| {
        if args.output == OutputFormat::Text {
            complain(text);
        }
    };
    let ports = SetPorts { files: &HostFiles, states: &states, now: Timestamp::now, say: &say };
    if args.dry_run {
        let changes = set.foresee(&ports, folder)?;
        let lines: Vec<String> = changes
            .iter()
            .map(|change| match change {
                Change::Write { name, .. } => format!("write {}", set.folder.join(name).display()),
                Change::Remove { name } => format!("remove {}", set.folder.join(name).display()),
            })
            .collect();
        let text =
            if lines.is_empty() { format!("manifest set {}: nothing to do", args.name) } else { lines.join("\n") };
        let document = json!({ "set": args.name, "dryRun": true, "changed": lines.len(), "changes": lines });
        print_result(args.output, &document, &text);
        return Ok(());
    }
    let within = Duration::from_secs(args.within);
    let changed = match folder {
        Some(folder) => set.apply(&ports, folder, within).await?,
        None => set.roll_back(&ports, within).await?,
    };
    match args.output {
        OutputFormat::Json => print_line(&format!("{:#}", json!({"set": args.name, "changed": changed}))),
        OutputFormat::Text if changed == 0 => print_line(&format!("manifest set {}: nothing to do", args.name)),
        OutputFormat::Text => print_line(&format!("manifest set {}: all of its pods are Ready", args.name)),
    }
    Ok(())
}
