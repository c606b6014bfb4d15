//! Writes the files of a content volume so that a container sees the old set or the new one, never a mixture.
//!
//! As upstream's `pkg/volume/util/atomic_writer.go`: the files are in a directory `..<time>.<random>`, `..data` is a
//! link to it that is replaced by rename, and each visible name is a link into `..data`.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use super::payload::{ContentFile, Payload};
use crate::adapters::fs::ignore_missing;
use crate::adapters::fs::removal::remove_tree;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Writes `payload` into `target`, which must exist. `own` sets ownership before the new files become visible. An
/// unchanged payload is not rewritten; missing links are repaired in any case. True if files were written.
pub fn write(target: &Path, payload: &Payload, own: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
    for path in payload.keys() {
        check_path(path)?;
    }
    let old_dir = match fs::read_link(target.join(DATA)) {
        // Only what looks like ours is reused; anything else is overwritten.
        Ok(name) => Some(name).filter(|n| is_data_dir(n)).map(|n| target.join(n)).filter(|d| d.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let old_paths = old_dir.as_deref().map(paths_in).transpose()?.unwrap_or_default();
    let wanted = paths_of(payload);
    let stale: Vec<&PathBuf> = old_paths.difference(&wanted).collect();
    let current = |dir: &PathBuf| stale.is_empty() && payload.iter().all(|(path, file)| same(&dir.join(path), file));
    let changed = !old_dir.as_ref().is_some_and(current);
    if changed {
        let new_dir = make_data_dir(target)?;
        let result = fill(&new_dir, payload).and_then(|()| own()).and_then(|()| switch(target, &new_dir));
        if let Err(error) = result {
            // The old files stay in force; the incomplete ones are removed.
            _ = fs::remove_file(target.join(NEW_DATA));
            _ = remove_tree(&new_dir);
            return Err(error);
        }
    }
    link_visible(target, payload)?;
    for name in stale.iter().filter(|p| p.components().count() == 1) {
        ignore_missing(fs::remove_file(target.join(name)))?;
    }
    if let Some(dir) = old_dir.filter(|_| changed) {
        remove_tree(&dir)?;
    }
    Ok(changed)
}

/// Rejects paths that are absolute, contain `..`, use the writer's own names, or are too long for the kernel.
fn check_path(path: &str) -> io::Result<()> {
    let bad = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("invalid path: {what}: {path}")));
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    match parts.first() {
        None => return bad("must not be empty"),
        Some(Component::RootDir) => return bad("must be relative path"),
        Some(Component::Normal(first)) if first.as_encoded_bytes().starts_with(b"..") => {
            return bad("must not start with '..'");
        }
        Some(_) => {}
    }
    if parts.contains(&Component::ParentDir) {
        return bad("must not contain '..'");
    }
    if path.len() > 4096 || parts.iter().any(|p| p.as_os_str().len() > 255) {
        return bad("too long");
    }
    Ok(())
}

fn is_data_dir(name: &Path) -> bool {
    let bytes = name.as_os_str().as_encoded_bytes();
    bytes.starts_with(b"..") && bytes.len() > 2 && !bytes.contains(&b'/')
}

/// All paths below a directory, including directories.
fn paths_in(dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        for entry in fs::read_dir(dir.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path.clone());
            }
            found.insert(path);
        }
    }
    Ok(found)
}

/// All paths of a payload with their parent directories.
fn paths_of(payload: &Payload) -> BTreeSet<PathBuf> {
    let clean = |p: &String| Path::new(p).components().filter(|c| *c != Component::CurDir).collect::<PathBuf>();
    let up = |p: PathBuf| p.ancestors().map(Path::to_path_buf).collect::<Vec<_>>();
    payload.keys().map(clean).flat_map(up).filter(|p| !p.as_os_str().is_empty()).collect()
}

/// True if a file has this content; its mode may have been extended for the pod's group.
fn same(path: &Path, file: &ContentFile) -> bool {
    fs::read(path).is_ok_and(|content| content == file.data)
}

