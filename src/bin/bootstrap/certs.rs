//! `bootstrap certs`.

use jiff::Timestamp;
use roost::adapters::fs::node_files::HostFiles;
use roost::adapters::x509::X509;
use roost::bootstrap::certificates::{CertificateReport, observe_certificates};
use roost::bootstrap::upgrade::keep_running;
use roost::bootstrap::{Ports, RunOptions, commands};
use roost::cli::args::OutputFormat;
use roost::cli::bootstrap::{CertsListArgs, CertsRenewArgs};
use roost::cli::output::{Console, print_line};
use roost::core::model::spec::Spec;
use roost::ports::bootstrap::Progress;
use serde_json::json;

use crate::failure::Failure;
use crate::{settings, world};

/// Shows every certificate of this node.
pub fn list(args: &CertsListArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.settings)?;
    let now = Timestamp::now();
    let reports = observe_certificates(&HostFiles, &X509, &spec, now)?;
    match args.output {
        OutputFormat::Json => {
            let items: Vec<_> = reports
                .iter()
                .map(|report| {
                    json!({
                        "path": report.path, "subject": report.subject, "authority": report.authority,
                        "notAfter": report.not_after.map(|moment| moment.to_string()),
                        "renewedAt": report.renewed_at.map(|moment| moment.to_string()),
                        "fault": report.fault, "renewedHere": report.renewed_here,
                    })
                })
                .collect();
            print_line(&format!("{:#}", json!({ "certificates": items })));
        }
        OutputFormat::Text => print_line(&table(&reports, now)),
    }
    Ok(())
}

fn table(reports: &[CertificateReport], now: Timestamp) -> String {
    let width = reports.iter().map(|report| report.path.display().to_string().len()).max().unwrap_or_default();
    let mut text = format!("{:width$}  {:>6}  {:20}  {:10}  {}\n", "CERTIFICATE", "LEFT", "ENDS", "RENEWED", "STATE");
    for report in reports {
        let day = |moment: Option<Timestamp>| moment.map_or_else(|| "-".to_owned(), |moment| moment.to_string());
        let left =
            report.not_after.map_or_else(String::new, |end| format!("{}d", end.duration_since(now).as_hours() / 24));
        let renewed: String = day(report.renewed_at).chars().take(10).collect();
        let path = report.path.display().to_string();
        let end: String = day(report.not_after).chars().take(20).collect();
        let elsewhere = if report.renewed_here || report.authority { "" } else { " (signed elsewhere)" };
        let state = report.fault.as_deref().unwrap_or("ok");
        text.push_str(&format!("{path:width$}  {left:>6}  {end:20}  {renewed:10}  {state}{elsewhere}\n"));
    }
    text
}

/// Renews what is due.
pub async fn renew(args: &CertsRenewArgs) -> Result<(), Failure> {
    let mut spec = settings::spec(&args.settings)?;
    let ports = world::ports(&spec).await?;
    keep_running(&ports, &mut spec)?;
    let console = Console::new(args.run.output, args.run.dry_run);
    let options =
        RunOptions { dry_run: args.run.dry_run, only: args.run.phase.clone(), reissue: args.all, joins_etcd: false };
    let changed = commands::renew::renew(&ports, &spec, &options, &console).await?;
    let text = match changed {
        0 => "nothing is due".to_owned(),
        many => format!("{many} steps {}", if args.run.dry_run { "to do" } else { "done" }),
    };
    let (due, kept) = signed_elsewhere(&ports, &spec)?;
    if args.all && !kept.is_empty() {
        console.step_says(&format!(
            "not renewed, because the keys of their CAs are not on this node: {}",
            kept.join(", ")
        ));
    }
    console.finish(changed, &json!({ "dueElsewhere": due }), &text);
    match due.as_slice() {
        [] => Ok(()),
        due => Err(Failure::reported(format!(
            "the keys of their CAs are not on this node: have these certificates signed again and copy them here:\n  {}",
            due.join("\n  ")
        ))),
    }
}

/// Certificates that cannot be renewed here: those that are due, with the reason, and the others.
fn signed_elsewhere(ports: &Ports, spec: &Spec) -> Result<(Vec<String>, Vec<String>), Failure> {
    let reports = observe_certificates(ports.files.as_ref(), ports.pki.as_ref(), spec, (ports.now)())?;
    let elsewhere = reports.into_iter().filter(|report| !report.renewed_here && !report.authority);
    let (mut due, mut kept) = (Vec::new(), Vec::new());
    for report in elsewhere {
        match report.fault {
            Some(fault) => due.push(format!("{} ({}): {fault}", report.path.display(), report.subject)),
            None => kept.push(report.path.display().to_string()),
        }
    }
    Ok((due, kept))
}
