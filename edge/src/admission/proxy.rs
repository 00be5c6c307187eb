//! Where a client really is, behind proxies that the operator trusts: `X-Forwarded-For` and the PROXY protocol.
//!
//! Whoever is not trusted is believed nothing: everybody can write these headers.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ppp::{PartialResult, v1, v2};

/// Proxies between a client and us that are looked through; the longest real chains have three or four.
const HOPS_MAX: usize = 16;

/// Bytes of a PROXY header. The binary form has a few hundred with the usual additions of load balancers; it announces
/// its length, so that more is refused before it arrives.
pub const PROXY_HEADER_BYTES_MAX: usize = 1_024;

/// Bytes of the text form, as its specification counts them.
const V1_BYTES_MAX: usize = 107;

/// Bytes before the binary form's announced length is known, that length included.
const V2_FIXED_BYTES: usize = 16;

/// An entry of the list of trusted proxies is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network such as 10.0.0.0/8")]
pub struct ProxyError(pub String);

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

/// What to do with a new connection on a listener that is configured for the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyExpectation {
    /// A header comes first; see [`read_proxy_header`].
    Header,
    /// The peer is no trusted proxy: on such a listener it has no business.
    Refuse,
}

impl TrustedProxies {
    /// Reads addresses and networks; reports all entries that are neither.
    pub fn new<T: AsRef<str>>(entries: &[T]) -> Result<Self, Vec<ProxyError>> {
        let mut networks = Vec::with_capacity(entries.len());
        let mut errors = Vec::new();
        for text in entries {
            let text = text.as_ref();
            match text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => networks.push(network),
                Err(_) => errors.push(ProxyError(text.to_owned())),
            }
        }
        if errors.is_empty() { Ok(Self { networks }) } else { Err(errors) }
    }

    /// Whether this peer's word is believed. An IPv4 address in IPv6 clothes is the IPv4 address.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: from the right, the first that is not one of ours. `headers` are the values of all
    /// `X-Forwarded-For` headers in their order.
    ///
    /// An entry that cannot be read ends the search: what stands left of it was vouched for by nobody.
    pub fn client_address<'a, I>(&self, peer: IpAddr, headers: I) -> IpAddr
    where
        I: IntoIterator<Item = &'a [u8], IntoIter: DoubleEndedIterator>,
    {
        let mut client = peer.to_canonical();
        let entries = headers.into_iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        for entry in entries.take(HOPS_MAX) {
            if !self.trusts(client) {
                break;
            }
            match forwarded_address(entry) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }

    /// What to expect of a new peer on a listener for the PROXY protocol.
    pub fn expect_header(&self, peer: IpAddr) -> ProxyExpectation {
        if self.trusts(peer) { ProxyExpectation::Header } else { ProxyExpectation::Refuse }
    }
}

/// An entry of `X-Forwarded-For`: an address, some proxies add the port.
fn forwarded_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_ascii();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(address.to_canonical())
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header; come again with these bytes and more.
    Partial,
    /// A whole header.
    Complete {
        /// The client, or `None` when the proxy speaks for itself (its health check) or cannot tell.
        client: Option<SocketAddr>,
        /// Bytes of the header; what follows is the client's.
        bytes: usize,
    },
    /// Not a header, or one that is too long. The connection must be closed.
    Invalid,
}

/// Reads a PROXY header, version 1 or 2, from all bytes received so far.
pub fn read_proxy_header(received: &[u8]) -> ProxyHeader {
    let text = v1::PROTOCOL_PREFIX.as_bytes();
    if received.first() == text.first() {
        return read_v1(received);
    }
    if announces_too_much(received) {
        return ProxyHeader::Invalid;
    }
    match v2::Header::try_from(received) {
        Ok(header) => ProxyHeader::Complete { client: v2_client(&header), bytes: header.as_bytes().len() },
        Err(error) if error.is_incomplete() => ProxyHeader::Partial,
        Err(_) => ProxyHeader::Invalid,
    }
}