fn make_data_dir(target: &Path) -> io::Result<PathBuf> {
    let time = jiff::Timestamp::now().strftime("..%Y_%m_%d_%H_%M_%S.").to_string();
    loop {
        let dir = target.join(format!("{time}{}", rand::random::<u32>()));
        match fs::create_dir(&dir) {
            Ok(()) => {
                fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
                return Ok(dir);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn fill(dir: &Path, payload: &Payload) -> io::Result<()> {
    for (path, content) in payload {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o777).create(parent)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(content.mode).open(&path)?;
        file.write_all(&content.data)?;
        file.set_permissions(fs::Permissions::from_mode(content.mode))?;
        if content.owner.is_some() {
            lchown(&path, content.owner, None)?;
        }
    }
    Ok(())
}

fn switch(target: &Path, new_dir: &Path) -> io::Result<()> {
    let name = new_dir.file_name().ok_or_else(|| io::Error::other("data directory without a name"))?;
    // A link left by an interrupted run.
    ignore_missing(fs::remove_file(target.join(NEW_DATA)))?;
    symlink(name, target.join(NEW_DATA))?;
    fs::rename(target.join(NEW_DATA), target.join(DATA))
}

fn link_visible(target: &Path, payload: &Payload) -> io::Result<()> {
    for (path, content) in payload {
        let Some(Component::Normal(name)) = Path::new(path).components().find(|c| *c != Component::CurDir) else {
            continue;
        };
        match symlink(Path::new(DATA).join(name), target.join(name)) {
            Ok(()) if content.owner.is_some() => lchown(target.join(name), content.owner, None)?,
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::payload::file;
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        files.iter().map(|(path, data)| ((*path).to_owned(), file(data.as_bytes(), 0o640))).collect()
    }

    fn write_to(target: &Path, files: &[(&str, &str)]) -> bool {
        write(target, &payload(files), || Ok(())).unwrap()
    }

    #[test]
    fn visible_names_are_links_into_the_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write_to(dir.path(), &[("a", "1"), ("d/e/f", "2")]));
        assert_eq!(fs::read_link(dir.path().join("a")).unwrap(), Path::new("..data/a"));
        assert_eq!(fs::read_link(dir.path().join("d")).unwrap(), Path::new("..data/d"));
        assert_eq!(fs::read_to_string(dir.path().join("d/e/f")).unwrap(), "2");
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn an_unchanged_payload_is_not_written_again_but_links_are_repaired() {
        let dir = tempfile::tempdir().unwrap();
        write_to(dir.path(), &[("a", "1"), ("b", "2")]);
        let before = fs::read_link(dir.path().join(DATA)).unwrap();
        fs::remove_file(dir.path().join("b")).unwrap();
        assert!(!write_to(dir.path(), &[("a", "1"), ("b", "2")]));
        assert_eq!(fs::read_link(dir.path().join(DATA)).unwrap(), before);
        assert_eq!(fs::read_to_string(dir.path().join("b")).unwrap(), "2");
    }

    #[test]
    fn removed_keys_vanish_with_the_old_directory() {
        let dir = tempfile::tempdir().unwrap();
        write_to(dir.path(), &[("a", "1"), ("d/x", "2"), ("d/y", "3")]);
        fs::create_dir(dir.path().join("nested-mount")).unwrap();
        assert!(write_to(dir.path(), &[("d/y", "3")]));
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|n| !n.starts_with("..2"));
        names.sort();
        assert_eq!(names, ["..data", "d", "nested-mount"]);
        assert!(!dir.path().join("d/x").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        write_to(dir.path(), &[("a", "1")]);
        assert!(write(dir.path(), &payload(&[("a", "2")]), || Err(io::Error::other("no"))).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn paths_that_climb_or_hide_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["", "/a", "../a", "a/../../b", "..data", "..x/y", &"a".repeat(300)] {
            assert!(write(dir.path(), &payload(&[(path, "x")]), || Ok(())).is_err(), "{path}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
