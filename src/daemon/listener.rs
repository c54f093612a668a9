//! Sockets that accept.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::daemon::Error;
use crate::daemon::conf::Conf;

/// Connections the system queues while the worker is in a turn; it cuts this to its own maximum.
const BACKLOG: i32 = 4_096;

pub(crate) struct Listener {
    pub(crate) socket: mio::net::TcpListener,
    pub(crate) address: SocketAddr,
}

/// Listens on everything `conf` names.
pub(crate) fn bind_all(conf: &Conf) -> Result<Vec<Listener>, Error> {
    if !conf.bind.is_empty() {
        let mut listeners: Vec<Listener> = Vec::new();
        for &ip in &conf.bind {
            // With port 0 the first address chooses for all.
            let port = listeners
                .first()
                .map_or(conf.port, |first| first.address.port());
            listeners.push(bind(SocketAddr::new(ip, port))?);
        }
        return Ok(listeners);
    }
    let first = bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), conf.port))?;
    let other = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), first.address.port());
    // A machine without IPv6 has no second loopback address; nobody misses it there.
    Ok(std::iter::once(first).chain(bind(other).ok()).collect())
}

fn bind(address: SocketAddr) -> Result<Listener, Error> {
    try_bind(address).map_err(|error| Error::Listen(address, error))
}

fn try_bind(address: SocketAddr) -> std::io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // On Windows this option would let two brokers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = mio::net::TcpListener::from_std(socket.into());
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}
