//! Services with a cluster IP, for environment variables: one watch, started when the first pod needs it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::adapters::apiserver::session::Session;
use crate::adapters::apiserver::watching::Watching;
use crate::core::model::PodKey;
use crate::ports::kubelet::ObjectError;
use crate::supervise::restarting;

/// How long a reader waits for the first list.
const FIRST: Duration = Duration::from_secs(10);

type Listed = Option<HashMap<PodKey, Arc<Service>>>;

pub struct Services {
    session: Session,
    state: OnceLock<watch::Receiver<Listed>>,
}

impl Services {
    /// Nothing is watched until the first use.
    pub fn new(session: &Session) -> Self {
        Self { session: session.clone(), state: OnceLock::new() }
    }

    /// The services of a namespace.
    pub async fn of(&self, namespace: &str) -> Result<Vec<Arc<Service>>, ObjectError> {
        let mut state = self.state.get_or_init(|| start(&self.session)).clone();
        let listed = tokio::time::timeout(FIRST, state.wait_for(Option::is_some)).await;
        match listed {
            Ok(Ok(listed)) => {
                let services = listed.iter().flatten().filter(|(key, _)| &*key.namespace == namespace);
                Ok(services.map(|(_, service)| service.clone()).collect())
            }
            Ok(Err(_)) | Err(_) => Err(ObjectError::Failed {
                kind: "service",
                namespace: namespace.into(),
                name: String::new(),
                message: "services have not yet been read at least once, cannot construct envvars".into(),
            }),
        }
    }
}

fn start(session: &Session) -> watch::Receiver<Listed> {
    let (sender, state) = watch::channel(None);
    let config = watcher::Config::default().any_semantic().fields("spec.clusterIP!=None");
    let watching: Watching<Service> = Watching::new(session, config, Api::all);
    let never = CancellationToken::new();
    restarting("services", &never, (watching, sender), |(watching, sender)| Box::pin(follow(watching, sender)));
    state
}

async fn follow(watching: &mut Watching<Service>, sender: &watch::Sender<Listed>) {
    let mut listing = HashMap::new();
    loop {
        match watching.next().await {
            Event::Init => listing.clear(),
            Event::InitApply(service) => drop(listing.insert(key(&service), slim(service))),
            Event::InitDone => drop(sender.send_replace(Some(std::mem::take(&mut listing)))),
            Event::Apply(service) => sender.send_modify(|services| {
                services.get_or_insert_default().insert(key(&service), slim(service));
            }),
            Event::Delete(service) => sender.send_modify(|services| {
                services.get_or_insert_default().remove(&key(&service));
            }),
        }
    }
}

fn key(service: &Service) -> PodKey {
    PodKey::new(
        service.metadata.namespace.as_deref().unwrap_or_default(),
        service.metadata.name.as_deref().unwrap_or_default(),
    )
}

/// Keeps only the fields that environment variables need.
fn slim(mut service: Service) -> Arc<Service> {
    service.metadata.managed_fields = None;
    service.metadata.annotations = None;
    service.metadata.labels = None;
    service.status = None;
    Arc::new(service)
}
