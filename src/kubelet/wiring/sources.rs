//! The sources of static pods, and the stages between them and the pod table.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::{parts, units};
use crate::adapters::fetch::HttpFetch;
use crate::adapters::fs::manifests::ManifestDir;
use crate::core::model::{DesiredSet, KubeletSpec, SourceKind};
use crate::kubelet::logs::DirectoryWatch;
use crate::kubelet::pods::PodTable;
use crate::kubelet::sources::file::{FileSource, ManifestFault};
use crate::kubelet::sources::http::HttpSource;
use crate::kubelet::units::Reports;
use crate::supervise::restarting;

/// The sources that are configured.
pub fn kinds(spec: &KubeletSpec) -> Vec<SourceKind> {
    let mut kinds = Vec::new();
    kinds.extend(spec.sources.path.is_some().then_some(SourceKind::File));
    kinds.extend(spec.sources.url.is_some().then_some(SourceKind::Http));
    kinds.extend(spec.kubeconfig.is_some().then_some(SourceKind::Api));
    kinds
}

/// Faults of manifest files, and states of static pods if they have units.
type SourceReports = (watch::Receiver<Vec<ManifestFault>>, Option<watch::Receiver<Reports>>);

/// Starts the sources of static pods: files and URL → units → mirrors → table.
pub fn start(
    spec: &KubeletSpec,
    table: &PodTable,
    logs: &Arc<DirectoryWatch>,
    desired: &mpsc::Sender<DesiredSet>,
    statics: watch::Sender<Option<Vec<Arc<Pod>>>>,
    stop: CancellationToken,
) -> Result<SourceReports, Error> {
    let (faults, told) = watch::channel(Vec::new());
    let statics_of: BTreeSet<SourceKind> = kinds(spec).into_iter().filter(|kind| *kind != SourceKind::Api).collect();
    if statics_of.is_empty() {
        statics.send_replace(Some(Vec::new()));
    }
    let (reread, rereads) = mpsc::channel(4);
    let mut desired = parts::tap_statics(desired.clone(), statics, statics_of.clone(), stop.clone());
    let mut reports = None;
    if spec.sources.units && !statics_of.is_empty() {
        let reread = spec.sources.path.as_ref().map(|_| reread);
        let (sender, states) = units::start(spec, table, logs, desired, statics_of, reread, &stop)?;
        (desired, reports) = (sender, Some(states));
    }
    if let Some(path) = &spec.sources.path {
        let source = FileSource {
            files: Some(Box::new(ManifestDir::new(path, &spec.dirs.root.join("static-pods")))),
            node_name: spec.node_name.clone(),
            recheck: spec.sources.file_check,
            desired: desired.clone(),
            faults,
            rereads,
        };
        let ends = stop.clone();
        restarting("manifest files", &stop, source, move |source| Box::pin(source.run(ends.clone())));
    }
    if let Some(url) = &spec.sources.url {
        let fetch = HttpFetch::new().map_err(|e| Error::Part { what: "TLS of staticPodURL", source: e.into() })?;
        let source = HttpSource {
            fetch: Arc::new(fetch),
            url: url.clone(),
            headers: spec.sources.url_headers.clone(),
            interval: spec.sources.http_check,
            node_name: spec.node_name.clone(),
            desired,
        };
        restarting("manifest URL", &stop.clone(), source, move |source| Box::pin(source.run(stop.clone())));
    }
    Ok((told, reports))
}
