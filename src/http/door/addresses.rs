//! What is kept for each address, in a table that never grows.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// How many cells there are.
const CELLS: usize = 1 << 16;

/// A place in the table.
pub(super) type Cell = u16;

/// Which cell an address has. Those who share one share what is in it; who does, nobody can know or bring about, as the
/// hash has a secret.
#[derive(Debug, Default)]
pub(super) struct Addresses(RandomState);

impl Addresses {
    pub(super) fn cell(&self, ip: IpAddr) -> Cell {
        let network = match ip {
            IpAddr::V4(ip) => (false, u64::from(ip.to_bits())),
            // Whoever has one IPv6 address has 2^64 of them (RFC 6177).
            IpAddr::V6(ip) => (true, (ip.to_bits() >> 64) as u64),
        };
        self.0.hash_one(network) as Cell
    }
}

/// One of something for each cell.
#[derive(Debug)]
pub(super) struct Cells<T>(Box<[T]>);

impl<T> Cells<T> {
    pub(super) fn get(&self, cell: Cell) -> Option<&T> {
        self.0.get(usize::from(cell))
    }
}

impl<T: Default> Default for Cells<T> {
    fn default() -> Self {
        Self((0..CELLS).map(|_| T::default()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_and_each_address_of_ipv4() {
        let addresses = Addresses::default();
        let cell = |ip: &str| addresses.cell(ip.parse().unwrap());
        assert_eq!(cell("2001:db8::1"), cell("2001:db8::ffff:1"));
        let others: std::collections::HashSet<_> =
            (0..64).map(|last| cell(&format!("192.0.2.{last}"))).collect();
        assert!(others.len() > 60, "{others:?}");
        let networks: std::collections::HashSet<_> =
            (0..64).map(|net| cell(&format!("2001:db8:0:{net}::1"))).collect();
        assert!(networks.len() > 60, "{networks:?}");
    }
}
