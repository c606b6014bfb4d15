//! Decides certificate requests of kubelets, on control-plane nodes. Every control plane may run this concurrently: all
//! see the same requests in the same order, and the first decision wins.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::core::bootstrap::kubelet_requests::{
    ClusterNames, ObservedRequest, Refusal, SERVING_SIGNER, claims_of, judge_client, judge_serving,
};
use crate::core::model::with_causes;
use crate::ports::bootstrap::{ApprovalError, KubeletRequests, Verdict};

/// A kubelet requests its certificate before its Node object exists or has addresses: undecided requests are checked
/// again after this pause.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often one request is checked before it is denied.
const LOOKS: u32 = 30;

pub async fn run_kubelet_requests(mut requests: Box<dyn KubeletRequests>) {
    let mut waiting: BTreeMap<String, (ObservedRequest, u32)> = BTreeMap::new();
    loop {
        let due: Vec<String> = tokio::select! {
            pending = requests.next() => {
                let uid = pending.uid.clone();
                // A changed request keeps its count.
                let looks = waiting.get(&uid).map_or(0, |(_, looks)| *looks);
                waiting.insert(uid.clone(), (pending, looks));
                vec![uid]
            }
            () = tokio::time::sleep(LOOK_AGAIN), if !waiting.is_empty() => waiting.keys().cloned().collect(),
        };
        if let Err(error) = look(requests.as_mut(), &mut waiting, &due).await {
            tracing::warn!(error = with_causes(&error), "cannot decide certificate requests of kubelets");
        }
    }
}

