//! Routes and links through rtnetlink.

use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::address::{AddressAttribute, AddressScope};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder, new_multicast_connection};

use crate::core::network::conflist::BRIDGE;
use crate::core::network::routes::PROTOCOL;
use crate::core::network::{Route, RouteChange};
use crate::ports::bootstrap::{NetworkChange, PodNetworkError};

/// The kernel's main routing table, and notifications of changes.
pub(super) struct Routes {
    pub(super) handle: Handle,
}

impl Routes {
    /// Opens the connection; `changed` is called when a route of the main table was added or removed, or the bridge or
    /// an address of the node changed.
    pub(super) fn connect(changed: impl Fn(NetworkChange) + Send + 'static) -> std::io::Result<Self> {
        let groups = [
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let (connection, handle, mut messages) = new_multicast_connection(&groups)?;
        // Both exit with the process: they own nothing but the socket.
        tokio::spawn(connection);
        tokio::spawn(async move {
            while let Some((message, _)) = futures::StreamExt::next(&mut messages).await {
                if let Some(change) = derive_change(&message.payload) {
                    changed(change);
                }
            }
        });
        Ok(Self { handle })
    }

    pub(super) async fn observe(&self) -> Result<Vec<Route>, PodNetworkError> {
        let mut routes = Vec::new();
        for request in [
            RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
            RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
        ] {
            let mut request = request;
            request.header.table = RouteHeader::RT_TABLE_UNSPEC;
            let found: Vec<RouteMessage> =
                self.handle.route().get(request).execute().try_collect().await.map_err(failed("list routes"))?;
            routes.extend(found.iter().filter_map(parse_route));
        }
        routes.sort();
        Ok(routes)
    }

    pub(super) async fn apply(&self, change: &RouteChange) -> Result<(), PodNetworkError> {
        match change {
            RouteChange::Set(route) => {
                let what = format!("set route {} via {}", route.destination, route.gateway);
                let message = render_message(route).map_err(|error| invalid(&what, error))?;
                self.handle.route().add(message).replace().execute().await.map_err(failed(&what))
            }
            RouteChange::Remove(route) => {
                let what = format!("remove route {} via {}", route.destination, route.gateway);
                let message = render_message(route).map_err(|error| invalid(&what, error))?;
                match self.handle.route().del(message).execute().await {
                    Err(error) if !is_gone(&error) => Err(failed(&what)(error)),
                    _ => Ok(()),
                }
            }
        }
    }

    /// True if a link of this name exists.
    pub(super) async fn has_link(&self, name: &str) -> Result<bool, PodNetworkError> {
        Ok(self.link_index(name).await?.is_some())
    }

    /// Removes a link; "not found" is success.
    pub(super) async fn remove_link(&self, name: &str) -> Result<(), PodNetworkError> {
        let Some(index) = self.link_index(name).await? else { return Ok(()) };
        self.handle.link().del(index).execute().await.map_err(failed(&format!("remove link {name}")))
    }

    async fn link_index(&self, name: &str) -> Result<Option<u32>, PodNetworkError> {
        let links: Vec<_> = self.handle.link().get().execute().try_collect().await.map_err(failed("list links"))?;
        Ok(links.iter().find(|link| link_name(link) == Some(name)).map(|link| link.header.index))
    }

    pub(super) async fn observe_mtu(&self, address: IpAddr) -> Result<Option<u32>, PodNetworkError> {
        let mut addresses = self.handle.address().get().execute();
        let mut index = None;
        while let Some(message) = addresses.try_next().await.map_err(failed("list addresses"))? {
            let is_it = |attribute: &AddressAttribute| matches!(attribute, AddressAttribute::Local(ip) | AddressAttribute::Address(ip) if *ip == address);
            if message.attributes.iter().any(is_it) {
                index = Some(message.header.index);
            }
        }
        let Some(index) = index else { return Ok(None) };
        let mut links = self.handle.link().get().match_index(index).execute();
        let link = links.try_next().await.map_err(failed("read link"))?;
        Ok(link.and_then(|link| {
            link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Mtu(mtu) => Some(*mtu),
                _ => None,
            })
        }))
    }
}

/// The subject of a notification, if the pod network depends on it. Links and addresses of pods change all the time: of
/// links only the bridge matters, and of addresses only removals.
fn derive_change(payload: &NetlinkPayload<RouteNetlinkMessage>) -> Option<NetworkChange> {
    use RouteNetlinkMessage as Told;
    match payload {
        NetlinkPayload::InnerMessage(Told::NewRoute(route) | Told::DelRoute(route)) => {
            (route.header.table == RouteHeader::RT_TABLE_MAIN && !is_link_local(route)).then_some(NetworkChange::Routes)
        }
        NetlinkPayload::InnerMessage(Told::NewLink(link) | Told::DelLink(link)) => {
            (link_name(link) == Some(BRIDGE)).then_some(NetworkChange::Base)
        }
        NetlinkPayload::InnerMessage(Told::DelAddress(address)) => {
            (address.header.scope != AddressScope::Link).then_some(NetworkChange::Base)
        }
        // Notifications were lost: any of them may have been about ours.
        NetlinkPayload::Overrun(_) => Some(NetworkChange::Base),
        _ => None,
    }
}

/// The kernel adds routes for `fe80::/64` and `ff00::/8` for each link of a pod.
fn is_link_local(route: &RouteMessage) -> bool {
    route.attributes.iter().any(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet6(ip)) => ip.is_unicast_link_local() || ip.is_multicast(),
        _ => false,
    })
}

/// The name of a link.
pub(super) fn link_name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

pub(super) fn failed(what: &str) -> impl Fn(rtnetlink::Error) -> PodNetworkError {
    move |source| PodNetworkError::Netlink { what: what.to_owned(), source: Box::new(source) }
}

fn invalid(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> PodNetworkError {
    PodNetworkError::Netlink { what: what.to_owned(), source: Box::new(source) }
}

/// `ESRCH` and `ENOENT`: another process was faster.
fn is_gone(error: &rtnetlink::Error) -> bool {
    let rtnetlink::Error::NetlinkError(message) = error else { return false };
    matches!(message.to_io().raw_os_error(), Some(2 | 3))
}

fn render_message(route: &Route) -> Result<RouteMessage, impl std::error::Error + Send + Sync + 'static> {
    let destination = (route.destination.network(), route.destination.prefix_len());
    RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(destination.0, destination.1)
        .and_then(|builder| builder.gateway(route.gateway))
        .map(|builder| builder.protocol(RouteProtocol::Other(PROTOCOL)).build())
}

fn parse_route(message: &RouteMessage) -> Option<Route> {
    if message.header.protocol != RouteProtocol::Other(PROTOCOL) || message.header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let mut destination = None;
    let mut gateway = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = parse_address(address),
            RouteAttribute::Gateway(address) => gateway = parse_address(address),
            _ => {}
        }
    }
    let unspecified = || match message.header.address_family {
        AddressFamily::Inet6 => IpAddr::from([0u16; 8]),
        _ => IpAddr::from([0u8; 4]),
    };
    let network = destination.unwrap_or_else(unspecified);
    let destination = IpNet::new(network, message.header.destination_prefix_length).ok()?;
    Some(Route { destination, gateway: gateway? })
}

fn parse_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}
