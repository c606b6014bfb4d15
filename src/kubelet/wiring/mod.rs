//! Assembly of the kubelet: the one place where its rooms meet real adapters.

mod api;
mod cgroups;
mod claim;
mod credentials;
mod error;
mod host;
mod parts;
mod server;
mod sources;
mod units;
mod upkeep;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::api::{Api, ApiSourceParts};
pub use self::claim::{claim, last_claim};
pub use self::error::Error;
use self::parts::NoStatuses;
use super::admission::NodeAdmission;
use super::hooks::HookRunner;
use super::images::{ImagePorts, Images};
use super::logs::DirectoryWatch;
use super::node::status::NodeReporter;
use super::pods::{self, Instruments, PodPorts};
use super::probes::{ProbePorts, Prober};
use super::sources::file::tell_faults;
use super::startup::StartupTracker;
use crate::adapters::checks::NetChecks;
use crate::adapters::credentials::DiskCredentials;
use crate::adapters::cri::Cri;
use crate::adapters::csi::CsiVolumes;
use crate::adapters::default_address::default_address;
use crate::adapters::fs::name_files::LocalNameFiles;
use crate::adapters::fs::node_context;
use crate::adapters::fs::pod_files::LocalPodFiles;
use crate::adapters::fs::pull_records::RecordFiles;
use crate::adapters::fs::user_namespaces::{IdRange, LocalUserNamespaces};
use crate::adapters::host::LocalHost;
use crate::adapters::lock_file;
use crate::adapters::machine::LocalMachine;
use crate::adapters::standalone::{LogEvents, NoObjects};
use crate::adapters::volumes::LocalVolumes;
use crate::config::kubelet as config;
use crate::core::model::KubeletSpec;
use crate::core::node::{NodeStartup, name_to_look_up};
use crate::kubelet::pods::StatusSink;
use crate::ports::kubelet::{Events, Machine, NameFiles, Objects};
use crate::supervise::{restarting, spawn};
use crate::telemetry::{Metrics, panics, process};

/// Where log collectors expect the logs of containers.
const CONTAINER_LOGS: &str = "/var/log/containers";

fn socket_of(endpoint: &str) -> Result<PathBuf, Error> {
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    if path.starts_with('/') { Ok(PathBuf::from(path)) } else { Err(Error::Endpoint(endpoint.into())) }
}

/// Why the kubelet stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// Another process wants the lock of `--lock-file` (`--exit-on-lock-contention`).
    LockWanted,
}

/// Takes the lock of `--lock-file`, and stops the kubelet when another process wants it, if the settings require that.
async fn lock(
    spec: &KubeletSpec,
    wanted: &CancellationToken,
    stop: &CancellationToken,
) -> Result<Option<lock_file::LockFile>, Error> {
    let Some(path) = &spec.host.lock_file else { return Ok(None) };
    let failed = |source| Error::Lock { path: path.clone(), source };
    let lock = lock_file::acquire(path, stop).await.map_err(failed)?;
    if spec.host.exit_on_lock_contention {
        let contention = lock_file::contention(path).map_err(failed)?;
        let (path, wanted, stop) = (path.clone(), wanted.clone(), stop.clone());
        spawn("lock file", async move {
            if stop.run_until_cancelled(contention).await.is_some() {
                info!(path = %path.display(), "another process opened the lock file; the kubelet exits");
                wanted.cancel();
                stop.cancel();
            }
        });
    }
    Ok(lock)
}

/// Runs the kubelet until `stop`, or until it exits for another process that wants its lock; pods keep running.
///
/// # Errors
/// Only what prevents it from running at all: settings that cannot be met, ports in use.
pub async fn run(spec: KubeletSpec, stop: CancellationToken) -> Result<End, Error> {
    host::prepare(&spec, &LocalHost::default())?;
    let lock_wanted = CancellationToken::new();
    let lock = lock(&spec, &lock_wanted, &stop).await?;
    if spec.host.lock_file.is_some() && lock.is_none() {
        return Ok(End::Stopped);
    }
    run_here(spec, stop).await?;
    drop(lock);
    Ok(if lock_wanted.is_cancelled() { End::LockWanted } else { End::Stopped })
}

