//! Whether a stage of a CA rotation may begin on this control plane, from what all nodes report; if not, which nodes it
//! waits for.

use super::nodes::{KubeletTrust, ReportedStage, Stage};
use super::{ObservedAuthority, Rotation, Standing, Unclear, ids};

/// Another control plane of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlane {
    /// Name of its Node.
    pub name: String,
    /// The stage it reports in its annotation; `None` if it takes no part in a rotation.
    pub told: Option<ReportedStage>,
}

/// Why a stage may not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This node's files match no stage.
    #[error(transparent)]
    Unclear(#[from] Unclear),
    /// The key of a CA is not on this node, so it cannot be rotated here.
    #[error(
        "the key of {0} is not on this node: its owner has to replace this CA (docs/certificates.md, \"A CA of your own\")"
    )]
    External(String),
    /// An earlier stage is not finished on this node.
    #[error("run `bootstrap certs rotate-ca {0}` on this node first")]
    First(&'static str),
    /// The node has already finished this stage.
    #[error("this stage is already finished on this node; `bootstrap certs rotate-ca {0}` is next")]
    Past(&'static str),
    /// Other control planes have not finished the previous stage.
    #[error("`bootstrap certs rotate-ca {stage}` has not been run, or has not finished, on {nodes}")]
    Behind {
        /// Name of the stage they have not finished.
        stage: &'static str,
        /// Names of their Nodes, separated by commas.
        nodes: String,
    },
    /// Control planes that are rotating to different CAs.
    #[error("{nodes} is rotating to different CAs than this node; finish one rotation before starting another")]
    Other {
        /// Names of their Nodes, separated by commas.
        nodes: String,
    },
    /// Kubelets that do not trust the next CA yet; their Nodes, separated by commas.
    #[error(
        "the kubelet of {0} does not trust the next CA yet; node agents pick it up within a minute (journalctl -u roost-agent); delete a node that is permanently gone (kubectl delete node)"
    )]
    Untrusting(String),
    /// Kubelets that still have certificates of the old CA; their Nodes, separated by commas.
    #[error(
        "the kubelet of {0} still has a certificate of the old CA; kubelets renew them within minutes (journalctl -u kubelet); delete a node that is permanently gone (kubectl delete node)"
    )]
    SignedByFormer(String),
    /// A bundle for clients of the API server in pods does not contain both CAs: they would lose the connection.
    #[error(
        "{0} does not contain both CAs yet; run `bootstrap certs rotate-ca prepare` on any control plane and wait a moment"
    )]
    NotPublished(String),
}

/// How a stage is carried out on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageSource {
    /// With the CAs that exist on this node, or that it creates.
    Own,
    /// With the next CAs that another control plane created; their digest.
    Receive(String),
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The next stage of a node in this state.
pub fn next_stage(standing: Standing) -> Stage {
    match standing {
        Standing::Settled | Standing::Begun => Stage::Prepared,
        Standing::Prepared => Stage::Switched,
        Standing::Switched | Standing::Finished => Stage::Finished,
    }
}

