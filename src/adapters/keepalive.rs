//! TCP keepalive of connections to API servers: the kernel closes one whose server disappeared without closing it (power,
//! network, an address that moved), and its user reconnects. A watch sends nothing itself and would wait forever.

use std::io;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use rustix::net::sockopt;
use tokio::net::TcpStream;

/// A server that disappeared is detected after `IDLE + PROBES * INTERVAL`.
const IDLE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(3);
const PROBES: u32 = 2;
/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// Enables keepalive on a connection, and sends small writes immediately.
///
/// # Errors
/// The socket does not accept the options.
pub fn enable(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, IDLE)?;
    sockopt::set_tcp_keepintvl(stream, INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

/// Enables keepalive on all connections that an HTTP client opens.
pub fn enable_for<R>(http: &mut HttpConnector<R>) {
    http.set_nodelay(true);
    http.set_keepalive(Some(IDLE));
    http.set_keepalive_interval(Some(INTERVAL));
    http.set_keepalive_retries(Some(PROBES));
    http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
}
