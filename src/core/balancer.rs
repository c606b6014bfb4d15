//! The choice of a node's local balancer: which API server gets a new connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::connections::Limits;

/// How long a server that did not answer is tried last. Short, so that a recovered server is used soon.
pub const SHUN: Duration = Duration::from_secs(10);

/// File descriptors that the agent needs besides the balancer's connections: its watches, netlink, files it writes.
const RESERVED: usize = 128;

/// Connection limits of the balancer. The kubelet, kube-proxy and the control plane run as root; other users on the
/// node's loopback cannot use up root's connections, nor more than a share of the others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Limits for uid 0.
    pub root: Limits,
    /// Limits for all other uids.
    pub others: Limits,
}

impl Bounds {
    /// The limits for a process that may open `descriptors` files: each connection uses two.
    pub fn of_descriptors(descriptors: usize) -> Self {
        let connections = descriptors.saturating_sub(RESERVED) / 2;
        let others = connections / 4;
        let root = connections.saturating_sub(others);
        Self {
            root: Limits { total: root, per_source: root },
            others: Limits { total: others, per_source: others.div_ceil(2) },
        }
    }
}

/// What the balancer remembers about the servers.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    /// The node's own API server, which is tried first; `None` on workers.
    pub own: Option<SocketAddr>,
    /// When a server last failed to answer, as a duration since a fixed point in time.
    failed: BTreeMap<SocketAddr, Duration>,
    turn: usize,
}

impl Servers {
    /// Servers of a node with its own API server, or without one.
    pub fn of(own: Option<SocketAddr>) -> Self {
        Self { own, ..Self::default() }
    }

    /// The order in which a new connection tries the servers: the own one, then the others in rotation, recently failed
    /// ones last.
    pub fn order(&mut self, known: &[SocketAddr], now: Duration) -> Vec<SocketAddr> {
        self.turn = self.turn.wrapping_add(1);
        let mut order: Vec<SocketAddr> = known.to_vec();
        order.rotate_left(self.turn.checked_rem(known.len()).unwrap_or(0));
        let shunned = |server: &SocketAddr| self.failed.get(server).is_some_and(|at| now.saturating_sub(*at) < SHUN);
        order.sort_by_key(|server| (shunned(server), Some(*server) != self.own));
        order
    }

    /// Records that a server did not answer.
    pub fn note_failure(&mut self, server: SocketAddr, now: Duration) {
        self.failed.insert(server, now);
    }

    /// Records that a server answered.
    pub fn note_success(&mut self, server: &SocketAddr) {
        self.failed.remove(server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 6443))
    }

    #[test]
    fn workers_spread_over_the_servers_and_a_control_plane_asks_itself_first() {
        let known = [server(1), server(2), server(3)];
        let mut worker = Servers::default();
        let firsts: std::collections::BTreeSet<_> = (0..3).map(|_| worker.order(&known, Duration::ZERO)[0]).collect();
        assert_eq!(firsts.len(), 3);
        let mut control_plane = Servers::of(Some(server(2)));
        assert!((0..3).all(|_| control_plane.order(&known, Duration::ZERO)[0] == server(2)));
        assert_eq!(worker.order(&[], Duration::ZERO), []);
    }

    #[test]
    fn the_balancers_connections_leave_descriptors_to_the_agent() {
        for descriptors in [0, 100, 256, 1024, 4096, 1 << 20] {
            let Bounds { root, others } = Bounds::of_descriptors(descriptors);
            assert!(2 * (root.total + others.total) + RESERVED.min(descriptors) <= descriptors);
            assert!(others.per_source <= others.total && others.total <= root.total);
        }
    }

    #[test]
    fn a_server_that_failed_is_asked_last_for_a_while_and_never_dropped() {
        let known = [server(1), server(2)];
        let mut servers = Servers::of(Some(server(1)));
        servers.note_failure(server(1), Duration::from_secs(100));
        assert_eq!(servers.order(&known, Duration::from_secs(101)), [server(2), server(1)]);
        assert_eq!(servers.order(&known, Duration::from_secs(111)), [server(1), server(2)]);
        servers.note_failure(server(1), Duration::from_secs(112));
        servers.note_success(&server(1));
        assert_eq!(servers.order(&known, Duration::from_secs(113))[0], server(1));
    }
}
