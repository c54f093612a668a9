//! Sockets that accept.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::Interest;
use mio::Registry;
use mio::Token;
use socket2::Domain;
use socket2::Protocol;
use socket2::Type;

use crate::broker::listener;
use crate::daemon::Error;
use crate::daemon::conf::{Endpoint, Place};
use crate::daemon::layers::Layers;
use crate::daemon::socket::{From, Socket};
use crate::net::system_words;

/// Connections the system queues while the worker is in a turn; it cuts this to its own maximum.
const BACKLOG: i32 = 4_096;

pub(crate) struct Listener {
    socket: Accepts,
    pub(crate) endpoint: Arc<Endpoint>,
    /// What the broker knows of it.
    pub(crate) rules: Arc<listener::Listener>,
    /// The port is known only now when the system chose it.
    pub(crate) place: Place,
    _file: SocketFile,
}

/// The file of a Unix socket, which goes with it; not that of a broker who has taken the path.
pub(crate) struct SocketFile(#[cfg(unix)] Option<(PathBuf, FileId)>);

/// What a file is, whatever it is called: its device and number there.
#[cfg(unix)]
type FileId = (u64, u64);

impl SocketFile {
    fn of(place: &Place) -> Self {
        #[cfg(unix)]
        return Self(match place {
            Place::Unix(path) => file_id(path).map(|id| (path.clone(), id)),
            Place::Tcp(_) => None,
        });
        #[cfg(not(unix))]
        return Self();
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some((path, own)) = &self.0
            && file_id(path).as_ref() == Some(own)
        {
            // Where it cannot be removed, the next broker finds that nobody listens on it.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    let file = std::fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

pub(crate) enum Accepts {
    Tcp(mio::net::TcpListener),
    #[cfg(unix)]
    Unix(mio::net::UnixListener),
}

/// A connection that was just accepted.
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    pub(crate) from: From,
    pub(crate) layers: Option<Box<Layers>>,
    /// Whose rules it follows.
    pub(crate) listener: Arc<listener::Listener>,
    /// The user name that its certificate or key proved.
    pub(crate) proven: Option<Arc<str>>,
}

/// Listens on everything that is asked for.
pub(crate) fn bind_all(endpoints: &[Endpoint]) -> Result<Vec<Listener>, Error> {
    let mut listeners: Vec<Listener> = Vec::new();
    for endpoint in endpoints {
        let mut endpoint = endpoint.clone();
        endpoint.take_port(listeners.last().map(|listener| &listener.place));
        listeners.extend(Listener::bind(&endpoint)?);
    }
    Ok(listeners)
}

/// Listens on one place.
pub(crate) fn bind(endpoint: &Endpoint) -> io::Result<(Accepts, Place, SocketFile)> {
    let (socket, place) = bind_place(&endpoint.place, endpoint.interface.as_deref())?;
    let file = SocketFile::of(&place);
    Ok((socket, place, file))
}

fn bind_place(place: &Place, interface: Option<&str>) -> io::Result<(Accepts, Place)> {
    match place {
        Place::Tcp(address) => {
            let socket = bind_tcp(*address, interface)?;
            let address = socket.local_addr()?;
            Ok((Accepts::Tcp(socket), Place::Tcp(address)))
        }
        #[cfg(unix)]
        place @ Place::Unix(path) => {
            use std::os::unix::fs::FileTypeExt as _;
            // One that nobody listens on is left over from a broker that was killed.
            let is_socket =
                std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
            if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
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

fn bind_tcp(address: SocketAddr, interface: Option<&str>) -> io::Result<mio::net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if let Some(interface) = interface {
        bind_to_interface(&socket, interface)?;
    }
    // On Windows this option would let two brokers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

#[cfg(target_os = "linux")]
fn bind_to_interface(socket: &socket2::Socket, interface: &str) -> io::Result<()> {
    let named = |error: io::Error| {
        let words = system_words(&error);
        io::Error::new(
            error.kind(),
            format!("network interface {interface}: {words}"),
        )
    };
    socket
        .bind_device(Some(interface.as_bytes()))
        .map_err(named)
}

#[cfg(not(target_os = "linux"))]
fn bind_to_interface(_: &socket2::Socket, _: &str) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system cannot bind to a network interface",
    ))
}

impl Listener {
    /// Zero for a Unix socket.
    pub(crate) fn port(&self) -> u16 {
        match &self.place {
            Place::Tcp(address) => address.port(),
            Place::Unix(_) => 0,
        }
    }

    /// Listens on one place; `None`: it is not there, and nobody minds.
    pub(crate) fn bind(endpoint: &Endpoint) -> Result<Option<Self>, Error> {
        match bind(endpoint) {
            Ok((socket, place, file)) => Ok(Some(Self {
                socket,
                _file: file,
                rules: Arc::new(listener::Listener::new(endpoint.rules.clone())),
                endpoint: Arc::new(endpoint.clone()),
                place,
            })),
            // A machine without IPv6 has no second loopback address; nobody misses it there.
            Err(_) if endpoint.optional => Ok(None),
            Err(error) => Err(Error::Listen(endpoint.place.clone(), error)),
        }
    }

    /// Whether `endpoint` is where this listener is already.
    pub(crate) fn is_at(&self, endpoint: &Endpoint) -> bool {
        let asked = self.endpoint.place == endpoint.place || self.place == endpoint.place;
        asked && self.endpoint.interface == endpoint.interface
    }

    /// Takes over what is said about it now, for those who come from now on.
    pub(crate) fn change(&mut self, endpoint: &Endpoint) {
        self.rules = Arc::new(self.rules.with_rules(endpoint.rules.clone()));
        self.endpoint = Arc::new(endpoint.clone());
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
                if self.endpoint.nodelay {
                    // Small packets must not wait for acknowledgements of TCP; without it we only
                    // get slower.
                    let _ = stream.set_nodelay(true);
                }
                (Socket::Tcp(stream), From::Ip(address))
            }
            #[cfg(unix)]
            Accepts::Unix(socket) => (Socket::Unix(socket.accept()?.0), From::Unix),
        };
        let layers = Layers::of(&self.endpoint).map_err(io::Error::other)?;
        Ok(Accepted {
            socket,
            from,
            layers,
            listener: Arc::clone(&self.rules),
            proven: None,
        })
    }
}