/// The text form is one line, and is looked at when it is there.
fn read_v1(received: &[u8]) -> ProxyHeader {
    let line = received.get(..V1_BYTES_MAX).unwrap_or(received);
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        let prefix = v1::PROTOCOL_PREFIX.as_bytes();
        let begins_well = line.iter().zip(prefix).all(|(byte, expected)| byte == expected);
        return if begins_well && line.len() < V1_BYTES_MAX { ProxyHeader::Partial } else { ProxyHeader::Invalid };
    };
    let bytes = end + 2;
    match line.get(..bytes).map(v1::Header::try_from) {
        Some(Ok(header)) => ProxyHeader::Complete { client: v1_client(&header.addresses), bytes },
        _ => ProxyHeader::Invalid,
    }
}

/// Whether this begins a binary header that will be longer than is accepted.
fn announces_too_much(received: &[u8]) -> bool {
    let Some(fixed) = received.get(..V2_FIXED_BYTES) else { return false };
    let Some(&[high, low]) = fixed.last_chunk() else { return false };
    fixed.starts_with(v2::PROTOCOL_PREFIX)
        && V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low])) > PROXY_HEADER_BYTES_MAX
}

fn v2_client(header: &v2::Header<'_>) -> Option<SocketAddr> {
    let (v2::Command::Proxy, v2::Protocol::Stream) = (header.command, header.protocol) else { return None };
    match header.addresses {
        v2::Addresses::IPv4(from) => Some(SocketAddr::from((from.source_address, from.source_port))),
        v2::Addresses::IPv6(from) => canonical(from.source_address, from.source_port),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}

fn v1_client(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(from) => Some(SocketAddr::from((from.source_address, from.source_port))),
        v1::Addresses::Tcp6(from) => canonical(from.source_address, from.source_port),
        v1::Addresses::Unknown => None,
    }
}

