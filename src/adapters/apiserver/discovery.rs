//! First contact with a cluster: without credentials, then with a bootstrap token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Config};

use super::authorization::Authorization;
use super::cluster_objects::ApiObjects;
use crate::adapters::names::Names;
use crate::ports::bootstrap::{ClusterDiscovery, ClusterObjects, ContactError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to API servers by their address.
pub struct Discovery;

#[async_trait]
impl ClusterDiscovery for Discovery {
    async fn read_cluster_info(
        &self,
        server: &str,
        ca: Option<&str>,
    ) -> Result<BTreeMap<String, String>, ContactError> {
        let api: Api<ConfigMap> = Api::namespaced(client(server, ca, None)?, "kube-public");
        match api.get("cluster-info").await {
            Ok(map) => Ok(map.data.unwrap_or_default()),
            Err(kube::Error::Api(status)) => {
                Err(ContactError::Refused { server: server.to_owned(), message: status.message })
            }
            Err(error) => Err(unreachable(server)(error)),
        }
    }

    fn connect(&self, server: &str, ca: &str, token: Option<&str>) -> Result<Arc<dyn ClusterObjects>, ContactError> {
        Ok(Arc::new(ApiObjects::new(client(server, Some(ca), token)?)))
    }
}

fn client(server: &str, ca: Option<&str>, token: Option<&str>) -> Result<Client, ContactError> {
    let mut config = Config::new(server.parse().map_err(unreachable(server))?);
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    match ca {
        None => config.accept_invalid_certs = true,
        Some(pem) => {
            let blocks = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes());
            let certificates: Result<Vec<_>, _> = blocks.map(|block| block.map(|block| block.contents)).collect();
            config.root_cert = Some(certificates.map_err(unreachable(server))?);
        }
    }
    let known = token.map(Authorization::bearer).transpose().map_err(unreachable(server))?;
    let authorization = known.unwrap_or_else(Authorization::nobody);
    super::connect::client(config, None, authorization, Names::remembering(), (None, None)).map_err(unreachable(server))
}

fn unreachable<E: std::error::Error + Send + Sync + 'static>(server: &str) -> impl Fn(E) -> ContactError {
    let server = server.to_owned();
    move |source| ContactError::Unreachable { server: server.clone(), source: Box::new(source) }
}
