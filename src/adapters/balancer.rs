//! A TCP balancer on the node's loopback: what connects here reaches an API server that answers.
//!
//! It sees bytes only; TLS goes through to the API server. A connection ends when its server does not answer any more
//! or leaves the list, so that its client connects again and gets another one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::core::balancer::Servers;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A server that is gone without a word (power, network) is found out after `IDLE + PROBES * INTERVAL`.
const IDLE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(3);
const PROBES: u32 = 2;
/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);
/// How long a listener that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// The servers known at the moment: those of the cluster, and those to try when none of them answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownServers {
    /// From the cluster, or what it last said.
    pub current: Vec<SocketAddr>,
    /// From the node's settings.
    pub fallback: Vec<SocketAddr>,
}

/// Serves for ever. `ready` is told once it listens, or could not at its first attempt.
pub async fn run_balancer(
    listen: SocketAddr,
    own: Option<SocketAddr>,
    known: watch::Receiver<KnownServers>,
    ready: oneshot::Sender<()>,
) {
    let mut ready = Some(ready);
    let mut tell_ready = move || ready.take().map(|ready| ready.send(()));
    let servers = Arc::new(Mutex::new(Servers::of(own)));
    let begun = Instant::now();
    let listener = loop {
        let bound = TcpListener::bind(listen).await;
        tell_ready();
        match bound {
            Ok(listener) => break listener,
            Err(error) => tracing::warn!(%listen, %error, "the balancer cannot listen"),
        }
        tokio::time::sleep(RETRY).await;
    };
    tracing::info!(%listen, "balancing connections to the API servers");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let _ = connections.spawn(serve(client, servers.clone(), known.clone(), begun));
                }
                Err(error) => {
                    tracing::warn!(%error, "the balancer cannot accept a connection");
                    tokio::time::sleep(RETRY).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve(
    mut client: TcpStream,
    servers: Arc<Mutex<Servers>>,
    mut known: watch::Receiver<KnownServers>,
    begun: Instant,
) {
    let Some((address, mut server)) = connect(&servers, &mut known, begun).await else {
        tracing::debug!("no API server answers");
        return;
    };
    let _ = client.set_nodelay(true);
    let listed = |known: &KnownServers| known.current.is_empty() || known.current.contains(&address);
    // One that was reached outside of the list is kept: the list may be older than the cluster.
    let was_listed = listed(&known.borrow());
    let left = async {
        if was_listed && known.wait_for(|known| !listed(known)).await.is_ok() {
            return;
        }
        std::future::pending().await
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        () = left => tracing::info!(server = %address, "an API server left the cluster; its connections are closed"),
    }
}

/// A connection to the first server that takes it.
#[expect(clippy::disallowed_methods, reason = "an address, no name")]
async fn connect(
    servers: &Mutex<Servers>,
    known: &mut watch::Receiver<KnownServers>,
    begun: Instant,
) -> Option<(SocketAddr, TcpStream)> {
    let KnownServers { current, fallback } = known.borrow_and_update().clone();
    let lock = || servers.lock().unwrap_or_else(PoisonError::into_inner);
    let mut order = lock().order(&current, begun.elapsed());
    order.extend(fallback.into_iter().filter(|server| !current.contains(server)));
    for address in order {
        let outcome = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => watch_over(&stream).map(|()| stream),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match outcome {
            Ok(stream) => {
                lock().note_success(&address);
                return Some((address, stream));
            }
            Err(error) => {
                tracing::debug!(server = %address, %error, "an API server does not take connections");
                lock().note_failure(address, begun.elapsed());
            }
        }
    }
    None
}

/// Lets the kernel end the connection when the server is gone.
fn watch_over(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, IDLE)?;
    sockopt::set_tcp_keepintvl(stream, INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that says its number to whoever connects, and then keeps the connection.
    async fn server(number: u8) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(&[number]).await.unwrap();
                open.push(stream);
            }
        });
        (address, task)
    }

    async fn balancer(own: Option<SocketAddr>, known: watch::Receiver<KnownServers>) -> SocketAddr {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        tokio::spawn(run_balancer(address, own, known, oneshot::channel().0));
        address
    }

    async fn ask(address: SocketAddr) -> (u8, TcpStream) {
        for _ in 0..100 {
            if let Ok(mut stream) = TcpStream::connect(address).await
                && let Ok(number) = stream.read_u8().await
            {
                return (number, stream);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no answer through the balancer");
    }

    #[tokio::test]
    async fn a_dead_server_costs_nobody_the_api_and_closes_its_connections() {
        let (one, first) = server(1).await;
        let (two, _second) = server(2).await;
        let (sender, known) = watch::channel(KnownServers { current: vec![one, two], fallback: Vec::new() });
        let address = balancer(Some(one), known).await;
        let (number, mut open) = ask(address).await;
        assert_eq!(number, 1, "the own server comes first");
        first.abort();
        let _ = first.await;
        assert_eq!(open.read(&mut [0]).await.unwrap(), 0, "the connection to the dead server is closed");
        assert_eq!(ask(address).await.0, 2);

        // A server that leaves the list takes its connections along.
        let (_, mut open) = ask(address).await;
        let (three, _third) = server(3).await;
        sender.send_replace(KnownServers { current: vec![three], fallback: Vec::new() });
        assert_eq!(open.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(ask(address).await.0, 3);
    }

    #[tokio::test]
    async fn the_nodes_settings_are_the_way_in_when_the_list_is_of_no_use() {
        let (one, first) = server(1).await;
        let (two, _second) = server(2).await;
        first.abort();
        let _ = first.await;
        let (_sender, known) = watch::channel(KnownServers { current: vec![one], fallback: vec![two] });
        assert_eq!(ask(balancer(None, known).await).await.0, 2);
    }
}
