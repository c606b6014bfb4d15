//! From all manifest files of the node to the static pods that run, and the faults of the others.
//!
//! A file that becomes invalid keeps its last valid pod, and a second definition of the same namespace and name is
//! rejected while the first one runs: a typo or a backup copy never stops a control plane.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use sha2::{Digest, Sha256};

use super::{Finding, parse_manifest};
use crate::core::model::{PodKey, ReadFile, key_of};

/// The result of one file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The pod that runs for it: of the current content or, if that is invalid, of the last valid one.
    pub pod: Option<Arc<Pod>>,
    /// Faults of the current content; empty if it is valid.
    pub faults: Vec<Finding>,
    digest: [u8; 32],
}

/// The static pods of all files.
#[derive(Clone, Debug, Default)]
pub struct StaticSet {
    /// Result of each file, by its path.
    pub entries: BTreeMap<PathBuf, Entry>,
}

impl StaticSet {
    /// The pods to run, ordered by path.
    pub fn pods(&self) -> impl Iterator<Item = (&Path, &Arc<Pod>)> {
        self.entries.iter().filter_map(|(path, entry)| Some((path.as_path(), entry.pod.as_ref()?)))
    }

    /// The next set for the current files. `kept` returns the last valid content of a file from before a restart.
    pub fn next(&self, files: &[ReadFile], kept: &dyn Fn(&Path) -> Option<Vec<u8>>, node_name: &str) -> Self {
        let mut entries: BTreeMap<PathBuf, Entry> =
            files.iter().map(|file| (file.path.clone(), self.entry(file, kept, node_name))).collect();
        let mut owners: BTreeMap<PodKey, PathBuf> = BTreeMap::new();
        let keys: Vec<(PathBuf, PodKey)> =
            entries.iter().filter_map(|(path, e)| Some((path.clone(), key_of(e.pod.as_ref()?)))).collect();
        for (path, key) in &keys {
            let stronger = |new: &Path, old: &Path| {
                let ran = |path: &Path| self.runs(path, key);
                (ran(new), kept(new).is_some()) > (ran(old), kept(old).is_some())
            };
            match owners.get(key) {
                Some(owner) if !stronger(path, owner) => {}
                Some(_) | None => drop(owners.insert(key.clone(), path.clone())),
            }
        }
        for (path, key) in keys {
            let Some(owner) = owners.get(&key).filter(|owner| **owner != path) else { continue };
            if let Some(entry) = entries.get_mut(&path) {
                let before = self.entries.get(&path).and_then(|e| e.pod.clone());
                entry.pod = before.filter(|pod| !owners.contains_key(&key_of(pod)));
                entry
                    .faults
                    .push(Finding::of("metadata.name", format!("{key} is already defined by {}", owner.display())));
            }
        }
        Self { entries }
    }

    fn runs(&self, path: &Path, key: &PodKey) -> bool {
        self.entries.get(path).and_then(|e| e.pod.as_ref()).is_some_and(|pod| key_of(pod) == *key)
    }

    fn entry(&self, file: &ReadFile, kept: &dyn Fn(&Path) -> Option<Vec<u8>>, node_name: &str) -> Entry {
        let before = self.entries.get(&file.path);
        let bytes = match &file.content {
            Ok(bytes) => bytes,
            Err(message) => {
                let pod = last_good(before, file, kept, node_name);
                return Entry { pod, faults: vec![Finding::of("", message.clone())], digest: [0; 32] };
            }
        };
        let digest = Sha256::digest(bytes).into();
        if let Some(before) = before
            && before.digest == digest
            && before.faults.is_empty()
        {
            return before.clone();
        }
        match parse_manifest(&file.path, bytes, node_name) {
            Ok(pod) => Entry { pod: Some(Arc::new(pod)), faults: Vec::new(), digest },
            Err(faults) => Entry { pod: last_good(before, file, kept, node_name), faults, digest },
        }
    }
}

