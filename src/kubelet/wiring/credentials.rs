//! The kubelet's credentials: initial session, TLS bootstrap, renewal.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::Error;
use crate::adapters::apiserver::connect::Connector;
use crate::adapters::apiserver::node::ApiObjects;
use crate::adapters::apiserver::session::Session;
use crate::adapters::apiserver::throttle::Throttle;
use crate::adapters::credential_files::CertificateDir;
use crate::adapters::x509::X509;
use crate::core::model::KubeletSpec;
use crate::kubelet::credentials::{Credentials, Standing};
use crate::offload;
use crate::supervise::{restart_on_panic, spawn};
use crate::telemetry::Metrics;

fn credentials(spec: &KubeletSpec, metrics: &Arc<Metrics>) -> Credentials {
    Credentials {
        files: Arc::new(CertificateDir { path: spec.dirs.certs.clone() }),
        pki: Arc::new(X509),
        node_name: spec.node_name.clone(),
        metrics: Arc::clone(metrics),
    }
}

/// Opens the session with the kubeconfig or, if that is missing or unusable, with the bootstrap credentials, which are
/// exchanged for a certificate in the background: static pods do not wait for it.
#[expect(clippy::disallowed_methods, reason = "once, before anything runs")]
pub async fn open(
    spec: &KubeletSpec,
    kubeconfig: &Path,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<Session, Error> {
    let wrong = |path: &Path| {
        let path = path.to_path_buf();
        move |source: crate::adapters::apiserver::connect::Error| Error::Kubeconfig { path, source: source.into() }
    };
    let throttle = || Throttle::new(spec.api.qps, spec.api.burst).with_metrics(Arc::clone(metrics));
    let connector = || Connector::throttled(throttle()).with_metrics(Arc::clone(metrics));
    let credentials = credentials(spec, metrics);
    let standing = credentials.standing(kubeconfig);
    let template = spec.bootstrap_kubeconfig.as_ref().filter(|path| standing != Standing::Good && path.exists());
    let Some(template) = template else {
        if standing == Standing::Stale {
            warn!(path = %kubeconfig.display(), "the client certificate is not valid now or cannot be read");
        }
        return Session::open_with(kubeconfig, connector()).await.map_err(wrong(kubeconfig));
    };
    info!(path = %template.display(), ?standing, "requesting a client certificate with bootstrap credentials");
    let session = Session::open_with(template, connector()).await.map_err(wrong(template))?;
    let (template, kubeconfig) = (template.clone(), kubeconfig.to_path_buf());
    let (api, exchanged) = (ApiObjects::new(&session), session.clone());
    let ends = stop.clone();
    let state = (credentials, api, exchanged);
    offload::duty(restart_on_panic("client certificate", stop, state, move |(credentials, api, exchanged)| {
        let (ends, template, kubeconfig) = (ends.clone(), template.clone(), kubeconfig.clone());
        Box::pin(async move {
            let exchange = async {
                credentials.bootstrap(api, &template, &kubeconfig).await;
                exchanged.switch_to(&kubeconfig).await;
            };
            ends.run_until_cancelled(exchange).await;
        })
    }));
    Ok(session)
}

/// Starts the renewals that the settings ask for.
pub fn start(
    spec: &KubeletSpec,
    session: &Session,
    node: watch::Receiver<Arc<Node>>,
    metrics: &Arc<Metrics>,
    stop: CancellationToken,
) {
    if let (true, Some(kubeconfig)) = (spec.rotate_certificates, spec.kubeconfig.clone()) {
        let (api, ends) = (Arc::new(ApiObjects::new(session)), stop.clone());
        let state = (credentials(spec, metrics), session.clone());
        offload::duty(restart_on_panic(
            "renewal of the client certificate",
            &stop,
            state,
            move |(credentials, session)| {
                let (api, kubeconfig, ends) = (Arc::clone(&api), kubeconfig.clone(), ends.clone());
                let mut renewals = session.renewals();
                let rotation = async move {
                    // During the bootstrap exchange there is nothing to renew.
                    while credentials.standing(&kubeconfig) == Standing::Missing && renewals.changed().await.is_ok() {}
                    let renewed = || {
                        let session = session.clone();
                        spawn("session", async move { session.renew().await });
                    };
                    credentials.clone().rotate_client(api, kubeconfig, renewed, renewals).await;
                };
                Box::pin(async move { _ = ends.run_until_cancelled(rotation).await })
            },
        ));
    }
    if let (true, Some(kubeconfig)) = (spec.server_tls_bootstrap, spec.kubeconfig.clone()) {
        let (api, ends) = (Arc::new(ApiObjects::new(session)), stop.clone());
        let state = (credentials(spec, metrics), session.clone());
        offload::duty(restart_on_panic("serving certificate", &stop, state, move |(credentials, session)| {
            let (api, kubeconfig, ends) = (Arc::clone(&api), kubeconfig.clone(), ends.clone());
            let serving = credentials.clone().keep_serving(api, kubeconfig, node.clone(), session.renewals());
            Box::pin(async move { _ = ends.run_until_cancelled(serving).await })
        }));
    }
}
