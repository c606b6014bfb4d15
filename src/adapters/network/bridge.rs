//! The pod bridge through rtnetlink, and the links of pods in the CNI library's cache.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkUnspec};

use super::routes::{failed, link_name};
use crate::core::network::bridge::{Attachment, BridgeLink, parse_attachment};
use crate::core::network::conflist::{BRIDGE, NETWORK};
use crate::core::network::{BridgeChange, ObservedBridge};
use crate::ports::bootstrap::PodNetworkError;

/// Where the CNI library stores its result for each pod (`CacheDir` in libcni/api.go).
pub(super) const RESULTS: &str = "/var/lib/cni/results";

/// The attachments of all pods that the runtime has set up and not torn down.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
pub(super) fn read_attachments() -> io::Result<Vec<Attachment>> {
    let entries = match std::fs::read_dir(Path::new(RESULTS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(NETWORK));
        // A pod may be torn down meanwhile.
        let text = if ours { std::fs::read_to_string(entry.path()).unwrap_or_default() } else { continue };
        found.extend(parse_attachment(&text));
    }
    Ok(found)
}

/// The bridge, and which of these links exist.
pub(super) async fn observe(handle: &Handle, remembered: &[Attachment]) -> Result<ObservedBridge, PodNetworkError> {
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await.map_err(failed("list links"))?;
    let by_name: BTreeMap<&str, &LinkMessage> =
        links.iter().filter_map(|link| Some((link_name(link)?, link))).collect();
    let mut observed = ObservedBridge { mac: remembered.iter().find_map(|pod| pod.bridge_mac), ..Default::default() };
    if let Some(bridge) = by_name.get(BRIDGE) {
        let up = bridge.header.flags.contains(LinkFlags::Up);
        observed.link = Some(BridgeLink { up, addresses: addresses(handle, bridge.header.index).await? });
    }
    let has_master = |link: &LinkMessage| link.attributes.iter().any(|a| matches!(a, LinkAttribute::Controller(_)));
    let there = remembered.iter().filter_map(|pod| Some((pod.port.clone(), has_master(by_name.get(&*pod.port)?))));
    observed.ports = there.collect();
    Ok(observed)
}

async fn addresses(handle: &Handle, index: u32) -> Result<Vec<IpNet>, PodNetworkError> {
    let request = handle.address().get().set_link_index_filter(index);
    let found: Vec<AddressMessage> = request.execute().try_collect().await.map_err(failed("list addresses"))?;
    let net = |message: &AddressMessage| {
        let address = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(ip) => Some(*ip),
            AddressAttribute::Address(ip) if message.header.family == AddressFamily::Inet6 => Some(*ip),
            _ => None,
        });
        IpNet::new(address?, message.header.prefix_len).ok()
    };
    Ok(found.iter().filter(|message| message.header.index == index).filter_map(net).collect())
}

pub(super) async fn apply(handle: &Handle, change: &BridgeChange) -> Result<(), PodNetworkError> {
    match change {
        BridgeChange::Create(mac) => {
            let bridge = LinkBridge::new(BRIDGE);
            let bridge = match mac {
                Some(mac) => bridge.address(mac.to_vec()),
                None => bridge,
            };
            handle.link().add(bridge.build()).execute().await.map_err(failed(&format!("create bridge {BRIDGE}")))
        }
        BridgeChange::Up => {
            let up = LinkUnspec::new_with_name(BRIDGE).up().build();
            handle.link().change(up).execute().await.map_err(failed(&format!("set up bridge {BRIDGE}")))
        }
        BridgeChange::Address(net) => {
            let what = format!("give bridge {BRIDGE} address {net}");
            let index = index_of(handle, BRIDGE).await?.ok_or_else(|| gone(&what))?;
            let mut request = handle.address().add(index, net.addr(), net.prefix_len()).replace();
            // No other machine has the first address of the node's own range, and pods need it immediately.
            if matches!(net.addr(), IpAddr::V6(_)) {
                request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
                request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            }
            request.execute().await.map_err(failed(&what))
        }
        BridgeChange::Attach(port) => {
            let what = format!("attach {port} to bridge {BRIDGE}");
            let bridge = index_of(handle, BRIDGE).await?.ok_or_else(|| gone(&what))?;
            // Its pod may have been removed meanwhile.
            let Some(port) = index_of(handle, port).await? else { return Ok(()) };
            let attach = LinkUnspec::new_with_index(port).controller(bridge).build();
            handle.link().change(attach).execute().await.map_err(failed(&what))?;
            let hairpin = LinkBridgePort::new(port).hairpin(true).build();
            handle.link().change(hairpin).execute().await.map_err(failed(&what))
        }
    }
}

async fn index_of(handle: &Handle, name: &str) -> Result<Option<u32>, PodNetworkError> {
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await.map_err(failed("list links"))?;
    Ok(links.iter().find(|link| link_name(link) == Some(name)).map(|link| link.header.index))
}

fn gone(what: &str) -> PodNetworkError {
    let source = io::Error::new(io::ErrorKind::NotFound, "the bridge was removed again");
    PodNetworkError::Netlink { what: what.to_owned(), source: Box::new(source) }
}