fn last_good(
    before: Option<&Entry>,
    file: &ReadFile,
    kept: &dyn Fn(&Path) -> Option<Vec<u8>>,
    node_name: &str,
) -> Option<Arc<Pod>> {
    match before {
        Some(entry) => entry.pod.clone(),
        None => parse_manifest(&file.path, &kept(&file.path)?, node_name).ok().map(Arc::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::is_manifest_name;

    fn manifest(name: &str, image: &str) -> Vec<u8> {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: {image}}}]}}\n").into()
    }
    fn file(path: &str, content: Vec<u8>) -> ReadFile {
        ReadFile { path: path.into(), content: Ok(content) }
    }
    fn nothing_kept(_: &Path) -> Option<Vec<u8>> {
        None
    }
    fn pods(set: &StaticSet) -> Vec<String> {
        set.pods().map(|(path, pod)| format!("{}={}", path.display(), key_of(pod).name)).collect()
    }

    #[test]
    fn a_faulty_file_keeps_its_last_good_pod_also_over_a_restart() {
        let good = StaticSet::default().next(&[file("a.yaml", manifest("a", "x:1"))], &nothing_kept, "n");
        let bad = [file("a.yaml", b"kind: [".to_vec())];
        let after = good.next(&bad, &nothing_kept, "n");
        assert!(Arc::ptr_eq(good.pods().next().expect("a pod").1, after.pods().next().expect("kept").1));
        assert_eq!(after.entries[Path::new("a.yaml")].faults.len(), 1);
        let restarted = StaticSet::default().next(&bad, &|_| Some(manifest("a", "x:1")), "n");
        assert_eq!(pods(&restarted), ["a.yaml=a-n"]);
        assert_eq!(pods(&after.next(&[], &nothing_kept, "n")), [""; 0]);
    }

    #[test]
    fn an_unchanged_file_keeps_its_arc_and_a_repaired_one_gets_its_pod() {
        let one = StaticSet::default().next(&[file("a.yaml", manifest("a", "x:1"))], &nothing_kept, "n");
        let two = one.next(&[file("a.yaml", manifest("a", "x:1"))], &nothing_kept, "n");
        assert!(Arc::ptr_eq(one.pods().next().expect("one").1, two.pods().next().expect("two").1));
        let three = two.next(&[file("a.yaml", manifest("a", "x:2"))], &nothing_kept, "n");
        assert_ne!(one.pods().next().expect("one").1.metadata.uid, three.pods().next().expect("three").1.metadata.uid);
    }

    #[test]
    fn a_second_definition_is_refused_while_the_first_runs() {
        let one = StaticSet::default().next(&[file("b.yaml", manifest("a", "x:1"))], &nothing_kept, "n");
        let both = [file("a.yaml", manifest("a", "x:2")), file("b.yaml", manifest("a", "x:1"))];
        let two = one.next(&both, &nothing_kept, "n");
        assert_eq!(pods(&two), ["b.yaml=a-n"]);
        assert!(two.entries[Path::new("a.yaml")].faults[0].message.contains("b.yaml"));
        let restarted = StaticSet::default().next(&both, &|p| p.ends_with("b.yaml").then(|| manifest("a", "x:1")), "n");
        assert_eq!(pods(&restarted), ["b.yaml=a-n"]);
        let alone = two.next(&both[..1], &nothing_kept, "n");
        assert_eq!(pods(&alone), ["a.yaml=a-n"]);
        assert!(alone.entries[Path::new("a.yaml")].faults.is_empty());
    }

    #[test]
    fn every_name_that_is_not_hidden_is_read() {
        for (name, want) in [
            ("a.yaml", true),
            ("a.yml", true),
            ("a.json", true),
            ("etcd.manifest", true),
            ("a", true),
            ("a.yaml~", true),
            ("Ä", true),
            (".a.yaml", false),
            (".a.yaml.swp", false),
            (".yaml", false),
            ("", false),
        ] {
            assert_eq!(is_manifest_name(name), want, "{name}");
        }
    }
}