/// Whether and how the stage may be carried out on this control plane. `others` are the other control planes,
/// `kubelets` the kubelets of all nodes.
pub fn source_of_stage(
    stage: Stage,
    own: &Rotation,
    own_report: Option<&ReportedStage>,
    others: &[ControlPlane],
    kubelets: &[(String, Option<KubeletTrust>)],
) -> Result<StageSource, Refusal> {
    let standing = own.standing()?;
    if let Some(cert) = own.external().first() {
        return Err(Refusal::External(cert.display().to_string()));
    }
    let digest = own.digest();
    match stage {
        Stage::Prepared => prepare(standing, own, &digest, others),
        Stage::Switched => {
            match standing {
                Standing::Settled | Standing::Begun => return Err(Refusal::First(Stage::Prepared.command())),
                Standing::Finished => return Err(Refusal::Past(Stage::Finished.command())),
                Standing::Prepared if own_report.is_none_or(|told| told.digest != digest) => {
                    return Err(Refusal::First(Stage::Prepared.command()));
                }
                Standing::Prepared | Standing::Switched => {}
            }
            all_at_least(Stage::Prepared, &digest, others)?;
            let next = own.authorities.first().and_then(|cluster| cluster.next.as_deref()).unwrap_or_default();
            let id = ids(next).into_iter().next().unwrap_or_default();
            let trusting =
                |trust: &Option<KubeletTrust>| trust.as_ref().is_some_and(|trust| trust.trusts.contains(&id));
            let behind = kubelets.iter().filter(|(_, trust)| !trusting(trust)).map(|(name, _)| name.as_str());
            list(behind).map_or(Ok(StageSource::Own), |names| Err(Refusal::Untrusting(names)))
        }
        Stage::Finished => {
            match standing {
                Standing::Begun | Standing::Prepared => return Err(Refusal::First(Stage::Switched.command())),
                Standing::Settled if own_report.is_none_or(|told| told.digest != digest) => {
                    return Err(Refusal::First(Stage::Prepared.command()));
                }
                Standing::Switched if own_report.is_none_or(|told| told.stage < Stage::Switched) => {
                    return Err(Refusal::First(Stage::Switched.command()));
                }
                Standing::Settled | Standing::Switched | Standing::Finished => {}
            }
            all_at_least(Stage::Switched, &digest, others)?;
            let id = own.authorities.first().and_then(ObservedAuthority::newest).unwrap_or_default();
            let of_kubelets = own.authorities.iter().find(|authority| authority.is_of_kubelets());
            let serving = of_kubelets.and_then(ObservedAuthority::newest).unwrap_or_else(|| id.clone());
            let new =
                |trust: &Option<KubeletTrust>| trust.as_ref().is_some_and(|trust| trust.is_signed_by(&id, &serving));
            let behind = kubelets.iter().filter(|(_, trust)| !new(trust)).map(|(name, _)| name.as_str());
            list(behind).map_or(Ok(StageSource::Own), |names| Err(Refusal::SignedByFormer(names)))
        }
    }
}

fn prepare(standing: Standing, own: &Rotation, digest: &str, others: &[ControlPlane]) -> Result<StageSource, Refusal> {
    if standing > Standing::Prepared {
        return Err(Refusal::Past(Stage::Finished.command()));
    }
    let under_way = || others.iter().filter_map(|other| Some((other, other.told.as_ref()?)));
    let unfinished = || under_way().filter(|(_, told)| told.stage != Stage::Finished);
    let at = |same: bool| {
        let those = unfinished().filter(move |(_, told)| (told.digest == digest) == same);
        list(those.map(|(other, _)| other.name.as_str()))
    };
    if standing == Standing::Prepared {
        return at(false).map_or(Ok(StageSource::Own), |nodes| Err(Refusal::Other { nodes }));
    }
    if let Some(nodes) = at(true) {
        // The others rotate to the CAs that this node already uses: they are still finishing that rotation.
        let stage = Stage::Finished.command();
        return if own.has_next() { Ok(StageSource::Own) } else { Err(Refusal::Behind { stage, nodes }) };
    }
    let mut made: Vec<&str> = unfinished().map(|(_, told)| told.digest.as_str()).collect();
    made.dedup();
    match made.as_slice() {
        [] => Ok(StageSource::Own),
        // CAs that were created here but never announced are discarded.
        [digest] => Ok(StageSource::Receive((*digest).to_owned())),
        _ => Err(Refusal::Other { nodes: at(false).unwrap_or_default() }),
    }
}

fn all_at_least(stage: Stage, digest: &str, others: &[ControlPlane]) -> Result<(), Refusal> {
    let there = |told: &ReportedStage| told.digest == digest && told.stage >= stage;
    let behind = others.iter().filter(|other| !other.told.as_ref().is_some_and(there)).map(|other| other.name.as_str());
    match list(behind) {
        None => Ok(()),
        Some(nodes) => Err(Refusal::Behind { stage: stage.command(), nodes }),
    }
}
