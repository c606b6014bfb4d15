//! The server with its certificate, its statistics and its flags.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::ResolvesServerCert;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::error::Error;
use crate::adapters::cri::Cri;
use crate::adapters::serving::{CertificateFiles, FileCertificate, ensure_self_signed};
use crate::adapters::usage::{MachineUsage, UsageOptions};
use crate::core::model::{KubeletSpec, with_causes};
use crate::kubelet::logs::DirectoryWatch;
use crate::kubelet::pods::PodTable;
use crate::kubelet::server::{Listeners, ServerPorts, Settings};
use crate::ports::kubelet::{CgroupDriver, Reviews, Usage};
use crate::supervise::vital;
use crate::telemetry::Metrics;

/// Measures the usage of this machine.
pub fn usage(
    spec: &KubeletSpec,
    table: &PodTable,
    (runtime, images): (&Arc<Cri>, &Arc<Cri>),
    driver: CgroupDriver,
) -> Arc<dyn Usage> {
    let options = UsageOptions {
        node_name: spec.node_name.clone(),
        cgroup_mount: PathBuf::from("/sys/fs/cgroup"),
        cgroup_root: spec.runtime.cgroup_root.clone(),
        driver,
        proc: PathBuf::from("/proc"),
        sys: PathBuf::from("/sys"),
        root_dir: spec.dirs.root.clone(),
        volumes: spec.volume_period,
        from_runtime: spec.usage_from_runtime,
    };
    Arc::new(MachineUsage::new(options, Arc::clone(&table.pods), Arc::<Cri>::clone(runtime), Arc::<Cri>::clone(images)))
}

/// The parts that the server uses.
pub struct ServerParts<'a> {
    /// Access reviews; `None` in standalone mode.
    pub reviews: Option<Arc<dyn Reviews>>,
    /// The pods, and the liveness of their table.
    pub table: &'a PodTable,
    pub runtime: &'a Arc<Cri>,
    pub usage: Arc<dyn Usage>,
    pub metrics: Arc<Metrics>,
    /// Notifies about changed log files.
    pub log_watch: Arc<DirectoryWatch>,
    /// Addresses of the node, for a self-signed certificate.
    pub addresses: &'a [IpAddr],
}

/// Binds the ports and serves them until `stop`.
pub async fn start(spec: &KubeletSpec, parts: ServerParts<'_>, stop: CancellationToken) -> Result<(), Error> {
    if !spec.server.enabled {
        return Ok(());
    }
    let settings = Settings::from_spec(spec);
    let listeners =
        Listeners::bind(&settings).await.map_err(|e| Error::Part { what: "ports of the server", source: e.into() })?;
    let liveness = parts.table.liveness.clone();
    let ports = ServerPorts {
        pods: Arc::clone(&parts.table.pods),
        runtime: Arc::<Cri>::clone(parts.runtime),
        usage: parts.usage,
        reviews: parts.reviews,
        certificate: certificate(spec, parts.addresses, &parts.metrics)?,
        metrics: parts.metrics,
        sync_loop: Arc::new(move || liveness.fault()),
        log_watch: parts.log_watch,
    };
    vital("server", &stop.clone(), async move {
        if let Err(error) = listeners.serve(settings, ports, stop).await {
            error!(error = with_causes(&error), "the server failed");
        }
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "once, before anything runs")]
fn certificate(
    spec: &KubeletSpec,
    addresses: &[IpAddr],
    metrics: &Arc<Metrics>,
) -> Result<Arc<dyn ResolvesServerCert>, Error> {
    let wrong = |e: crate::adapters::serving::Error| Error::Part { what: "serving certificate", source: e.into() };
    if let (Some(certificate), Some(key)) = (&spec.server.tls_cert, &spec.server.tls_key) {
        let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
        return Ok(Arc::new(FileCertificate::load(files).map_err(wrong)?.with_metrics(Arc::clone(metrics))));
    }
    if spec.server_tls_bootstrap {
        // The provider of the certificate writes it there; until then no handshake succeeds, as upstream.
        let both = spec.dirs.certs.join("kubelet-server-current.pem");
        if !both.exists() {
            warn!(path = %both.display(), "no serving certificate yet; the cluster has to issue one");
        }
        let certificate = FileCertificate::wait_for(CertificateFiles { certificate: both.clone(), key: both });
        let certificate = Arc::new(certificate.with_metrics(Arc::clone(metrics)));
        let waiting = Arc::clone(&certificate);
        tokio::spawn(async move {
            while waiting.current().is_none() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        return Ok(certificate);
    }
    let names: Vec<String> =
        std::iter::once(spec.node_name.clone()).chain(addresses.iter().map(IpAddr::to_string)).collect();
    let files = ensure_self_signed(&spec.dirs.certs, &spec.node_name, &names).map_err(wrong)?;
    Ok(Arc::new(FileCertificate::load(files).map_err(wrong)?.with_metrics(Arc::clone(metrics))))
}
