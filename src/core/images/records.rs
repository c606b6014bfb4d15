//! Records of pulled images, in upstream's file format (`image_manager/{pulling,pulled}`, KEP-2535).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";

/// A pull that was started; one that is found at startup means that its image may have been pulled by this kubelet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullIntent {
    kind: String,
    api_version: String,
    /// Image as the pod names it.
    pub image: String,
}

/// Which credentials may use an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PulledRecord {
    kind: String,
    api_version: String,
    /// When it was last written.
    pub last_updated_time: Timestamp,
    /// The runtime's id of the image.
    pub image_ref: String,
    /// Credentials by image name, without tag and digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credential_mapping: BTreeMap<String, PullCredentials>,
}

/// Credentials with which an image was pulled successfully.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullCredentials {
    /// Pull secrets that worked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_secrets: Vec<RecordedSecret>,
    /// Service accounts whose tokens worked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_service_accounts: Vec<RecordedAccount>,
    /// True if no credentials were needed, or the node's own: every pod may use the image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub node_pods_accessible: bool,
}

/// A pull secret, and a hash of the credentials that it contained.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedSecret {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Uid of the Secret.
    pub uid: String,
    /// SHA-256 of user name, password and e-mail as JSON.
    pub credential_hash: String,
}

/// The service account whose token obtained the credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordedAccount {
    /// Namespace of the ServiceAccount.
    pub namespace: String,
    /// Name of the ServiceAccount.
    pub name: String,
    /// Uid of the ServiceAccount.
    pub uid: String,
}

/// Name of the file for the record of an image or image id.
pub fn file_name(image: &str) -> String {
    let digest = Sha256::digest(image.as_bytes());
    digest.iter().fold("sha256-".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

impl PullIntent {
    /// A record of the intent to pull an image.
    pub fn new(image: &str) -> Self {
        Self { kind: "ImagePullIntent".into(), api_version: API_VERSION.into(), image: image.into() }
    }
}

impl PulledRecord {
    /// A record without credentials: nobody may use the image without a pull.
    pub fn new(image_ref: &str, now: Timestamp) -> Self {
        Self {
            kind: "ImagePulledRecord".into(),
            api_version: API_VERSION.into(),
            last_updated_time: now,
            image_ref: image_ref.into(),
            credential_mapping: BTreeMap::new(),
        }
    }

    /// Adds credentials for an image name without tag; returns whether anything changed.
    pub fn merge(&mut self, image: &str, new: &PullCredentials, now: Timestamp) -> bool {
        let known = self.credential_mapping.entry(image.to_owned()).or_default();
        let before = known.clone();
        if new.node_pods_accessible {
            *known = PullCredentials { node_pods_accessible: true, ..PullCredentials::default() };
        } else if !known.node_pods_accessible {
            for secret in &new.kubernetes_secrets {
                let same = |s: &RecordedSecret| {
                    (&s.uid, &s.namespace, &s.name) == (&secret.uid, &secret.namespace, &secret.name)
                };
                known.kubernetes_secrets.retain(|s| !same(s));
                known.kubernetes_secrets.push(secret.clone());
            }
            known.kubernetes_service_accounts.extend(new.kubernetes_service_accounts.iter().cloned());
            known.kubernetes_secrets.sort();
            known.kubernetes_service_accounts.sort();
            known.kubernetes_service_accounts.dedup();
        }
        let changed = *known != before;
        if changed {
            self.last_updated_time = now;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, hash: &str) -> PullCredentials {
        PullCredentials {
            kubernetes_secrets: vec![RecordedSecret {
                namespace: "n".into(),
                name: name.into(),
                uid: "u".into(),
                credential_hash: hash.into(),
            }],
            ..PullCredentials::default()
        }
    }

    #[test]
    fn records_are_read_as_upstream_writes_them() {
        let text = r#"{"kind":"ImagePulledRecord","apiVersion":"kubelet.config.k8s.io/v1beta1",
            "lastUpdatedTime":"2025-01-02T03:04:05Z","imageRef":"sha256:1","credentialMapping":{"r.io/a":
            {"kubernetesSecrets":[{"uid":"u","namespace":"n","name":"s","credentialHash":"h"}]}}}"#;
        let record: PulledRecord = serde_json::from_str(text).expect("a record");
        assert_eq!(record.credential_mapping["r.io/a"], secret("s", "h"));
        let round: PulledRecord =
            serde_json::from_str(&serde_json::to_string(&record).expect("text")).expect("a record");
        assert_eq!(round, record);
    }

    #[test]
    fn secrets_gather_until_the_node_may_use_the_image() {
        let now = Timestamp::UNIX_EPOCH;
        let mut record = PulledRecord::new("sha256:1", now);
        assert!(record.merge("a", &secret("s", "1"), now));
        assert!(!record.merge("a", &secret("s", "1"), now), "nothing new");
        assert!(record.merge("a", &secret("s", "2"), now), "the same secret with other content");
        assert!(record.merge("a", &secret("t", "1"), now));
        assert_eq!(record.credential_mapping["a"].kubernetes_secrets.len(), 2);
        let all = PullCredentials { node_pods_accessible: true, ..PullCredentials::default() };
        assert!(record.merge("a", &all, now));
        assert!(!record.merge("a", &secret("s", "3"), now));
        assert_eq!(record.credential_mapping["a"], all);
    }

    #[test]
    fn file_names_are_hashes() {
        assert_eq!(file_name(""), "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
