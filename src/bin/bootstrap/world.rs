//! Connects the adapters to the ports.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use roost::adapters::apiserver::key_handover::CsrHandover;
use roost::adapters::apiserver::reachability::HttpReachability;
use roost::adapters::checks::NetChecks;
use roost::adapters::containerd::ContainerdImages;
use roost::adapters::cri::Cri;
use roost::adapters::etcd::EtcdClients;
use roost::adapters::fs::node_files::HostFiles;
use roost::adapters::network::HostNetwork;
use roost::adapters::systemd::Systemd;
use roost::adapters::x509::X509;
use roost::agent::{AgentSettings, BalancerSettings, PodNetworkSettings};
use roost::bootstrap::Ports;
use roost::bootstrap::kept::KEPT_FILE;
use roost::cli::agent::AgentArgs;
use roost::cli::args::SettingsArgs;
use roost::cli::bootstrap::{Cli, Command};
use roost::cli::output::complain;
use roost::core::bootstrap::units::agent_arguments;
use roost::core::model::Release;
use roost::core::model::spec::Spec;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::settings;

/// Timeout of one call to the runtime; pulls have none.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(120);

/// The ports with their real adapters.
pub async fn ports(spec: &Spec) -> Result<Ports, Failure> {
    Ok(Ports {
        files: Arc::new(HostFiles),
        pki: Arc::new(X509),
        units: Arc::new(Systemd::connect().await?),
        images: Arc::new(ContainerdImages::new(&spec.node.runtime_socket)),
        pulls: Arc::new(Cri::new(&spec.node.runtime_socket, RUNTIME_TIMEOUT)),
        runtime: Arc::new(Cri::new(&spec.node.runtime_socket, RUNTIME_TIMEOUT)),
        network: Arc::new(HostNetwork::connect("nft".into(), spec.node.paths.cni_conf.clone())?),
        net: Arc::new(HttpReachability),
        checks: Arc::new(NetChecks::new(Release::newest().probe_agent)?),
        etcd: Arc::new(EtcdClients),
        handover: Arc::new(CsrHandover),
        now: Timestamp::now,
    })
}

/// Completes on a signal to stop. Signals are taken from the first poll on: before it they end the program.
pub async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The arguments that follow from the settings, as `bootstrap init` and `join` write them into the agent's unit.
fn from_settings(args: AgentArgs) -> Result<AgentArgs, Failure> {
    let Some(file) = args.settings else { return Ok(args) };
    let of = |file: &Path| settings::spec(&SettingsArgs { config: Some(file.to_owned()), ..SettingsArgs::default() });
    let spec = match of(&file) {
        // A generation with invalid settings must not cut the node off from the API servers: `init` or `join` reports
        // the faults, and nothing was applied.
        Err(Failure::Configuration(faults)) => {
            let Ok(spec) = of(Path::new(KEPT_FILE)) else { return Err(Failure::Configuration(faults)) };
            complain(&format!("{faults}\ncontinuing with the settings that were last applied ({KEPT_FILE})"));
            spec
        }
        outcome => outcome?,
    };
    let words = ["bootstrap".to_owned()].into_iter().chain(agent_arguments(&spec, args.control_plane));
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Agent(args)) => Ok(args),
        Ok(_) => Err(Failure::Usage("these are not arguments of the agent".to_owned())),
        Err(error) => Err(Failure::Usage(error.to_string())),
    }
}

/// Runs the agent until a signal stops it.
pub async fn agent(args: AgentArgs) -> Result<(), Failure> {
    let args = from_settings(args)?;
    roost::telemetry::panics::install(|_| {});
    let settings = AgentSettings {
        kubeconfig: args.kubeconfig,
        pod_network: PodNetworkSettings { node_name: args.node_name.unwrap_or_default(), pod_subnets: args.pod_subnet },
        approver_kubeconfig: args.approver_kubeconfig,
        cloud: args.external_cloud,
        pki: args.pki_dir,
        kubelet_certs: args.kubelet_cert_dir,
        balancer: args.balancer.map(|listen| BalancerSettings {
            listen,
            own: args.own_api_server,
            seeds: args.api_server,
            cache: args.api_server_cache,
        }),
        nft: args.nft,
        cni_directory: args.cni_conf_dir,
    };
    Ok(roost::agent::run(settings, told_to_stop()).await?)
}
