//! Parses `/proc/<pid>/net/dev`.

use crate::core::model::usage::InterfaceUsage;

/// Interfaces of the network namespace, without the loopback.
pub fn parse_net_dev(text: &str) -> Vec<InterfaceUsage> {
    text.lines().filter_map(parse_line).filter(|i| i.name != "lo").collect()
}

fn parse_line(line: &str) -> Option<InterfaceUsage> {
    let (name, figures) = line.rsplit_once(':')?;
    let figures: Vec<u64> = figures.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let at = |i: usize| figures.get(i).copied();
    Some(InterfaceUsage {
        name: name.trim().to_owned(),
        rx_bytes: at(0)?,
        rx_packets: at(1)?,
        rx_errors: at(2)?,
        rx_dropped: at(3)?,
        tx_bytes: at(8)?,
        tx_packets: at(9)?,
        tx_errors: at(10)?,
        tx_dropped: at(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_without_the_loopback() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
            lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  \
            eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n";
        let interfaces = parse_net_dev(text);
        assert_eq!(interfaces.len(), 1);
        let eth0 = &interfaces[0];
        assert_eq!(
            (eth0.name.as_str(), eth0.rx_bytes, eth0.rx_packets, eth0.rx_errors, eth0.rx_dropped),
            ("eth0", 1000, 10, 1, 2)
        );
        assert_eq!((eth0.tx_bytes, eth0.tx_packets, eth0.tx_errors, eth0.tx_dropped), (2000, 20, 3, 4));
        assert!(parse_net_dev("eth0: 1 2 3\neth1: x\n\0").is_empty());
    }
}