fn canonical(address: std::net::Ipv6Addr, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::new(IpAddr::V6(address).to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn trusted() -> TrustedProxies {
        TrustedProxies::new(&["10.0.0.0/8", "192.0.2.7", "fd00::/8"]).expect("good entries")
    }

    fn client(peer: &str, headers: &[&str]) -> IpAddr {
        trusted().client_address(ip(peer), headers.iter().map(|header| header.as_bytes()))
    }

    #[test]
    fn only_trusted_hops_are_believed() {
        assert_eq!(client("203.0.113.9", &["1.2.3.4"]), ip("203.0.113.9"), "a stranger is believed nothing");
        assert_eq!(client("10.0.0.1", &["1.2.3.4"]), ip("1.2.3.4"));
        assert_eq!(client("::ffff:10.0.0.1", &["1.2.3.4"]), ip("1.2.3.4"));
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4"]), ip("1.2.3.4"), "what the client wrote does not count");
        assert_eq!(client("10.0.0.1", &["10.9.9.9, 1.2.3.4, 192.0.2.7"]), ip("1.2.3.4"));
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4", "192.0.2.7,10.0.0.3"]), ip("1.2.3.4"), "two headers");
        assert_eq!(client("10.0.0.1", &["10.0.0.9"]), ip("10.0.0.9"), "all of them ours: the furthest");
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"));
        assert_eq!(client("fd00::1", &["2001:db8::5"]), ip("2001:db8::5"));
    }

    #[test]
    fn ports_and_odd_entries() {
        assert_eq!(client("10.0.0.1", &["1.2.3.4:5678"]), ip("1.2.3.4"));
        assert_eq!(client("10.0.0.1", &["[2001:db8::5]:443"]), ip("2001:db8::5"));
        assert_eq!(client("10.0.0.1", &["[2001:db8::5]"]), ip("2001:db8::5"));
        assert_eq!(client("10.0.0.1", &["::ffff:1.2.3.4"]), ip("1.2.3.4"));
        for odd in ["unknown", "", "1.2.3.4, ", "1.2.3.4, evil", "1.2.3.4, 999.1.1.1", "1.2.3.4,\u{1}"] {
            assert_eq!(client("10.0.0.1", &[odd]), ip("10.0.0.1"), "{odd:?}");
        }
        let many = vec!["10.0.0.2"; 100_000].join(",");
        assert_eq!(client("10.0.0.1", &[&format!("1.2.3.4,{many}")]), ip("10.0.0.2"), "the search has an end");
    }

    #[test]
    fn unusable_entries_are_reported() {
        let errors = TrustedProxies::new(&["10.0.0.0/8", "10.0.0.0/40", "proxy.example"]).expect_err("two are wrong");
        assert_eq!(errors, [ProxyError("10.0.0.0/40".into()), ProxyError("proxy.example".into())]);
    }

    #[test]
    fn a_listener_for_proxies_refuses_others() {
        assert_eq!(trusted().expect_header(ip("10.1.1.1")), ProxyExpectation::Header);
        assert_eq!(trusted().expect_header(ip("203.0.113.9")), ProxyExpectation::Refuse);
    }

    /// A binary header as the specification's table has it.
    fn v2_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([0x20 | command, family]);
        header.extend((rest.len() as u16).to_be_bytes());
        header.extend(rest);
        header
    }

    fn headers() -> Vec<(Vec<u8>, Option<SocketAddr>)> {
        let v4 = [1, 2, 3, 4, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];
        let with_tlv = [&v4[..], &[0x04, 0, 2, 0xaa, 0xbb]].concat();
        let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5][..], &[0; 16], &[0, 9, 0, 80]].concat();
        let from = Some("1.2.3.4:8080".parse().expect("an address"));
        vec![
            (v2_header(1, 0x11, &v4), from),
            (v2_header(1, 0x11, &with_tlv), from),
            (v2_header(1, 0x21, &v6), Some("[2001:db8::5]:9".parse().expect("an address"))),
            (v2_header(0, 0x11, &v4), None),
            (v2_header(0, 0, &[]), None),
            (v2_header(1, 0x31, &[0; 216]), None),
            (b"PROXY TCP4 1.2.3.4 10.0.0.1 8080 80\r\n".to_vec(), from),
            (b"PROXY TCP6 2001:db8::5 ::1 9 80\r\n".to_vec(), Some("[2001:db8::5]:9".parse().expect("an address"))),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
        ]
    }

    #[test]
    fn a_header_may_arrive_in_any_pieces() {
        for (header, client) in headers() {
            let whole = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            for cut in 0..=whole.len() {
                let expected = if cut < header.len() {
                    ProxyHeader::Partial
                } else {
                    ProxyHeader::Complete { client, bytes: header.len() }
                };
                assert_eq!(read_proxy_header(&whole[..cut]), expected, "{cut} of {header:02x?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_invalid_at_once() {
        for bad in [
            &b"GET /v1/ws HTTP/1.1\r\n"[..],
            b"PROXY TCP4 1.2.3.4\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 99999 80\r\n",
            b"PROXY TCP4 2001:db8::5 ::1 9 80\r\n",
            b"PROXY\r\n",
            b"\x16\x03\x01",
            b"\r\n\r\n\0\r\nQUIX",
        ] {
            assert_eq!(read_proxy_header(bad), ProxyHeader::Invalid, "{bad:?}");
        }
        let long_line = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        assert_eq!(read_proxy_header(&long_line), ProxyHeader::Invalid);
        // It announces 60,000 bytes: refused before any of them is waited for.
        let mut long = v2_header(1, 0x11, &[0; 12]);
        long[14..16].copy_from_slice(&60_000_u16.to_be_bytes());
        assert_eq!(read_proxy_header(&long[..16]), ProxyHeader::Invalid);
        assert_eq!(read_proxy_header(&v2_header(1, 0x11, &[1, 2, 3])), ProxyHeader::Invalid);
    }

    proptest! {
        /// No input panics, and nothing is waited for beyond the limit.
        #[test]
        fn any_bytes_are_judged(which in 0..10_usize, at in 0..64_usize, byte: u8, tail in 0..2_000_usize) {
            let (mut bytes, _) = headers().swap_remove(which);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.resize(bytes.len() + tail, byte);
            let verdict = read_proxy_header(&bytes);
            prop_assert!(verdict != ProxyHeader::Partial || bytes.len() < PROXY_HEADER_BYTES_MAX);
            if let ProxyHeader::Complete { bytes: header, .. } = verdict {
                prop_assert!(header <= bytes.len().min(PROXY_HEADER_BYTES_MAX));
            }
        }
    }
}
