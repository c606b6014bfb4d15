//! hostPath types: what must exist, and what is created (upstream `volume/hostpath`).

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Checks that `path` has the wanted type; the `OrCreate` types create a missing one.
pub fn check(path: &Path, kind: &str) -> Result<(), String> {
    let found = fs::metadata(path).ok().map(|m| m.file_type());
    let shown = path.display();
    let told = |error: io::Error| error.to_string();
    let must = |ok: bool, what: &str| match ok {
        true => Ok(()),
        false => Err(format!("hostPath type check failed: {shown} is not {what}")),
    };
    match kind {
        "" => Ok(()),
        "DirectoryOrCreate" if found.is_none() => {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(told)
        }
        "Directory" | "DirectoryOrCreate" => must(found.is_some_and(|t| t.is_dir()), "a directory"),
        "FileOrCreate" if found.is_none() => {
            let made = fs::OpenOptions::new().create(true).append(true).mode(0o644).open(path);
            made.map(drop).map_err(|e| format!("open {shown}: {e}"))
        }
        "File" | "FileOrCreate" => must(found.is_some_and(|t| t.is_file()), "a file"),
        "Socket" => must(found.is_some_and(|t| t.is_socket()), "a socket file"),
        "CharDevice" => must(found.is_some_and(|t| t.is_char_device()), "a character device"),
        "BlockDevice" => must(found.is_some_and(|t| t.is_block_device()), "a block device"),
        other => Err(format!("{other} is an invalid volume type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_and_made() {
        let root = tempfile::tempdir().unwrap();
        let (dir, file) = (root.path().join("a/b"), root.path().join("f"));
        assert!(check(&dir, "Directory").unwrap_err().ends_with("is not a directory"));
        assert_eq!(check(&dir, ""), Ok(()));
        assert_eq!(check(&dir, "DirectoryOrCreate"), Ok(()));
        assert_eq!(check(&dir, "Directory"), Ok(()));
        assert_eq!(check(&file, "FileOrCreate"), Ok(()));
        assert_eq!(check(&file, "File"), Ok(()));
        assert!(check(&file, "DirectoryOrCreate").unwrap_err().ends_with("is not a directory"));
        assert!(check(&dir, "File").unwrap_err().ends_with("is not a file"));
        assert!(check(&file, "Socket").unwrap_err().ends_with("is not a socket file"));
        assert_eq!(check(Path::new("/dev/null"), "CharDevice"), Ok(()));
        assert!(check(&file, "BlockDevice").unwrap_err().ends_with("is not a block device"));
    }
}
