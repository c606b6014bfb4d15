//! `bootstrap status`.

use std::path::Path;
use std::time::Duration;

use roost::adapters::cri::Cri;
use roost::adapters::static_pods::KubeletSocket;
use roost::adapters::status_probes::HostProbes;
use roost::bootstrap::Ports;
use roost::bootstrap::status::{StatusPorts, observe};
use roost::cli::args::OutputFormat;
use roost::cli::bootstrap::StatusArgs;
use roost::cli::output::{clear_terminal, print_line};
use roost::core::bootstrap::node_status::text::{document, render};
use roost::core::model::spec::Spec;
use roost::core::static_units::SOCKET;

use crate::failure::Failure;
use crate::world::told_to_stop;
use crate::{settings, world};

/// The runtime answers a question about itself within this time, or it hangs.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(5);

/// Shows the state of this node; a problem is a failure, so that a monitor needs only the exit code.
pub async fn status(args: &StatusArgs) -> Result<(), Failure> {
    let spec = settings::spec(&args.settings)?;
    let ports = world::ports(&spec).await?;
    let Some(pause) = args.watch else { return look(&ports, &spec, args).await };
    let mut stop = std::pin::pin!(told_to_stop());
    let mut last = Ok(());
    loop {
        tokio::select! {
            () = &mut stop => return last,
            outcome = look(&ports, &spec, args) => last = outcome,
        }
        // A failure of the look itself is shown like a problem, and the next look may succeed.
        if let Err(Failure::Failed(error)) = &last {
            roost::cli::output::complain_of(error.as_ref());
        }
        tokio::select! {
            () = &mut stop => return last,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn look(ports: &Ports, spec: &Spec, args: &StatusArgs) -> Result<(), Failure> {
    let probes = HostProbes::new(Cri::new(&spec.node.runtime_socket, RUNTIME_PATIENCE));
    let states = KubeletSocket::new(Path::new(SOCKET));
    let status = observe(&StatusPorts { ports, probes: &probes, states: &states }, spec).await?;
    let now = (ports.now)();
    let report = status.judge(now);
    match (args.output, args.watch) {
        (OutputFormat::Json, None) => print_line(&format!("{:#}", document(&status, &report, now))),
        // One line for each look, for programs that read along.
        (OutputFormat::Json, Some(_)) => print_line(&document(&status, &report, now).to_string()),
        (OutputFormat::Text, None) => print_line(&render(&status, &report, now)),
        (OutputFormat::Text, Some(_)) => {
            clear_terminal();
            print_line(&format!("{now:.0}\n{}\n", render(&status, &report, now)));
        }
    }
    match report.problems.len() {
        0 => Ok(()),
        1 => Err(Failure::reported("one problem")),
        many => Err(Failure::reported(format!("{many} problems"))),
    }
}
