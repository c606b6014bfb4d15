//! Which kernel notifications concern the pod network (netlink(7)).
//!
//! Only those of nf_tables and of the forwarding settings, which the routing library does not read. Both have a header
//! of four bytes, and their subject as attribute 1: the table's name (`NFTA_TABLE_NAME`, `NFTA_CHAIN_TABLE`,
//! `NFTA_RULE_TABLE`, … in linux/netfilter/nf_tables.h), the link's index (`NETCONFA_IFINDEX` in linux/netconf.h).

/// Size of the netlink message header, and of the families' own header after it.
const HEADERS: usize = 16 + 4;
/// The first attribute of both families.
const SUBJECT: u16 = 1;
/// `NETCONFA_IFINDEX_ALL`: the setting for all links.
const ALL_LINKS: [u8; 4] = (-1_i32).to_ne_bytes();

/// True if a datagram reports a change to the nf_tables table of this name, in any family.
pub fn concerns_table(datagram: &[u8], table: &str) -> bool {
    subjects(datagram).any(|subject| subject.strip_suffix(&[0]) == Some(table.as_bytes()))
}

/// True if a datagram reports a change to a setting for all links, such as `net.ipv4.ip_forward`.
pub fn concerns_all_links(datagram: &[u8]) -> bool {
    subjects(datagram).any(|subject| subject == ALL_LINKS)
}

/// The subject of each message; a truncated message has none.
fn subjects(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*rest.first_chunk()?)).ok()?;
        // Without a header the length of a message is unknown.
        let message = rest.get(..length).filter(|message| message.len() >= 16)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(subject(message))
    })
    .flatten()
}

fn subject(message: &[u8]) -> Option<&[u8]> {
    let mut rest = message.get(HEADERS..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let attribute = rest.get(..length)?;
        let kind = u16::from_ne_bytes(*attribute.get(2..)?.first_chunk()?);
        let value = attribute.get(4..)?;
        if kind == SUBJECT {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(attributes: &[Vec<u8>]) -> Vec<u8> {
        let body = attributes.concat();
        let mut bytes = u32::try_from(HEADERS + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.resize(HEADERS, 0);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_table_is_told_from_others_wherever_it_is_in_the_datagram() {
        let ours = message(&[attribute(3, b"x\0"), attribute(1, b"roost-pod-network\0")]);
        let other = message(&[attribute(1, b"kube-proxy\0")]);
        let generation = message(&[attribute(1, &[0, 0, 0, 7])]);
        let longer = message(&[attribute(1, b"roost-pod-network-2\0")]);
        assert!(concerns_table(&[other.clone(), ours.clone()].concat(), "roost-pod-network"));
        assert!(!concerns_table(&[other, generation, longer].concat(), "roost-pod-network"));
        for cut in 0..ours.len() {
            assert!(!concerns_table(&ours[..cut], "roost-pod-network"), "{cut}");
        }
    }

    #[test]
    fn only_the_switch_of_all_links_counts() {
        let of = |index: i32| message(&[attribute(1, &index.to_ne_bytes()), attribute(2, &[1, 0, 0, 0])]);
        assert!(concerns_all_links(&of(-1)));
        // For new links, which inherit the value: `default` is -2.
        assert!(!concerns_all_links(&[of(-2), of(7)].concat()));
    }

    #[test]
    fn no_bytes_are_too_odd() {
        for length in [0_u32, 1, 15, 16, 17, 20, u32::MAX] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.resize(40, 0xff);
            assert!(!concerns_table(&bytes, "x") && !concerns_all_links(&bytes), "{length}");
        }
        let empty_attribute = message(&[vec![0; 8]]);
        assert!(!concerns_table(&empty_attribute, "x"));
    }
}
