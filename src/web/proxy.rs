//! Who connects, and what a proxy that authenticates says of who asks.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};

/// How long the name of a user may be, in bytes.
const USER_MAX: usize = 200;

/// A proxy that says who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The header in which it says so.
    pub header: HeaderName,
    /// From where it connects: what others write there is not believed.
    pub from: Vec<Network>,
}

impl Proxy {
    /// Takes the name of a header.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn header(text: &str) -> Result<HeaderName, &'static str> {
        HeaderName::try_from(text).map_err(|_| "this is no name of a header")
    }

    /// Who asks, as the proxy says it; nothing where something else connects, or it says nothing, or two things.
    pub(super) fn user(&self, headers: &HeaderMap, peer: Peer) -> Option<String> {
        let is_ours = self.from.iter().any(|network| network.has(peer.address));
        let mut said = headers.get_all(&self.header).iter();
        let (Some(user), None) = (said.next().filter(|_| is_ours), said.next()) else {
            return None;
        };
        let user = user.to_str().ok()?.trim();
        let is_plain =
            !user.is_empty() && user.len() <= USER_MAX && !user.contains(char::is_control);
        is_plain.then(|| user.to_owned())
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// Whether the connection is encrypted up to here.
    pub(super) is_encrypted: bool,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Takes an address, or a range like `10.0.0.0/8` (RFC 4632).
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "an address like 10.0.0.7, or a range like 10.0.0.0/8";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| RULE)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| RULE)?;
        if bits > most { Err(RULE) } else { Ok(Self { address, bits }) }
    }

    /// Says whether an address lies in it.
    pub fn has(self, address: IpAddr) -> bool {
        let bytes = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let (ours, theirs) = (bytes(self.address), bytes(address));
        let bit = |bytes: &[u8], place: u32| {
            let byte = usize::try_from(place / 8).ok().and_then(|place| bytes.get(place));
            byte.map(|byte| byte >> (7 - place % 8) & 1)
        };
        ours.len() == theirs.len() && (0..self.bits).all(|at| bit(&ours, at) == bit(&theirs, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_addresses_that_begin_as_it_does() {
        let has = |range: &str, address: &str| {
            Network::parse(range).unwrap().has(address.parse().unwrap())
        };
        assert!(has("10.0.0.0/8", "10.255.3.4"));
        assert!(!has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("192.168.1.7", "192.168.1.7") && !has("192.168.1.7", "192.168.1.6"));
        assert!(
            has("10.0.0.0/8", "::ffff:10.1.2.3"),
            "an address of version 4 in one of version 6"
        );
        assert!(has("fd00::/8", "fd12::1") && !has("fd00::/8", "10.0.0.1"));
        assert!(has("0.0.0.0/0", "1.2.3.4"));
        for bad in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/x", "a.b.c.d"] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }
}
