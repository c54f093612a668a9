//! Sockets that accept visitors. They are opened before the thread is there, so that a port that is
//! taken is told where the broker starts.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use crate::broker::listener;
use crate::daemon::conf::{Endpoint, Place};
use crate::daemon::http::{HttpListener, Service};
use crate::daemon::listener::{Accepts, bind};
use crate::daemon::{Error, Listening};
use crate::net::tls::session::Server;

/// A place that is open.
pub(crate) struct Bound {
    pub(super) accepts: Accepts,
    pub(super) door: Arc<Door>,
}

/// What there is to know of a place, for each of its connections.
pub(crate) struct Door {
    pub(super) endpoint: Endpoint,
    pub(super) service: Service,
    /// The port is known only now when the system chose it.
    pub(super) place: Place,
    /// What the broker knows of it: MQTT over WebSocket comes in here, too.
    pub(super) rules: Arc<listener::Listener>,
    /// TLS, as rustls has it.
    pub(super) tls: Option<Server>,
}

/// Accepts, in the runtime.
pub(super) enum Acceptor {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// Opens every place that is asked for.
pub(crate) fn bind_all(listeners: &[HttpListener]) -> Result<Vec<Bound>, Error> {
    let mut all: Vec<Bound> = Vec::new();
    for listener in listeners {
        let mut endpoint = listener.endpoint.clone();
        endpoint.take_port(all.last().map(|bound| &bound.door.place));
        match bind(&endpoint) {
            Ok((accepts, place)) => {
                let door = Door {
                    rules: Arc::new(listener::Listener::new(endpoint.rules.clone())),
                    tls: endpoint.tls.clone(),
                    service: listener.service.clone(),
                    endpoint,
                    place,
                };
                let door = Arc::new(door);
                all.push(Bound { accepts, door });
            }
            Err(_) if endpoint.optional => {}
            Err(error) => return Err(Error::Listen(endpoint.place.clone(), error)),
        }
    }
    Ok(all)
}

impl Door {
    /// http or https.
    pub(super) fn protocol(&self) -> &'static str {
        match self.tls {
            None => "http",
            Some(_) => "https",
        }
    }

    /// Whether other machines can reach it.
    pub(super) fn is_open(&self) -> bool {
        self.endpoint.is_open()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Place::Unix(path) = &self.place {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Bound {
    pub(crate) fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }

    /// Where it is, for those who ask.
    pub(crate) fn listening(&self) -> Listening {
        Listening {
            protocol: self.door.protocol(),
            place: self.door.place.clone(),
        }
    }
}

impl Acceptor {
    pub(super) fn new(accepts: Accepts) -> io::Result<Self> {
        match accepts {
            Accepts::Tcp(socket) => TcpListener::from_std(socket.into()).map(Self::Tcp),
            #[cfg(unix)]
            Accepts::Unix(socket) => UnixListener::from_std(socket.into()).map(Self::Unix),
        }
    }
}
