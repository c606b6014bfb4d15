//! Records of stopped static pods: empty files in a directory of `/run`.

#![expect(clippy::disallowed_methods, reason = "notes in /run, which is memory")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::core::static_units::is_name;
use crate::ports::kubelet::StopNotes;

#[derive(Clone, Debug)]
pub struct NoteFiles {
    folder: PathBuf,
}

impl NoteFiles {
    /// Records in this directory, which must exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl StopNotes for NoteFiles {
    fn all(&self) -> io::Result<BTreeSet<String>> {
        let entries = fs::read_dir(&self.folder)?.collect::<Result<Vec<_>, _>>()?;
        let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| is_name(name)).collect())
    }

    fn note(&self, name: &str) -> io::Result<()> {
        fs::write(self.folder.join(name), "")
    }

    fn drop_note(&self, name: &str) -> io::Result<()> {
        super::ignore_missing(fs::remove_file(self.folder.join(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_stays_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let notes = NoteFiles::new(dir.path().to_owned());
        notes.note("web").unwrap();
        notes.note("a.b").unwrap();
        notes.drop_note("a.b").unwrap();
        notes.drop_note("a.b").unwrap();
        assert_eq!(notes.all().unwrap(), BTreeSet::from(["web".to_owned()]));
    }
}
