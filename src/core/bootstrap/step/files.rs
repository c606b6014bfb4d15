//! Steps about files and folders of the node.

use std::fmt;
use std::path::PathBuf;

use crate::core::model::Secret;

/// What shall be true of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileStep {
    /// The folder exists with this mode; missing parents are created with 0755.
    EnsureDir {
        /// Absolute path of the folder.
        path: PathBuf,
        /// Permission bits, as in chmod(2).
        mode: u32,
    },
    /// The file has this content and mode; it is replaced atomically.
    Write {
        /// Absolute path of the file.
        path: PathBuf,
        /// Permission bits, as in chmod(2).
        mode: u32,
        /// All bytes of the file.
        content: Content,
    },
    /// The file holds the certificates of several PEM files, one after another.
    Join {
        /// Absolute path of the file that is written.
        path: PathBuf,
        /// The files that are read, which earlier steps have created.
        parts: Vec<PathBuf>,
        /// Permission bits, as in chmod(2).
        mode: u32,
    },
    /// The file does not exist.
    Remove {
        /// Absolute path of the file.
        path: PathBuf,
    },
    /// The folder is empty or does not exist. Mounts below it are unmounted first.
    EmptyDir {
        /// Absolute path of the folder, which itself stays.
        path: PathBuf,
    },
    /// The folder and everything in it belong to this user. Symbolic links in it are not followed.
    OwnTree {
        /// Absolute path of the folder; one that does not exist is met.
        path: PathBuf,
        /// Name of the user; the group is the one in its entry of `/etc/passwd`.
        user: String,
    },
}

/// Content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Content that anyone may see, for example a manifest.
    Text(String),
    /// Keys and tokens, which never appear in a plan or a log.
    Secret(Secret<String>),
}

impl Content {
    /// The bytes to write.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Secret(secret) => secret.reveal().as_bytes(),
        }
    }
}

impl fmt::Display for FileStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnsureDir { path, mode } => write!(f, "create folder {} ({mode:04o})", path.display()),
            Self::Write { path, mode, .. } => write!(f, "write {} ({mode:04o})", path.display()),
            Self::Join { path, parts, mode } => {
                let parts: Vec<_> = parts.iter().map(|part| part.display().to_string()).collect();
                write!(f, "write {} ({mode:04o}) from {}", path.display(), parts.join(" and "))
            }
            Self::Remove { path } => write!(f, "remove {}", path.display()),
            Self::EmptyDir { path } => write!(f, "empty folder {}", path.display()),
            Self::OwnTree { path, user } => write!(f, "change the owner of {} to {user}", path.display()),
        }
    }
}
