//! Kernel notifications that the routing library does not read: of nf_tables and of the forwarding settings.

use std::io;
use std::time::Duration;

use rtnetlink::sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, TokioSocket};

use crate::core::network::kernel_events::{concerns_all_links, concerns_table};
use crate::core::network::masquerade;
use crate::supervise::spawn;

/// Netlink group `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h.
const NFTABLES: u32 = 7;
/// `RTNLGRP_IPV4_NETCONF` and `RTNLGRP_IPV6_NETCONF` of linux/rtnetlink.h.
const FORWARDING: [u32; 2] = [24, 25];
/// Delay after the socket failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Calls `changed` at each change to our tables and to the forwarding settings. Joining nf_tables' group requires
/// CAP_NET_ADMIN.
pub(super) fn watch(changed: impl Fn() + Clone + Send + Sync + 'static) -> io::Result<()> {
    let rules = open(NETLINK_NETFILTER, &[NFTABLES])?;
    let forwarding = open(NETLINK_ROUTE, &FORWARDING)?;
    spawn("monitor of nf_tables", read(rules, |datagram| concerns_table(datagram, masquerade::TABLE), changed.clone()));
    spawn("monitor of forwarding", read(forwarding, concerns_all_links, changed));
    Ok(())
}

fn open(protocol: isize, groups: &[u32]) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind_auto()?;
    for group in groups {
        socket.socket_ref().add_membership(*group)?;
    }
    Ok(socket)
}

async fn read(socket: TokioSocket, concerns: impl Fn(&[u8]) -> bool, changed: impl Fn()) {
    loop {
        match socket.recv_from_full().await {
            // Any process may send to the socket; the kernel's own port is 0.
            Ok((datagram, from)) => {
                if from.port_number() == 0 && concerns(&datagram) {
                    changed();
                }
            }
            // Notifications were lost (ENOBUFS): any of them may have been about ours.
            Err(_) => {
                changed();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
