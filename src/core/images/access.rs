//! Whether a pod may use an image that is already on the node (KEP-2535, upstream `pullmanager`).

use super::records::{PullCredentials, PulledRecord, RecordedAccount, RecordedSecret};
use super::without_tag;

/// KubeletConfiguration's `imagePullCredentialsVerificationPolicy`, with its allowlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Every pod may use every image.
    NeverVerify,
    /// Every pod may use images that this kubelet did not pull.
    #[default]
    NeverVerifyPreloadedImages,
    /// Every pod may use the images of this list; a trailing `/*` matches any rest.
    NeverVerifyAllowlistedImages(Vec<String>),
    /// Every pod needs credentials, also for preloaded images.
    AlwaysVerify,
}

impl Verification {
    /// The policy of a configured name; an unknown one gives the default.
    pub fn of(policy: &str, allowlist: &[String]) -> Self {
        match policy {
            "NeverVerify" => Self::NeverVerify,
            "NeverVerifyAllowlistedImages" => Self::NeverVerifyAllowlistedImages(allowlist.to_vec()),
            "AlwaysVerify" => Self::AlwaysVerify,
            _ => Self::NeverVerifyPreloadedImages,
        }
    }

    /// True if a pod needs credentials for the image.
    pub fn requires(&self, image: &str, pulled_by_us: bool) -> bool {
        match self {
            Self::NeverVerify => false,
            Self::NeverVerifyPreloadedImages => pulled_by_us,
            Self::NeverVerifyAllowlistedImages(allowed) => {
                let name = without_tag(image);
                !allowed.iter().any(|entry| match entry.strip_suffix('*') {
                    Some(prefix) if prefix.ends_with('/') => name.starts_with(prefix),
                    _ => name == entry,
                })
            }
            Self::AlwaysVerify => true,
        }
    }
}

/// The decision for a pod that wants an image which is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The pod may use it.
    Granted,
    /// The pod may use it; record these credentials as sufficient for it.
    GrantedAndLearn(PullCredentials),
    /// The registry has to decide: pull again with the pod's credentials.
    MustPull,
}

/// Most secrets recorded per image by use alone; upstream's `writeRecordWhileMatchingLimit`.
const LEARN_LIMIT: usize = 100;

/// Compares the pod's credentials with those recorded for the image.
pub fn decide_access(
    record: Option<&PulledRecord>,
    image: &str,
    secrets: &[RecordedSecret],
    account: Option<&RecordedAccount>,
) -> Access {
    let Some(known) = record.and_then(|r| r.credential_mapping.get(without_tag(image))) else {
        return Access::MustPull;
    };
    if known.node_pods_accessible {
        return Access::Granted;
    }
    for own in secrets {
        for recorded in &known.kubernetes_secrets {
            let same_content = !recorded.credential_hash.is_empty() && own.credential_hash == recorded.credential_hash;
            let same_secret =
                (&own.uid, &own.namespace, &own.name) == (&recorded.uid, &recorded.namespace, &recorded.name);
            if same_content && same_secret {
                return Access::Granted;
            }
            if same_content || same_secret {
                return match known.kubernetes_secrets.len() < LEARN_LIMIT {
                    true => Access::GrantedAndLearn(PullCredentials {
                        kubernetes_secrets: vec![own.clone()],
                        ..PullCredentials::default()
                    }),
                    false if same_content => Access::Granted,
                    false => Access::MustPull,
                };
            }
        }
    }
    match account.is_some_and(|a| known.kubernetes_service_accounts.contains(a)) {
        true => Access::Granted,
        false => Access::MustPull,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn secret(name: &str, hash: &str) -> RecordedSecret {
        RecordedSecret { namespace: "n".into(), name: name.into(), uid: name.into(), credential_hash: hash.into() }
    }

    #[test]
    fn the_same_credentials_or_the_same_secret_open_the_image() {
        let mut record = PulledRecord::new("sha256:1", Timestamp::UNIX_EPOCH);
        let with = |s: RecordedSecret| PullCredentials { kubernetes_secrets: vec![s], ..PullCredentials::default() };
        record.merge("r.io/a", &with(secret("s", "1")), Timestamp::UNIX_EPOCH);
        let ask = |s: &[RecordedSecret]| decide_access(Some(&record), "r.io/a:1", s, None);
        assert_eq!(ask(&[secret("s", "1")]), Access::Granted);
        assert_eq!(ask(&[secret("t", "1")]), Access::GrantedAndLearn(with(secret("t", "1"))));
        assert_eq!(ask(&[secret("s", "2")]), Access::GrantedAndLearn(with(secret("s", "2"))));
        assert_eq!(ask(&[secret("t", "2")]), Access::MustPull);
        assert_eq!(ask(&[]), Access::MustPull);
        assert_eq!(decide_access(Some(&record), "r.io/b:1", &[secret("s", "1")], None), Access::MustPull);
        assert_eq!(decide_access(None, "r.io/a", &[secret("s", "1")], None), Access::MustPull);
    }

    #[test]
    fn policies_say_which_images_are_for_everybody() {
        let allowed = Verification::of("NeverVerifyAllowlistedImages", &["r.io/a".into(), "s.io/x/*".into()]);
        for (policy, image, pulled, required) in [
            (&Verification::default(), "a", true, true),
            (&Verification::default(), "a", false, false),
            (&Verification::NeverVerify, "a", true, false),
            (&Verification::AlwaysVerify, "a", false, true),
            (&allowed, "r.io/a:1", true, false),
            (&allowed, "r.io/ab", true, true),
            (&allowed, "s.io/x/y/z@sha256:1", true, false),
        ] {
            assert_eq!(policy.requires(image, pulled), required, "{policy:?} {image}");
        }
    }
}
