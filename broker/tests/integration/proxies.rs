//! Behind proxies that are named in the configuration: whose budget a connection counts against is what they say, and nobody
//! else is believed.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::plain::{JSON, Plain};
use crate::process::get;
use crate::raw::{Raw, upgrade_head};
use crate::site::Site;

/// The proxy's address, and a stranger's; all of 127.0.0.0/8 is this machine.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 55, 1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 1);

/// Clients of the proxy.
const ANN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const BOB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);

/// Two connections an address.
fn behind_a_proxy(proxy_protocol: bool) -> Site {
    Site::with_env(&[
        ("SWITCHYARD__PROXIES__TRUSTED", "127.0.55.0/24"),
        ("SWITCHYARD__PROXIES__PROXY_PROTOCOL", if proxy_protocol { "true" } else { "false" }),
        ("SWITCHYARD__BUDGETS__ADDRESS__CONNECTIONS", "2"),
    ])
}

/// A connection from this address of this machine.
fn connect(site: &Site, from: Ipv4Addr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("it is this machine's");
    socket.connect(&site.address().into()).expect("it listens");
    socket.into()
}

/// The binary header of a connection from this client.
fn header(client: Ipv4Addr) -> Vec<u8> {
    // Version 2, "proxied"; TCP over IPv4; twelve bytes of addresses and ports.
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    let (source, destination) = (SocketAddrV4::new(client, 5_000), SocketAddrV4::new(PROXY, 7_400));
    header.extend(source.ip().octets());
    header.extend(destination.ip().octets());
    header.extend(source.port().to_be_bytes());
    header.extend(destination.port().to_be_bytes());
    header
}

/// What a metric with this label counts.
fn counted(site: &Site, metric: &str) -> u64 {
    let metrics = get(&site.ops().to_string(), "/metrics").1;
    let value = metrics.lines().find_map(|line| line.strip_prefix(metric));
    value.unwrap_or_else(|| panic!("{metric} is not in {metrics}")).trim().parse().expect("a number")
}

/// What the broker says on a connection that begins so, until it hangs up.
fn answer(mut stream: TcpStream, begin: &[u8]) -> Vec<u8> {
    stream.write_all(begin).expect("the broker is there");
    Raw::on(stream).rest()
}

#[test]
fn a_binary_proxy_header_says_whose_budget_it_is() {
    let mut site = behind_a_proxy(true);
    let session = |client| {
        let mut stream = connect(&site, PROXY);
        stream.write_all(&header(client)).expect("the broker is there");
        let bearer = format!("Bearer {}", site.token("ann"));
        Plain::upgrade_on(stream, &[JSON], &[("Authorization", &bearer)]).expect("an upgrade")
    };
    let request = upgrade_head(&format!("Sec-WebSocket-Protocol: {JSON}\r\n"));
    let first = [session(ANN), session(ANN)];
    assert_eq!(answer(connect(&site, PROXY), &[&header(ANN)[..], request.as_bytes()].concat()), b"", "a third one");
    let _others = [session(BOB), session(BOB)];
    assert_eq!(counted(&site, "edge_budget_refusals_total{limit=\"address_connections\"}"), 1);

    let good = header(ANN);
    let version = [&good[..12], b"\x31", &good[13..]].concat();
    let family = [&good[..13], b"\x51", &good[14..]].concat();
    let short = [&good[..14], b"\0\x04", &good[16..20], request.as_bytes()].concat();
    let long = [&good[..14], b"\xff\xff", &good[16..]].concat();
    let broken =
        [("version", version), ("family", family), ("short", short), ("long", long), ("none", request.clone().into())];
    for (what, bytes) in &broken {
        assert_eq!(answer(connect(&site, PROXY), bytes), b"", "{what}");
    }
    assert_eq!(answer(connect(&site, STRANGER), &[]), b"", "not everybody may send one");
    let refused = counted(&site, "edge_handshakes_refused_total{reason=\"proxy\"}");
    assert_eq!(refused, broken.len() as u64 + 1);
    drop(first);
    site.ask_to_end();
    assert_eq!(site.ended().code(), Some(0));
}

#[test]
fn a_trusted_proxys_word_on_its_client_counts_and_a_strangers_does_not() {
    let site = behind_a_proxy(false);
    let session = |from, client: Ipv4Addr| {
        let headers =
            [("Authorization", format!("Bearer {}", site.token("ann"))), ("X-Forwarded-For", client.to_string())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        Plain::upgrade_on(connect(&site, from), &[JSON], &headers).map_err(|(status, _)| status)
    };
    let _first = [session(PROXY, ANN).expect("the first"), session(PROXY, ANN).expect("the second")];
    assert_eq!(session(PROXY, ANN).err(), Some(429), "the third");
    let _others = [session(PROXY, BOB).expect("another client"), session(PROXY, BOB).expect("and once more")];
    // Whatever a stranger says, it is the stranger who counts.
    let _strange = [session(STRANGER, ANN).expect("its first"), session(STRANGER, ANN).expect("its second")];
    assert_eq!(answer(connect(&site, STRANGER), &[]), b"", "its third");
    assert_eq!(counted(&site, "edge_budget_refusals_total{limit=\"address_connections\"}"), 2);
}