/// Checks the requests that are due. One that cannot be decided does not delay the others.
async fn look(
    requests: &mut dyn KubeletRequests,
    waiting: &mut BTreeMap<String, (ObservedRequest, u32)>,
    due: &[String],
) -> Result<(), ApprovalError> {
    let names = requests.names().await?;
    let mut failed = None;
    for uid in due {
        let Some((observed, looks)) = waiting.get_mut(uid) else { continue };
        *looks = looks.saturating_add(1);
        let last = *looks >= LOOKS;
        match decide(requests, observed, &names, last).await {
            Ok(true) => drop(waiting.remove(uid)),
            Ok(false) => {}
            Err(error) => {
                failed.get_or_insert(error);
                if last {
                    waiting.remove(uid);
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// True if the request needs no further check. On the last check, a request that is not approved is denied.
async fn decide(
    requests: &mut dyn KubeletRequests,
    observed: &ObservedRequest,
    names: &ClusterNames,
    last: bool,
) -> Result<bool, ApprovalError> {
    let Some(judged) = judge(requests, observed, names).await? else { return Ok(true) };
    let (name, user) = (&observed.name, &observed.request.username);
    match judged {
        Ok(()) => {
            requests.decide(observed, &Verdict::Approve).await?;
            tracing::info!(request = name, user, "approved a kubelet's certificate");
        }
        Err(refusal) if refusal.may_pass() && !last => {
            tracing::debug!(request = name, user, %refusal, "left a kubelet's certificate request undecided");
            return Ok(false);
        }
        Err(refusal) => {
            let reason = refusal.to_string();
            requests.decide(observed, &Verdict::Deny(reason.clone())).await?;
            tracing::warn!(request = name, user, reason, "denied a kubelet's certificate");
        }
    }
    Ok(true)
}

/// `None` for a request that upstream's controller or an administrator decides.
async fn judge(
    requests: &mut dyn KubeletRequests,
    observed: &ObservedRequest,
    names: &ClusterNames,
) -> Result<Option<Result<(), Refusal>>, ApprovalError> {
    if observed.request.signer == SERVING_SIGNER {
        return Ok(Some(judge_serving(&observed.request, names)));
    }
    if !claims_of(&observed.request) {
        return Ok(None);
    }
    let all = requests.all().await?;
    Ok(Some(judge_client(observed, &all, names, Timestamp::now())))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::core::bootstrap::kubelet_requests::{CertificateRequest, NodeNames};

    type Decided = Arc<Mutex<Vec<(String, Verdict)>>>;

    struct Fake {
        coming: mpsc::Receiver<ObservedRequest>,
        names: Arc<Mutex<ClusterNames>>,
        decided: Decided,
    }

    #[async_trait]
    impl KubeletRequests for Fake {
        async fn next(&mut self) -> ObservedRequest {
            match self.coming.recv().await {
                Some(request) => request,
                None => std::future::pending().await,
            }
        }

        async fn all(&mut self) -> Result<Vec<ObservedRequest>, ApprovalError> {
            Ok(Vec::new())
        }

        async fn names(&mut self) -> Result<ClusterNames, ApprovalError> {
            Ok(self.names.lock().unwrap().clone())
        }

        async fn decide(&mut self, request: &ObservedRequest, verdict: &Verdict) -> Result<(), ApprovalError> {
            if request.uid.starts_with("refused") {
                return Err(ApprovalError { what: "decide".into(), source: "refused".into() });
            }
            self.decided.lock().unwrap().push((request.uid.clone(), verdict.clone()));
            Ok(())
        }
    }

    fn request(uid: &str, address: &str) -> ObservedRequest {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "system:node:n2");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
        params.subject_alt_names.push(rcgen::SanType::IpAddress(address.parse().unwrap()));
        let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
        ObservedRequest {
            name: "csr".into(),
            uid: uid.into(),
            request: CertificateRequest {
                signer: SERVING_SIGNER.into(),
                username: "system:node:n2".into(),
                groups: vec!["system:nodes".into()],
                usages: vec!["server auth".into()],
                pem: pem.into_bytes(),
            },
            ..ObservedRequest::default()
        }
    }

    /// The approver of a cluster with these names: where requests come in, and what it decided.
    fn approver(names: &Arc<Mutex<ClusterNames>>) -> (mpsc::Sender<ObservedRequest>, Decided, JoinHandle<()>) {
        let (send, coming) = mpsc::channel(8);
        let decided = Decided::default();
        let fake = Fake { coming, names: names.clone(), decided: decided.clone() };
        (send, decided, tokio::spawn(run_kubelet_requests(Box::new(fake))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_its_node_and_is_denied_once_when_that_never_fits() {
        let names = Arc::new(Mutex::new(ClusterNames::default()));
        let (send, decided, running) = approver(&names);
        send.send(request("good", "10.0.0.2")).await.unwrap();
        send.send(request("foreign", "10.0.0.9")).await.unwrap();
        // Both have one name: the decision applies to the request with that uid.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(*decided.lock().unwrap(), []);
        let node =
            NodeNames { name: "n2".into(), addresses: vec!["10.0.0.2".parse().unwrap()], ..NodeNames::default() };
        names.lock().unwrap().nodes.push(node);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let why = "\"10.0.0.9\" does not belong to the node".to_owned();
        let expected = [("good".to_owned(), Verdict::Approve), ("foreign".to_owned(), Verdict::Deny(why))];
        assert_eq!(*decided.lock().unwrap(), expected);
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_cannot_be_decided_holds_up_no_other() {
        let names = Arc::new(Mutex::new(ClusterNames::default()));
        let (send, decided, running) = approver(&names);
        send.send(request("refused", "10.0.0.2")).await.unwrap();
        send.send(request("waits", "10.0.0.2")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let node =
            NodeNames { name: "n2".into(), addresses: vec!["10.0.0.2".parse().unwrap()], ..NodeNames::default() };
        names.lock().unwrap().nodes.push(node);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(*decided.lock().unwrap(), [("waits".to_owned(), Verdict::Approve)]);
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_node_may_be_called_is_denied_at_once() {
        let node =
            NodeNames { name: "n2".into(), addresses: vec!["10.96.0.1".parse().unwrap()], ..NodeNames::default() };
        let names = ClusterNames {
            nodes: vec![node],
            service_subnets: vec!["10.96.0.0/12".parse().unwrap()],
            ..ClusterNames::default()
        };
        let (send, decided, running) = approver(&Arc::new(Mutex::new(names)));
        send.send(request("hostile", "10.96.0.1")).await.unwrap();
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let denied = Verdict::Deny("\"10.96.0.1\" belongs to Services".to_owned());
        assert_eq!(*decided.lock().unwrap(), [("hostile".to_owned(), denied)]);
        running.abort();
    }
}
