//! Row 25: ten thousand connections that never finish their handshake, dripping bytes or saying nothing. Honest logins
//! succeed meanwhile, and the idle ones are cut off.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::plain::{JSON, Plain};
use crate::raw::upgrade_head;
use crate::site::{Setup, Site};

const CONNECTIONS: usize = 10_000;

/// Addresses that they come from; each stays below what one address may have open.
const SOURCES: u8 = 100;

/// A connection from this address of this machine.
fn connect_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of this machine");
    socket.connect(&to.into()).expect("it listens");
    socket.into()
}

fn open_many(site: &Site) -> Vec<TcpStream> {
    let head = upgrade_head(&format!("Sec-WebSocket-Protocol: {JSON}\r\n"));
    (0..CONNECTIONS)
        .map(|n| {
            let source = Ipv4Addr::new(127, 0, 88, 1 + u8::try_from(n % usize::from(SOURCES)).expect("few"));
            let mut stream = connect_from(source, site.address());
            // One says nothing, one half a head, one a byte at a time, one upgrades and says no hello.
            let said: &[u8] = match n % 4 {
                0 => b"",
                1 => head.as_bytes().get(..head.len() / 2).expect("half"),
                2 => b"G",
                _ => head.as_bytes(),
            };
            stream.write_all(said).expect("it reads");
            stream
        })
        .collect()
}

#[test]
fn n25_ten_thousand_half_open_connections_do_not_keep_honest_users_out() {
    // To name one budget is to have those of production, under which each of the sources stays.
    let mut site =
        Site::start(&Setup { env: &[("SWITCHYARD__BUDGETS__ADDRESS__HALF_OPEN", "150")], ..Setup::default() });
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let memory = site.memory_kib();
    let mut streams = open_many(&site);

    for n in 0..50 {
        // Those that drip go on dripping.
        for stream in streams.iter_mut().skip(2).step_by(400) {
            let _ = stream.write_all(b"E");
        }
        let mut bob = Plain::open(&site, "bob");
        bob.done("subscribe", &json!({"conversations": [conversation]}));
        alice.send(&conversation, &format!("a{n}"), "do you hear me?");
        assert_eq!(bob.event("message")["seq"], n + 1);
    }
    // Every one of them is cut off: what it reads comes to an end.
    for (n, stream) in streams.iter_mut().enumerate() {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "connection {n} was not cut off");
        }
    }
    drop(streams);
    site.unharmed(memory);
}
