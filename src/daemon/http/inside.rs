//! The way from here to a worker: a visitor's connection that turned out to be a client's goes there
//! as if a listener had accepted it.

use std::io;
use std::sync::Arc;

use crate::daemon::conf::Endpoint;
use crate::daemon::http::front::HEAD_MAX;
use crate::daemon::http::serve::Arrival;
use crate::daemon::layers::Layers;
use crate::daemon::listener::Accepted;
use crate::daemon::socket::{From, Socket};
use crate::daemon::workers::Workers;
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
