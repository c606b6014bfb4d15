//! Versions of components, as written in settings, image tags and Node objects.

use std::fmt;
use std::str::FromStr;

/// `major.minor.patch`; suffixes (`-0`, `-rc.1`, `+build`) are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The major number, 1 for Kubernetes.
    pub major: u32,
    /// Minor version number; skew rules count it.
    pub minor: u32,
    /// The number of the patch release.
    pub patch: u32,
}

impl Version {
    /// The version in an image's tag, as in `registry.k8s.io/etcd:3.6.8-0`; `None` if the tag is not a version.
    pub fn of_image(image: &str) -> Option<Self> {
        let image = image.split('@').next().unwrap_or(image);
        let (_, tag) = image.rsplit_once(':')?;
        tag.parse().ok()
    }

    /// How many minor versions this one is ahead of `other` (negative: behind); `None` across major versions.
    pub fn minors_ahead_of(self, other: Self) -> Option<i64> {
        (self.major == other.major).then(|| i64::from(self.minor).saturating_sub(other.minor.into()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a version like v1.36.3")]
pub struct VersionError(pub String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let numbers = numbers.split(['-', '+']).next().unwrap_or(numbers);
        let mut parts = numbers.split('.').map(|part| part.parse::<u32>().map_err(|_| error()));
        let mut next = || parts.next().unwrap_or_else(|| Err(error()));
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        if parts.next().is_some() { Err(error()) } else { Ok(version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_wherever_they_stand() {
        let version = Version { major: 1, minor: 36, patch: 3 };
        assert_eq!("v1.36.3".parse(), Ok(version));
        assert_eq!("1.36.3-rc.1+abc".parse(), Ok(version));
        assert_eq!(Version::of_image("host:5000/kube-proxy:v1.36.3@sha256:0123"), Some(version));
        assert_eq!(Version::of_image("registry.k8s.io/etcd:3.6.8-0").map(|v| v.to_string()), Some("v3.6.8".to_owned()));
        for wrong in ["v1.36", "v1.36.3.1", "latest", "", "v1.x.3"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
        assert_eq!(Version::of_image("host:5000/name"), None);
    }

    #[test]
    fn they_are_ordered_by_number() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("v1.9.9") < version("v1.10.0"));
        assert_eq!(version("v1.36.0").minors_ahead_of(version("v1.34.9")), Some(2));
        assert_eq!(version("v2.0.0").minors_ahead_of(version("v1.34.9")), None);
    }
}
