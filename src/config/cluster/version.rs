//! Which version an upgrade goes to, and what the settings say of it afterwards.

use std::path::{Path, PathBuf};

use super::layers::{Fault, Layers, Origin};
use crate::core::model::{Release, Version};

/// The setting that an upgrade changes.
const VERSION: &str = "cluster.kubernetes_version";

/// Puts the version that an upgrade is for into the settings: the one given, else the one that the user set, else the
/// newest that this program knows. What a command kept in one of the files `kept` is where the cluster is, not where it
/// shall go.
pub fn set_upgrade_target(layers: &mut Layers, given: Option<Version>, kept: &[&Path]) -> Vec<Fault> {
    let target = match (given, layers.origin(VERSION)) {
        (Some(version), _) => version.to_string(),
        (None, Origin::File(path, ..)) if kept.contains(&path.as_path()) => Release::newest().version.to_owned(),
        (None, _) => return Vec::new(),
    };
    layers.add_flag(VERSION, &target)
}

/// What the settings say of the version that this node was upgraded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterUpgrade {
    /// The same version, or one that only this run was given.
    Agrees,
    /// The settings that a command kept have another one; this is their new text.
    Rewrite(String),
    /// The user's file has another one, which a later command would take as its target.
    Disagrees {
        path: PathBuf,
        /// Its line with the version, counted from 1.
        line: usize,
        version: String,
    },
}

/// Compares the settings with the version that this node was upgraded to; `kept` is the file with the settings of an
/// earlier command.
///
/// # Errors
/// The version is not one.
pub fn check_upgraded(mut layers: Layers, version: &str, kept: &Path) -> Result<AfterUpgrade, Vec<Fault>> {
    let configured = layers.value(VERSION).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    match layers.origin(VERSION) {
        _ if configured == version => Ok(AfterUpgrade::Agrees),
        Origin::File(path, ..) if *path == *kept => {
            let faults = layers.add_flag(VERSION, version);
            if faults.is_empty() { Ok(AfterUpgrade::Rewrite(layers.print())) } else { Err(faults) }
        }
        Origin::File(path, line, _) => Ok(AfterUpgrade::Disagrees { path, line, version: configured }),
        Origin::Flag | Origin::Environment(_) | Origin::Default => Ok(AfterUpgrade::Agrees),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "/var/lib/roost/cluster.toml";

    fn layers(file: &str, version: &str) -> Layers {
        let mut layers = Layers::defaults();
        let text = format!("[cluster]\nkubernetes_version = \"{version}\"\n");
        assert_eq!(layers.add_file(Path::new(file), &text), []);
        layers
    }

    fn target(mut layers: Layers, given: Option<&str>) -> String {
        let given = given.map(|version| version.parse().unwrap());
        assert_eq!(set_upgrade_target(&mut layers, given, &[Path::new(KEPT)]), []);
        layers.value(VERSION).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    }

    #[test]
    fn what_is_given_goes_before_what_the_user_set_and_what_was_kept_is_no_target() {
        assert_eq!(target(layers(KEPT, "v1.35.1"), Some("v1.36.1")), "v1.36.1");
        assert_eq!(target(layers("/etc/roost/cluster.toml", "v1.35.1"), None), "v1.35.1");
        assert_eq!(target(layers(KEPT, "v1.35.1"), None), Release::newest().version);
    }

    #[test]
    fn kept_settings_follow_an_upgrade_and_the_users_file_is_only_named() {
        let after =
            |file: &str, version: &str| check_upgraded(layers(file, version), "v1.36.3", Path::new(KEPT)).unwrap();
        assert_eq!(after(KEPT, "v1.36.3"), AfterUpgrade::Agrees);
        let AfterUpgrade::Rewrite(text) = after(KEPT, "v1.35.1") else { panic!("kept settings have to follow") };
        assert!(text.contains("kubernetes_version = \"v1.36.3\""), "{text}");
        let path = PathBuf::from("/etc/roost/cluster.toml");
        let version = "v1.35.1".to_owned();
        assert_eq!(after("/etc/roost/cluster.toml", "v1.35.1"), AfterUpgrade::Disagrees { path, line: 2, version });
        assert_eq!(check_upgraded(Layers::defaults(), "v1.36.3", Path::new(KEPT)), Ok(AfterUpgrade::Agrees));
    }
}
