//! The operations port's listening socket, and what to say when an address cannot be had. Port 0 takes a free port; the
//! address that was really bound is in the socket. The public port's sockets are the edge's.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", self.advice())]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// The option that takes another one.
    pub option: &'static str,
    /// What the system said.
    pub error: io::Error,
}

impl BindError {
    fn advice(&self) -> String {
        let option = self.option;
        match self.error.kind() {
            io::ErrorKind::AddrInUse => format!("in use; stop the other process or use {option}"),
            io::ErrorKind::AddrNotAvailable => format!("not an address of this machine; name another with {option}"),
            io::ErrorKind::PermissionDenied => format!("not permitted; use a port above 1023 with {option}"),
            _ => format!("{}; another address can be named with {option}", self.error),
        }
    }
}

/// One non-blocking socket for this address. `option` is what an error advises.
pub fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, BindError> {
    let bound = TcpListener::bind(address).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    bound.map_err(|error| BindError { address, option, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_says_what_to_do() {
        let held = listen(SocketAddr::from(([127, 0, 0, 1], 0)), "--listen").expect("a free port");
        let address = held.local_addr().expect("it is bound");
        let error = listen(address, "--listen").expect_err("it is in use");
        let expected = format!("cannot listen on {address}: in use; stop the other process or use --listen");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_foreign_address_is_told_apart() {
        let error = listen(SocketAddr::from(([192, 0, 2, 1], 0)), "--ops-listen").expect_err("not ours");
        assert!(error.to_string().contains("not an address of this machine"), "{error}");
    }
}
