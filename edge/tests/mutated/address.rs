//! Judges of what a stranger says about where it comes from: PROXY headers, `X-Forwarded-For`, `Origin`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use switchyard_edge::admission::origin::{OriginPolicy, OriginVerdict};
use switchyard_edge::admission::proxy::{PROXY_HEADER_BYTES_MAX, ProxyHeader, TrustedProxies, read_proxy_header};

/// The binary form's first bytes.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The proxy that everything comes from.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

static PROXIES: LazyLock<TrustedProxies> =
    LazyLock::new(|| TrustedProxies::new(&["10.0.0.0/8", "fd00::/8"]).expect("good entries"));

static PAGES: LazyLock<OriginPolicy> = LazyLock::new(|| {
    OriginPolicy::new(&["https://app.example.com", "https://*.example.org", "http://dev:8080"]).expect("good entries")
});

/// What means something in these headers.
pub(crate) const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b" ",
    b",",
    b":",
    b"]",
    b"10.0.0.2",
    b"::ffff:1.2.3.4",
    b":443",
    b":0443",
    b"@",
    b"/",
    b".",
    b"*.",
    b"65536",
    b"PROXY ",
    b"UNKNOWN",
    b"\xff\xff",
    b"\0",
    b"\xd0\xb0",
];

/// PROXY headers of every kind with the client's first bytes behind them.
pub(crate) fn proxy_headers() -> Vec<Vec<u8>> {
    let binary = |command: u8, family: u8, rest: &[u8]| {
        let len = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [BINARY, &[0x20 | command, family], &len, rest, b"GET / HTTP/1.1\r\n"].concat()
    };
    let v4 = [1, 2, 3, 4, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];
    let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5][..], &[0; 16], &[0, 9, 0, 80]].concat();
    let mut headers = vec![
        binary(1, 0x11, &v4),
        binary(1, 0x11, &[&v4[..], &[0x04, 0, 2, 0xaa, 0xbb, 0x20, 0, 0]].concat()),
        binary(1, 0x21, &v6),
        binary(0, 0, &[]),
        binary(1, 0x31, &[b'/'; 216]),
    ];
    for text in [
        "PROXY TCP4 1.2.3.4 10.0.0.1 8080 80\r\nGET /",
        "PROXY TCP6 2001:db8::5 ::1 9 80\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    ] {
        headers.push(text.as_bytes().to_vec());
    }
    headers
}

/// A PROXY header and what follows it. Every beginning of a whole header is a part of one, what follows it does not
/// matter, and nothing is waited for beyond the limit.
pub(crate) fn proxy_header(input: &[u8]) -> bool {
    let verdict = read_proxy_header(input);
    match verdict {
        ProxyHeader::Partial => assert!(input.len() < PROXY_HEADER_BYTES_MAX),
        ProxyHeader::Complete { bytes, .. } => {
            assert!(bytes > 0 && bytes <= input.len().min(PROXY_HEADER_BYTES_MAX));
            assert_eq!(read_proxy_header(&input[..bytes]), verdict);
            let cut = input.iter().fold(7, |sum: usize, byte| sum.wrapping_mul(31) + usize::from(*byte)) % bytes;
            assert_eq!(read_proxy_header(&input[..cut]), ProxyHeader::Partial, "cut at {cut}");
        }
        ProxyHeader::Invalid => {}
    }
    matches!(verdict, ProxyHeader::Complete { .. })
}

/// Values of `X-Forwarded-For`.
pub(crate) fn forwarded() -> Vec<Vec<u8>> {
    [
        "1.2.3.4",
        "6.6.6.6, 10.2.3.4,10.0.0.7",
        "[2001:db8::5]:443",
        "2001:db8::5, fd00::1",
        "::ffff:1.2.3.4, 10.0.0.9:80",
    ]
    .map(|value| value.as_bytes().to_vec())
    .to_vec()
}

/// A value of `X-Forwarded-For` from a trusted proxy: the client is the proxy itself or stands in the list, and left of
/// it nothing has a say.
pub(crate) fn forwarded_for(input: &[u8]) -> bool {
    let client = PROXIES.client_address(PEER, [input]);
    if client == PEER {
        return false;
    }
    let entries: Vec<&[u8]> = input.split(|byte| *byte == b',').collect();
    let at = entries.iter().rposition(|entry| address(entry) == Some(client)).expect("it stands in the list");
    let behind = entries[at..].join(&b',');
    assert_eq!(PROXIES.client_address(PEER, [&*behind]), client);
    assert_eq!(
        PROXIES.client_address(PEER, [b"6.6.6.6", &*behind]),
        PROXIES.client_address(PEER, [&*[b"6.6.6.6,", &*behind,].concat()])
    );
    true
}

/// An entry with or without port, read in the plainest way.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_ascii();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let found = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(found.to_canonical())
}

/// Origins that are on the list or nearly so.
pub(crate) fn origins() -> Vec<Vec<u8>> {
    [
        "https://app.example.com",
        "https://a.example.org:443",
        "https://a.b.example.org",
        "http://dev:8080",
        "HTTPS://APP.example.com",
    ]
    .map(|origin| origin.as_bytes().to_vec())
    .to_vec()
}

/// An `Origin`: what is allowed is on the list by a plainer reading too.
pub(crate) fn origin(input: &[u8]) -> bool {
    if PAGES.check([input]) != OriginVerdict::Allowed {
        return false;
    }
    let text = std::str::from_utf8(input).expect("an allowed origin is text").to_ascii_lowercase();
    let plain = text.strip_suffix(":443").unwrap_or(&text);
    let below = plain.strip_prefix("https://").and_then(|host| host.strip_suffix(".example.org"));
    let name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    assert!(plain == "https://app.example.com" || text == "http://dev:8080" || below.is_some_and(name), "{text}");
    true
}
