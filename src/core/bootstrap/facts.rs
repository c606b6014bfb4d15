//! What was seen before a phase is planned. Whether a single step is already met is not a fact: the driver asks that
//! step by step.

use jiff::Timestamp;

/// The world as a phase may use it. Facts that cannot be known yet (there is no API server) are `None`.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The moment of planning.
    pub now: Timestamp,
    /// The cluster's CA certificate in PEM, once it is on the node.
    pub ca: Option<String>,
    /// True when the CA's key is on the node; without it a CA certificate is external.
    pub ca_key: bool,
    /// Private addresses and name servers of the node.
    pub resolv_conf: Option<std::path::PathBuf>,
}

impl Facts {
    /// Nothing is known but the time.
    pub fn at(now: Timestamp) -> Self {
        Self { now, ca: None, ca_key: false, resolv_conf: None }
    }
}
