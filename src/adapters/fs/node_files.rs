//! The port `NodeFiles` on the file system.

#![expect(clippy::disallowed_methods, reason = "blocks: its duties have threads of their own (offload::duty)")]

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::atomic::write_if_changed;
use super::{mounts, owner, removal};
use crate::ports::bootstrap::{FileError, FileInfo, NodeFiles, Owner};

/// System directories to which a link may lead by mistake: they are never emptied.
const SYSTEM: [&str; 18] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "nix", "opt", "proc", "root", "run", "sbin", "srv", "sys",
    "tmp", "usr", "var",
];

/// The node's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostFiles;

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { verb, path, source }
}

fn unless_missing<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl NodeFiles for HostFiles {
    fn info(&self, path: &Path) -> Result<Option<FileInfo>, FileError> {
        let meta = unless_missing(fs::metadata(path)).map_err(failed("look at", path))?;
        meta.map(|meta| {
            let modified = meta.modified().map_err(failed("look at", path))?;
            let owner = Owner { user: meta.uid(), group: meta.gid() };
            Ok(FileInfo { is_dir: meta.is_dir(), mode: meta.permissions().mode() & 0o7777, owner, modified })
        })
        .transpose()
    }

    fn read(&self, path: &Path) -> Result<Option<String>, FileError> {
        unless_missing(fs::read_to_string(path)).map_err(failed("read", path))
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, FileError> {
        let Some(entries) = unless_missing(fs::read_dir(path)).map_err(failed("list", path))? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(failed("list", path))?.path());
        }
        names.sort();
        Ok(names)
    }

    fn ensure_dir(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed("make folder", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("make folder", parent))?;
        }
        write_if_changed(path, content, mode).map(drop).map_err(failed("write", path))
    }

    fn remove(&self, path: &Path) -> Result<(), FileError> {
        unless_missing(fs::remove_file(path)).map(drop).map_err(failed("remove", path))?;
        // The directory of a unit's drop-ins is removed with the last of them; one that contains others is kept.
        if let Some(folder) = path.parent().filter(|folder| folder.extension().is_some_and(|end| end == "d"))
            && folder.file_stem().is_some_and(|unit| Path::new(unit).extension().is_some_and(|end| end == "service"))
        {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    fn empty_dir(&self, path: &Path) -> Result<(), FileError> {
        // The mount table contains no links: compare with the directory that the path leads to.
        let Some(folder) = unless_missing(fs::canonicalize(path)).map_err(failed("look at", path))? else {
            return Ok(());
        };
        if folder
            .parent()
            .is_none_or(|parent| parent == Path::new("/") && SYSTEM.iter().any(|name| folder.ends_with(name)))
        {
            let source =
                io::Error::other(format!("it leads to {}, which contains more than our files", folder.display()));
            return Err(failed("empty", path)(source));
        }
        let left = mounts::unmount_below(&folder, mounts::Top::Stays);
        // Nothing is removed while something is mounted whose content belongs to others.
        if let Some((mount, error)) = left.map_err(failed("list the mounts below", path))?.into_iter().next() {
            return Err(failed("unmount", &mount)(error));
        }
        removal::empty_folder(&folder).map_err(failed("empty", path))
    }

    fn belongs_to(&self, path: &Path, owner: Owner) -> Result<bool, FileError> {
        owner::tree_belongs_to(path, owner).map_err(failed("look at", path))
    }

    fn give_to(&self, path: &Path, owner: Owner) -> Result<(), FileError> {
        owner::give_tree_to(path, owner).map_err(failed("change the owner of", path))
    }
}
