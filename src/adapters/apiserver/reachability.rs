//! The port `Reachability`, with kube's client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kube::Config;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::authorization::Authorization;
use super::cluster_objects::ApiObjects;
use super::connect::{self, connect};
use crate::adapters::names::Names;
use crate::ports::bootstrap::{ClusterObjects, Reachability};

/// Time limit of one request.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, Default)]
pub struct HttpReachability;

async fn ask(url: &str, ca: Option<&str>) -> Option<()> {
    let uri: hyper::Uri = url.parse().ok()?;
    let base = format!("{}://{}", uri.scheme_str()?, uri.authority()?).parse().ok()?;
    let mut config = Config::new(base);
    config.connect_timeout = Some(PATIENCE);
    config.read_timeout = Some(PATIENCE);
    if let Some(ca) = ca {
        let certs = CertificateDer::pem_slice_iter(ca.as_bytes()).collect::<Result<Vec<_>, _>>().ok()?;
        config.root_cert = Some(certs.into_iter().map(|cert| cert.as_ref().to_vec()).collect());
    }
    let client = connect::client(config, None, Authorization::nobody(), Names::remembering(), (None, None)).ok()?;
    let request = hyper::Request::get(uri.path()).body(Vec::new()).ok()?;
    client.request_text(request).await.ok().map(drop)
}

#[async_trait]
impl Reachability for HttpReachability {
    async fn answers(&self, url: &str, ca: Option<&str>) -> bool {
        matches!(tokio::time::timeout(PATIENCE, ask(url, ca)).await, Ok(Some(())))
    }

    async fn connect(
        &self,
        kubeconfig: &Path,
    ) -> Result<Arc<dyn ClusterObjects>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Arc::new(ApiObjects::new(connect(kubeconfig).await?)))
    }
}
