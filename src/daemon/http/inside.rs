//! The ways from here to a worker: a visitor's connection that turned out to be a client's, and
//! connections that are made here in somebody's name. Both are what a listener would have accepted.

use std::io;
use std::sync::Arc;

use crate::broker::listener;
use crate::daemon::conf::Endpoint;
use crate::daemon::http::front::HEAD_MAX;
use crate::daemon::http::serve::Arrival;
use crate::daemon::layers::Layers;
use crate::daemon::listener::Accepted;
use crate::daemon::socket::{From, Socket};
use crate::daemon::workers::Workers;
use crate::net::Stream;
use crate::net::upgrade::WebSocketRules;

/// Hands a client's connection over, from which nothing was read that asks for a WebSocket.
pub(super) fn hand_over(workers: &Workers, arrival: &Arrival, socket: Socket) -> io::Result<()> {
    let from = match arrival.from {
        Some(address) => From::Ip(address),
        None => From::Http,
    };
    let rules = WebSocketRules {
        head_max: HEAD_MAX,
        ..WebSocketRules::default()
    };
    let endpoint = Endpoint {
        websocket: Some(Arc::new(rules)),
        ..Endpoint::plain(arrival.door.place.clone())
    };
    let accepted = Accepted {
        socket,
        from,
        layers: Layers::of(&endpoint).map_err(io::Error::other)?,
        listener: Arc::clone(&arrival.door.rules),
        proven: None,
    };
    workers.tell(0, move |worker| worker.place(accepted));
    Ok(())
}

/// A new connection under rules of its own: our end of it.
#[cfg(unix)]
pub(super) fn open(workers: &Workers, listener: Arc<listener::Listener>) -> io::Result<Stream> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let accepted = Accepted {
        socket: Socket::Unix(mio::net::UnixStream::from_std(theirs)),
        from: From::Http,
        layers: None,
        listener,
        proven: None,
    };
    workers.tell(0, move |worker| worker.adopt(accepted, Vec::new()));
    Ok(Stream::Unix(tokio::net::UnixStream::from_std(ours)?))
}

#[cfg(not(unix))]
pub(super) fn open(_: &Workers, _: Arc<listener::Listener>) -> io::Result<Stream> {
    let what = "this wants a system with Unix sockets";
    Err(io::Error::new(io::ErrorKind::Unsupported, what))
}
