//! The version of an API server, asked before a kubelet starts.

use std::path::Path;
use std::time::Duration;

use super::connect::Connector;
use crate::core::model::Version;

/// Asks the API server of a kubeconfig for its version, within a time limit. `None` if the credentials cannot be used, it
/// does not answer, or the answer is no version: the caller has something to go by without it.
pub async fn ask_version(kubeconfig: &Path, limit: Duration) -> Option<Version> {
    let answer = async {
        let client = Connector::default().connect(kubeconfig).await.ok()?;
        client.apiserver_version().await.ok()
    };
    tokio::time::timeout(limit, answer).await.ok()??.git_version.parse().ok()
}
