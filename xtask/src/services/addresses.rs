//! Which addresses the nodes of a cluster get. Their ports are the same for all nodes, so each needs an address, and two
//! checkouts on one machine need different ones: all of 127.0.0.0/8 is this machine's.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::Context;

/// What clients connect to.
pub(crate) const CQL_PORT: u16 = 9042;

/// What other nodes connect to.
const NODES_PORT: u16 = 7000;

/// The third byte of the addresses: from here on, and how many.
const NETWORKS_FROM: u8 = 64;
const NETWORKS: u8 = 128;

/// As many addresses of one network as there are nodes, with both ports free. Each checkout begins to look somewhere else, and
/// so does its `other` cluster, which may be started at the same moment.
pub(super) fn free(checkout: &Path, nodes: u8, other: bool) -> anyhow::Result<Vec<Ipv4Addr>> {
    let mut hasher = DefaultHasher::new();
    checkout.hash(&mut hasher);
    let begin = (hasher.finish() % u64::from(NETWORKS)) as u8 + if other { NETWORKS / 2 } else { 0 };
    (0..NETWORKS)
        .map(|step| NETWORKS_FROM + ((u16::from(begin) + u16::from(step)) % u16::from(NETWORKS)) as u8)
        .map(|network| (1..=nodes).map(|node| Ipv4Addr::new(127, 0, network, node)).collect::<Vec<_>>())
        .find(|addresses| addresses.iter().all(|address| is_free(*address)))
        .with_context(|| {
            format!(
                "no network 127.0.N.0/24 of this machine has ports {NODES_PORT} and {CQL_PORT} free for {nodes} nodes"
            )
        })
}

fn is_free(address: Ipv4Addr) -> bool {
    [NODES_PORT, CQL_PORT].into_iter().all(|port| TcpListener::bind((address, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_taken_are_passed_over() {
        let checkout = Path::new("somewhere");
        let first = free(checkout, 3, false).expect("128 networks");
        assert_eq!(first.len(), 3);
        assert_ne!(first, free(checkout, 3, true).expect("128 networks"), "two may be started at once");
        let _taken = TcpListener::bind((first[2], CQL_PORT)).expect("it was free");
        let second = free(checkout, 3, false).expect("128 networks");
        assert_ne!(first, second);
        assert_eq!(free(checkout, 2, false).expect("128 networks"), first[..2], "those are free still");
    }
}
