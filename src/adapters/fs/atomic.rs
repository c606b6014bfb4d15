//! Writes files atomically: a reader sees the old content or the new one, never a part.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Prefix of the names of temporary files. A process that is killed while writing leaves one behind.
const DRAFT: &str = ".roost-";

/// True if this is such a file.
pub fn is_draft(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(DRAFT.as_bytes()))
}

/// Writes `content` to `path` with `mode`, using a hidden temporary file in the same directory, fsync and rename. True
/// if the content or the mode changed; an equal file is not touched.
pub fn write_if_changed(path: &Path, content: &[u8], mode: u32) -> io::Result<bool> {
    match fs::read(path) {
        Ok(old) if old == content => {
            let same = fs::metadata(path)?.permissions().mode() & 0o7777 == mode;
            if !same {
                fs::set_permissions(path, Permissions::from_mode(mode))?;
            }
            return Ok(!same);
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let directory = path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no parent directory"))?;
    let mut file =
        tempfile::Builder::new().prefix(DRAFT).permissions(Permissions::from_mode(mode)).tempfile_in(directory)?;
    file.write_all(content)?;
    // The mode given at creation is reduced by the umask.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(directory)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_file_is_left_alone_and_a_wrong_mode_is_set_right() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(write_if_changed(&path, b"secret", 0o600).unwrap());
        assert!(!write_if_changed(&path, b"secret", 0o600).unwrap());
        assert!(write_if_changed(&path, b"secret", 0o644).unwrap());
        assert!(write_if_changed(&path, b"other", 0o600).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
