//! Listening sockets: one per worker, all on one address; the kernel shares new connections out among them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel cuts it to its own limit (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// Listening sockets on one address.
#[derive(Debug)]
pub struct Listeners {
    /// The real address, if port 0 was asked for.
    pub address: SocketAddr,
    /// One for each worker.
    pub sockets: Vec<TcpListener>,
}

/// Binds an address for so many workers. A port that another process listens on is an error, though that process may
/// have allowed sharing it.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Listeners> {
    // The first is bound as if alone, so that the kernel refuses a port in use; then the others may join.
    let first = socket(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut bound = vec![first];
    for _ in 1..workers.max(1) {
        let next = socket(address)?;
        next.set_reuse_port(true)?;
        next.bind(&address.into())?;
        bound.push(next);
    }
    // Only now, so that no connection waits at a socket before all of them are there.
    for socket in &bound {
        socket.listen(BACKLOG)?;
    }
    Ok(Listeners { address, sockets: bound.into_iter().map(TcpListener::from).collect() })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a process that ended lately do not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_port_and_strangers_do_not() {
        let listeners = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 3).expect("a free port");
        assert_eq!(listeners.sockets.len(), 3);
        for socket in &listeners.sockets {
            assert_eq!(socket.local_addr().expect("bound"), listeners.address);
        }
        assert_ne!(listeners.address.port(), 0);
        let again = bind(listeners.address, 1).expect_err("the port is in use");
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    }
}
