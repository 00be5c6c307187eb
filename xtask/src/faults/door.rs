//! Where clients come in: it carries bytes to a broker, and new connections to another one once that has taken over. Whoever is
//! connected stays with the broker that they have, as behind any balancer, unless they are cut off.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// See the module. Its threads end with the process.
pub(super) struct Door {
    address: SocketAddr,
    behind: Arc<Mutex<SocketAddr>>,
    /// Those who have come, in that order.
    clients: Arc<Mutex<Vec<TcpStream>>>,
}

impl Door {
    pub(super) fn open(behind: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let behind = Arc::new(Mutex::new(behind));
        let clients = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (to, came) = (Arc::clone(&behind), Arc::clone(&clients));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let to = *to.lock().unwrap_or_else(PoisonError::into_inner);
                // Nobody is there: the client is cut off, and comes again.
                if let Ok(broker) = TcpStream::connect(to)
                    && let Ok(own) = client.try_clone()
                    && carry(client, broker).is_ok()
                {
                    came.lock().unwrap_or_else(PoisonError::into_inner).push(own);
                }
            }
        });
        Ok(Self { address, behind, clients })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts off every other one of those who have come: of each pair one, for they come side by side.
    pub(super) fn cut_half(&self) {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        for client in clients.iter().skip(1).step_by(2) {
            // Whoever is gone already is cut off.
            let _ = client.shutdown(Shutdown::Both);
        }
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
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
