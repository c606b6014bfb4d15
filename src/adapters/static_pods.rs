//! Client of the kubelet's socket for units of static pods.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::core::static_units::PodState;
use crate::ports::bootstrap::StaticPodStates;

/// The socket; each query opens a connection.
#[derive(Clone, Debug)]
pub struct KubeletSocket {
    path: PathBuf,
}

impl KubeletSocket {
    /// The kubelet that listens at this path.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

#[async_trait]
impl StaticPodStates for KubeletSocket {
    async fn state(&self, name: &str, hash: &str) -> io::Result<PodState> {
        let (read, mut write) = UnixStream::connect(&self.path).await?.into_split();
        write.write_all(format!("look {name} {hash}\n").as_bytes()).await?;
        let line = BufReader::new(read).lines().next_line().await?;
        let line = line.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"))?;
        Ok(serde_json::from_str(&line)?)
    }
}
