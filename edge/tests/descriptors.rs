//! A process without descriptors, in a process of its own: sessions go on, and newcomers are let in as soon as there is
//! room again.

#[allow(dead_code, reason = "the other tests use more of it")]
#[path = "door/owner.rs"]
mod owner;
#[allow(dead_code, reason = "the other tests use more of it")]
#[path = "door/site.rs"]
mod site;

use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use site::Site;
use switchyard_protocol::frame::Form;
use switchyard_protocol::v1::{self, client_frame::Request, reply::Result as Reply};

/// Few enough to be used up at once, and more than this process has open.
const DESCRIPTORS: u64 = 96;

#[test]
fn old_sessions_are_unharmed_and_new_ones_come_later() {
    let limit = Rlimit { current: Some(DESCRIPTORS), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).expect("a lower limit is allowed");
    let site = Site::new();
    let mut old = site.client("alice", Form::Proto);
    let mut crowd = Vec::new();
    // Both ends are in this process: when no further connection can be made, none can be accepted either.
    while let Ok(socket) = TcpStream::connect(site.address) {
        crowd.push(socket);
    }
    for _ in 0..100 {
        assert!(matches!(old.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
    }
    assert!(TcpStream::connect(site.address).is_err(), "there is still no descriptor");
    drop(crowd);
    let mut new = site.client("bob", Form::Json);
    assert!(matches!(new.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
    assert!(matches!(old.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
}
