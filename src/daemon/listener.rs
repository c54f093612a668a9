//! Sockets that accept.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::Interest;
use mio::Registry;
use mio::Token;
use socket2::Domain;
use socket2::Protocol;
use socket2::Type;

use crate::daemon::Error;
use crate::daemon::conf::{Endpoint, Place};
use crate::daemon::layers::Layers;
use crate::daemon::socket::{From, Socket};

/// Connections the system queues while the worker is in a turn; it cuts this to its own maximum.
const BACKLOG: i32 = 4_096;

pub(crate) struct Listener {
    socket: Accepts,
    pub(crate) endpoint: Arc<Endpoint>,
    /// The port is known only now when the system chose it.
    pub(crate) place: Place,
}

enum Accepts {
    Tcp(mio::net::TcpListener),
    #[cfg(unix)]
    Unix(mio::net::UnixListener),
}

/// A connection that was just accepted.
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    pub(crate) from: From,
    pub(crate) layers: Option<Box<Layers>>,
}

/// Listens on everything that is asked for.
pub(crate) fn bind_all(endpoints: &[Endpoint]) -> Result<Vec<Listener>, Error> {
    let mut listeners: Vec<Listener> = Vec::new();
    for endpoint in endpoints {
        let mut place = endpoint.place.clone();
        if let Place::Tcp(address) = &mut place
            && address.port() == 0
            && endpoint.same_port
            && let Some(Place::Tcp(before)) = listeners.last().map(|listener| &listener.place)
        {
            address.set_port(before.port());
        }
        match bind(&place) {
            Ok((socket, place)) => {
                let endpoint = Arc::new(endpoint.clone());
                listeners.push(Listener {
                    socket,
                    endpoint,
                    place,
                });
            }
            // A machine without IPv6 has no second loopback address; nobody misses it there.
            Err(_) if endpoint.optional => {}
            Err(error) => return Err(Error::Listen(place, error)),
        }
    }
    Ok(listeners)
}

fn bind(place: &Place) -> io::Result<(Accepts, Place)> {
    match place {
        Place::Tcp(address) => {
            let socket = bind_tcp(*address)?;
            let address = socket.local_addr()?;
            Ok((Accepts::Tcp(socket), Place::Tcp(address)))
        }
        #[cfg(unix)]
        Place::Unix(path) => {
            // One that nobody listens on is left over from a broker that was killed.
            if std::os::unix::net::UnixStream::connect(path).is_err() {
                let _ = std::fs::remove_file(path);
            }
            let socket = mio::net::UnixListener::bind(path)?;
            Ok((Accepts::Unix(socket), place.clone()))
        }
        #[cfg(not(unix))]
        Place::Unix(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system has no Unix sockets",
        )),
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<mio::net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // On Windows this option would let two brokers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

impl Listener {
    /// Zero for a Unix socket.
    pub(crate) fn port(&self) -> u16 {
        match &self.place {
            Place::Tcp(address) => address.port(),
            Place::Unix(_) => 0,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Accepts::Tcp(socket) => registry.register(socket, token, Interest::READABLE),
            #[cfg(unix)]
            Accepts::Unix(socket) => registry.register(socket, token, Interest::READABLE),
        }
    }

    /// The next connection that waits.
    pub(crate) fn accept(&self) -> io::Result<Accepted> {
        let (socket, from) = match &self.socket {
            Accepts::Tcp(socket) => {
                let (stream, address) = socket.accept()?;
                // Small packets must not wait for acknowledgements of TCP; without it we only get
                // slower.
                let _ = stream.set_nodelay(true);
                (Socket::Tcp(stream), From::Ip(address))
            }
            #[cfg(unix)]
            Accepts::Unix(socket) => (Socket::Unix(socket.accept()?.0), From::Unix),
        };
        let endpoint = &self.endpoint;
        let layers = match (&endpoint.tls, &endpoint.websocket) {
            (None, None) => None,
            (tls, websocket) => {
                let layers = Layers::new(tls.as_ref(), websocket.as_ref());
                Some(Box::new(layers.map_err(io::Error::other)?))
            }
        };
        Ok(Accepted {
            socket,
            from,
            layers,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Place::Unix(path) = &self.place {
            let _ = std::fs::remove_file(path);
        }
    }
}