/// Runs on a machine that was checked.
#[expect(clippy::disallowed_methods, reason = "/sys is memory")]
async fn run_here(mut spec: KubeletSpec, stop: CancellationToken) -> Result<(), Error> {
    // Resolved once for everything that is created and removed in it; storage drivers get the configured name.
    let named_root = spec.dirs.root;
    spec.dirs.root =
        LocalVolumes::prepare_root(&named_root).map_err(|source| Error::Folder { path: named_root.clone(), source })?;
    let spec = Arc::new(spec);
    let socket = socket_of(&spec.runtime.endpoint)?;
    let metrics = Arc::new(Metrics::default());
    let counted = Arc::clone(&metrics);
    panics::install(move |task| counted.panics.with([task]).inc());
    let runtime = Arc::new(Cri::new(&socket, spec.runtime.timeout).with_metrics(Arc::clone(&metrics)));
    let image_service = match socket_of(&spec.runtime.image_endpoint)? {
        same if same == socket => Arc::<Cri>::clone(&runtime),
        other => Arc::new(Cri::new(&other, spec.runtime.timeout).with_metrics(Arc::clone(&metrics))),
    };
    for (name, stage, enabled) in config::features(spec.release, &spec.effective) {
        metrics.features.with([name, stage]).set(if enabled { 1.0 } else { 0.0 });
    }
    let local = LocalMachine::new(&spec.dirs.root);
    let machine = local.observe(name_to_look_up(&spec)).await;
    let unseen = parts::unseen_node(&spec, &machine);
    let mut context = node_context::read(&spec.dirs, &spec.pods);
    context.allocatable = unseen.status.as_ref().and_then(|s| s.allocatable.clone()).unwrap_or_default();
    let addresses =
        if spec.node.ips.is_empty() { default_address().into_iter().collect() } else { spec.node.ips.clone() };
    context.host_ips = addresses.clone();
    let (context, node) = watch::channel(Arc::new(context));
    let ids = IdRange::of_node(spec.pods.user_namespace_ids)
        .map_err(|error| Error::Part { what: "id ranges of user namespaces", source: error.into() })?;

    let api = match &spec.kubeconfig {
        Some(path) => Some(Api::connect(&spec, path, &metrics, stop.clone()).await?),
        None => None,
    };
    let objects: Arc<dyn Objects> = match &api {
        Some(api) => Arc::clone(&api.objects),
        None => Arc::new(NoObjects::default()),
    };
    let events: Arc<dyn Events> = match &api {
        Some(api) => Arc::clone(&api.events),
        None => Arc::new(LogEvents),
    };
    let storage = api
        .as_ref()
        .map(|api| parts::start_storage(&spec, &named_root, (api.storage(&spec), &objects), &metrics, stop.clone()));
    let statuses: Arc<dyn StatusSink> = match &api {
        Some(api) => Arc::new(api.reporter.clone()),
        None => Arc::new(NoStatuses),
    };

    let checks = Arc::new(
        NetChecks::new(spec.release.probe_agent)
            .map_err(|e| Error::Part { what: "TLS of probes", source: e.into() })?,
    );
    let probe_ports = ProbePorts {
        runtime: Arc::<Cri>::clone(&runtime),
        checks: Arc::<NetChecks>::clone(&checks),
        events: Arc::clone(&events),
        metrics: Arc::clone(&metrics),
        wall: Timestamp::now,
        agent: spec.release.probe_agent,
    };
    let startup = Arc::new(StartupTracker::new(Arc::clone(&metrics), Timestamp::now));
    let images = Arc::new(Images::new(
        ImagePorts {
            images: Arc::<Cri>::clone(&image_service),
            objects: Arc::clone(&objects),
            events: Arc::clone(&events),
            node: Arc::new(DiskCredentials {
                root: spec.dirs.root.clone(),
                home: Some(PathBuf::from("/root")),
                plugins: spec.images.credential_bin_dir.clone().unwrap_or_default(),
            }),
            records: Arc::new(RecordFiles::new(&spec.dirs.root)),
            startup: Arc::clone(&startup),
            metrics: Arc::clone(&metrics),
            wall: Timestamp::now,
        },
        &spec.images,
        upkeep::credential_plugins(&spec)?,
    ));
    let (pressure_sender, pressure) = watch::channel(Default::default());
    let (shutdown_sender, shutting_down) = watch::channel(false);
    let (node_sender, node_object) = watch::channel(Arc::new(unseen));
    let registered_node = node_object.clone();
    let (uid_sender, node_uid) = watch::channel(None);
    let node_reporter = NodeReporter {
        spec: Arc::clone(&spec),
        api: api.as_ref().map(|api| Arc::clone(&api.node)),
        runtime: Arc::<Cri>::clone(&runtime),
        images: Arc::<Cri>::clone(&image_service),
        machine: Arc::new(local),
        events: Arc::clone(&events),
        pressure: pressure.clone(),
        volumes_in_use: storage.as_ref().map_or_else(|| watch::channel(BTreeSet::new()).1, CsiVolumes::in_use),
        shutting_down: shutting_down.clone(),
        node: node_sender,
        node_uid: uid_sender,
        context,
        startup: NodeStartup::new(process::boot_time(), Timestamp::now()),
        metrics: Arc::clone(&metrics),
    };
    // First: neither the runtime nor systemd nor the disk may delay the renewal of the node's lease.
    let ends = stop.clone();
    restarting("node status", &stop, node_reporter, move |reporter| Box::pin(reporter.run(ends.clone())));
    if let Some(api) = &api {
        api.start_lease(&spec, node_uid.clone(), stop.clone());
    }
    images.recover().await;
    let driver = cgroups::driver(&spec, &*runtime, &metrics).await;
    let pod_cgroups = cgroups::start(&spec, driver, &machine, &events, &metrics).await?;
    let names: Arc<dyn NameFiles> = Arc::new(LocalNameFiles::new(&spec.pods.resolv_conf));
    parts::tell_resolver_limits(&spec, &names, &events);
    let volumes = LocalVolumes::new(Arc::clone(&objects), node.clone()).with_metrics(Arc::clone(&metrics));
    let pod_ports = PodPorts {
        runtime: Arc::<Cri>::clone(&runtime),
        images: Arc::<Images>::clone(&images),
        volumes: Arc::new(match storage {
            Some(drivers) => volumes.with_drivers(drivers),
            None => volumes,
        }),
        cgroups: pod_cgroups,
        objects: Arc::clone(&objects),
        files: Arc::new(LocalPodFiles::new(&spec.dirs.root, &spec.dirs.pod_logs, Path::new(CONTAINER_LOGS))),
        names: Arc::clone(&names),
        probes: Arc::new(Prober::start(probe_ports, stop.clone())),
        hooks: Arc::new(HookRunner {
            runtime: Arc::<Cri>::clone(&runtime),
            checks,
            events: Arc::clone(&events),
            metrics: Arc::clone(&metrics),
            agent: spec.release.hook_agent,
        }),
        admission: Arc::new(NodeAdmission {
            node: node_object,
            pressure,
            shutting_down,
            apparmor: Path::new("/sys/kernel/security/apparmor").exists(),
            unsafe_sysctls: spec.pods.allowed_unsafe_sysctls.clone(),
            release: spec.release,
        }),
        events: Arc::clone(&events),
        statuses,
        user_namespaces: Arc::new(LocalUserNamespaces::new(&spec.dirs.root, ids)),
        node,
        instruments: Instruments { metrics: Arc::clone(&metrics), wall: Timestamp::now },
    };
    let settings = pods::Settings {
        sources: sources::kinds(&spec),
        resync: spec.pods.sync_frequency,
        max_restart_backoff: spec.pods.max_restart_backoff,
    };
    let (desired, incoming) = mpsc::channel(16);
    let table = pods::start(pod_ports, settings, incoming, stop.clone());
    let (statics, static_pods) = watch::channel(None);
    let log_watch = Arc::new(DirectoryWatch::default());
    let (faults, unit_reports) = sources::start(&spec, &table, &log_watch, &desired, statics, stop.clone())?;
    if api.is_some() {
        let state = (faults, Arc::clone(&events));
        restarting("faulty manifests", &stop, state, |(faults, events)| Box::pin(tell_faults(faults, &**events)));
    }
    if let Some(api) = &api {
        let source = ApiSourceParts { desired, startup, node_uid };
        api.start_pods(&spec, source, static_pods, &table, stop.clone());
        api.start_certificates(&spec, registered_node, stop.clone());
    }
    let usage = server::usage(&spec, &table, (&runtime, &image_service), driver);
    let upkeep_parts = upkeep::UpkeepParts {
        table: &table,
        runtime: &runtime,
        images_of: &image_service,
        events: &events,
        images: &images,
        metrics: &metrics,
        usage: Arc::clone(&usage),
    };
    upkeep::start(&spec, upkeep_parts, pressure_sender, stop.clone()).await?;
    upkeep::watch_shutdown(&spec, &table, &events, Arc::clone(&metrics), shutdown_sender, stop.clone());
    let server_parts = server::ServerParts {
        reviews: api.as_ref().map(Api::reviews),
        table: &table,
        runtime: &runtime,
        usage,
        metrics,
        log_watch,
        addresses: &addresses,
    };
    server::start(&spec, server_parts, stop.clone()).await?;
    host::keep_chains(&spec, &stop);
    parts::start_log_rotation(&spec, &table, &runtime, stop.clone());
    units::wait_for_start(unit_reports).await;
    parts::notify_systemd(table.liveness.clone(), stop.clone());
    info!(node = spec.node_name, version = spec.release.version, standalone = api.is_none(), "kubelet runs");
    stop.cancelled().await;
    // Pending statuses are sent; pods are left alone.
    if let Some(api) = api {
        api.flush().await;
    }
    // An aborted start would terminate its container.
    if tokio::time::timeout(parts::LAST_CALLS, runtime.settled()).await.is_err() {
        warn!("the runtime did not complete a call in time; exiting during a change");
    }
    Ok(())
}
