//! Manifest sets: several manifests that are checked, switched and rolled back together.
//!
//! A set is a folder of manifests that are installed into the folder of static pods together. Other files there (the
//! control plane's own manifests, other sets) are left alone and may not be overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use super::manifest_name;
use super::set::StaticSet;
use crate::core::model::labels::CONFIG_HASH;
use crate::core::model::{ReadFile, is_manifest_name};

/// File contents by file name.
pub type SetFiles = BTreeMap<String, String>;

/// A pod of a set, with what identifies it when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPod {
    /// Name in its manifest, without the node's name.
    pub name: String,
    /// Hash of the static pod (see `static_pod`).
    pub hash: String,
}

/// One change in the folder of static pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates or replaces a file.
    Write {
        /// Name of the file.
        name: String,
        /// Content of the file.
        content: String,
    },
    /// Deletes a file of the set.
    Remove {
        /// Name of the file.
        name: String,
    },
}

/// Checks a set as a whole. `folder` is where it will be installed, `others` are the files there that belong to others.
///
/// # Errors
/// A line for each fault, with its file.
pub fn check_set(
    files: &SetFiles,
    others: &[ReadFile],
    folder: &Path,
    node_name: &str,
) -> Result<Vec<SetPod>, Vec<String>> {
    let mut faults: Vec<String> = Vec::new();
    for name in files.keys().filter(|name| !is_manifest_name(name)) {
        faults.push(format!("{name}: is not a manifest name: files that begin with a dot are not read"));
    }
    let taken: BTreeSet<&PathBuf> = others.iter().map(|file| &file.path).collect();
    for name in files.keys().filter(|name| taken.contains(&folder.join(name.as_str()))) {
        faults.push(format!("{name}: {} already exists and does not belong to this set", folder.join(name).display()));
    }
    // The others are read first, so that a clash of names is a fault of the set.
    let before = StaticSet::default().next(others, &|_| None, node_name);
    let sound = |name: &str| is_manifest_name(name) && !taken.contains(&folder.join(name));
    let own = files
        .iter()
        .filter(|(name, _)| sound(name.as_str()))
        .map(|(name, text)| ReadFile { path: folder.join(name), content: Ok(text.clone().into()) });
    let all: Vec<ReadFile> = others.iter().cloned().chain(own).collect();
    let set = before.next(&all, &|_| None, node_name);
    let mut pods = Vec::new();
    for name in files.keys() {
        let Some(entry) = set.entries.get(&folder.join(name)) else { continue };
        faults.extend(entry.faults.iter().map(|fault| format!("{name}: {fault}")));
        pods.extend(entry.pod.as_deref().map(|pod| set_pod(pod, node_name)));
    }
    if faults.is_empty() { Ok(pods) } else { Err(faults) }
}

fn set_pod(pod: &Pod, node_name: &str) -> SetPod {
    let full = pod.metadata.name.clone().unwrap_or_default();
    let name = manifest_name(&full, node_name).to_owned();
    let hash = pod.metadata.annotations.as_ref().and_then(|notes| notes.get(CONFIG_HASH)).cloned();
    SetPod { name, hash: hash.unwrap_or_default() }
}

/// Changes from a set's current files (`ours`, with their contents) to those of `next`.
pub fn plan_switch(ours: &BTreeMap<String, Option<String>>, next: &SetFiles) -> Vec<Change> {
    let differs = |name: &String, content: &String| ours.get(name).and_then(Option::as_ref) != Some(content);
    let writes = next.iter().filter(|(name, content)| differs(name, content));
    let mut changes: Vec<Change> =
        writes.map(|(name, content)| Change::Write { name: name.clone(), content: content.clone() }).collect();
    let gone = ours.iter().filter(|(name, content)| content.is_some() && !next.contains_key(*name));
    changes.extend(gone.map(|(name, _)| Change::Remove { name: name.clone() }));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: i}}]}}\n"
        )
    }

    fn files(given: &[(&str, String)]) -> SetFiles {
        given.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect()
    }

    fn check(given: &[(&str, String)], others: &[(&str, String)]) -> Result<Vec<String>, String> {
        let others: Vec<_> = others
            .iter()
            .map(|(name, text)| ReadFile { path: format!("/m/{name}").into(), content: Ok(text.clone().into()) })
            .collect();
        check_set(&files(given), &others, Path::new("/m"), "N1")
            .map(|pods| pods.into_iter().map(|pod| pod.name).collect())
            .map_err(|faults| faults.join("\n"))
    }

    #[test]
    fn a_set_is_sound_or_every_fault_is_told() {
        assert_eq!(check(&[("a.yaml", pod("web")), ("b.yml", pod("db"))], &[]).unwrap(), ["web", "db"]);
        assert_eq!(check(&[], &[]).unwrap(), Vec::<String>::new());
        let faults = check(
            &[
                ("a.yaml", pod("web")),
                ("b.yaml", pod("web")),
                ("c.yaml", "kind: Pod".into()),
                ("d.yaml", pod("etcd")),
                ("etcd.yaml", pod("x")),
                (".e.yaml", pod("z")),
            ],
            &[("etcd.yaml", pod("etcd"))],
        )
        .unwrap_err();
        for words in [
            "b.yaml: metadata.name: default/web-n1 is already defined by /m/a.yaml",
            "c.yaml: ",
            "d.yaml: metadata.name: default/etcd-n1 is already defined by /m/etcd.yaml",
            "etcd.yaml: /m/etcd.yaml already exists and does not belong to this set",
            ".e.yaml: is not a manifest name",
        ] {
            assert!(faults.contains(words), "{words} in:\n{faults}");
        }
    }

    #[test]
    fn only_what_differs_is_written_and_what_is_no_more_of_the_set_goes() {
        let ours = BTreeMap::from([
            ("a.yaml".to_owned(), Some("1".to_owned())),
            ("b.yaml".to_owned(), Some("1".to_owned())),
            ("c.yaml".to_owned(), Some("1".to_owned())),
            ("lost.yaml".to_owned(), None),
        ]);
        let next = files(&[("a.yaml", "1".into()), ("b.yaml", "2".into()), ("d.yaml", "1".into())]);
        let write = |name: &str, content: &str| Change::Write { name: name.into(), content: content.into() };
        let expected = [write("b.yaml", "2"), write("d.yaml", "1"), Change::Remove { name: "c.yaml".into() }];
        assert_eq!(plan_switch(&ours, &next), expected);
    }
}
