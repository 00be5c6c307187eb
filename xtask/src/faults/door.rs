//! Where clients come in: it carries bytes to a broker, and new connections to another one once that has taken over. Whoever is
//! connected stays with the broker that they have, as behind any balancer.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// See the module. Its threads end with the process.
pub(super) struct Door {
    address: SocketAddr,
    behind: Arc<Mutex<SocketAddr>>,
}

impl Door {
    pub(super) fn open(behind: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let behind = Arc::new(Mutex::new(behind));
        let to = Arc::clone(&behind);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let to = *to.lock().unwrap_or_else(PoisonError::into_inner);
                // Nobody is there: the client is cut off, and comes again.
                if let Ok(broker) = TcpStream::connect(to) {
                    let _ = carry(client, broker);
                }
            }
        });
        Ok(Self { address, behind })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whoever comes from now on goes there.
    pub(super) fn lead_to(&self, behind: SocketAddr) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = behind;
    }
}

/// Both ways, until either end closes.
fn carry(client: TcpStream, broker: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    for (mut from, mut to) in [(client.try_clone()?, broker.try_clone()?), (broker, client)] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
            let _ = from.shutdown(std::net::Shutdown::Both);
        });
    }
    Ok(())
}
