//! TCP connections, with upstream's error texts.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::adapters::names::Names;

/// Connects; the error text is upstream's.
pub async fn connect(names: &Names, host: &str, port: u16, limit: Option<Duration>) -> Result<TcpStream, String> {
    let name = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let dial = names.connect(host, port);
    let result = match limit {
        Some(limit) => timeout(limit, dial).await.map_err(|_| format!("dial tcp {name}: i/o timeout"))?,
        None => dial.await,
    };
    result.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("dial tcp {name}: connect: connection refused"),
        std::io::ErrorKind::HostUnreachable => format!("dial tcp {name}: connect: no route to host"),
        _ => format!("dial tcp {name}: {error}"),
    })
}
