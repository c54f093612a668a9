//! Sockets that accept visitors. They are opened before the thread is there, so that a port that is
//! taken is told where the broker starts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use crate::broker::listener;
use crate::daemon::conf::{Endpoint, Place};
use crate::daemon::http::{HttpListener, Service};
use crate::daemon::listener::{Accepts, SocketFile, bind};
use crate::daemon::{Error, Listening};
use crate::net::tls::session::Server;

/// A place that is open.
pub(crate) struct Bound {
    pub(super) accepts: Accepts,
    pub(super) door: Arc<Door>,
    pub(super) file: SocketFile,
}

/// What [`open_all`] led to: every door, and the sockets of those that are new.
pub(crate) struct Opened {
    pub(crate) doors: Vec<Arc<Door>>,
    pub(crate) bound: Vec<Bound>,
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

/// Opens every place that is asked for and was not open `before`.
pub(crate) fn open_all(listeners: &[HttpListener], before: &[Arc<Door>]) -> Result<Opened, Error> {
    let mut before: Vec<Option<&Arc<Door>>> = before.iter().map(Some).collect();
    let (mut doors, mut all): (Vec<Arc<Door>>, Vec<Bound>) = (Vec::new(), Vec::new());
    for HttpListener { endpoint, service } in listeners {
        let mut endpoint = endpoint.clone();
        endpoint.take_port(doors.last().map(|door| &door.place));
        let is_here = |one: &&mut Option<&Arc<Door>>| one.is_some_and(|door| door.is_at(&endpoint));
        let known = before.iter_mut().find(is_here).and_then(Option::take);
        if let Some(known) = known {
            let rules = known.rules.with_rules(endpoint.rules.clone());
            let place = known.place.clone();
            doors.push(Door::new(endpoint, service, place, rules));
            continue;
        }
        match bind(&endpoint) {
            Ok((accepts, place, file)) => {
                let rules = listener::Listener::new(endpoint.rules.clone());
                let door = Door::new(endpoint, service, place, rules);
                doors.push(Arc::clone(&door));
                all.push(Bound {
                    accepts,
                    door,
                    file,
                });
            }
            Err(_) if endpoint.optional => {}
            Err(error) => return Err(Error::Listen(endpoint.place.clone(), error)),
        }
    }
    Ok(Opened { doors, bound: all })
}

/// A connection that was just accepted.
pub(super) enum Came {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Door {
    fn new(
        endpoint: Endpoint,
        service: &Service,
        place: Place,
        rules: listener::Listener,
    ) -> Arc<Self> {
        Arc::new(Self {
            rules: Arc::new(rules),
            tls: endpoint.tls.clone(),
            service: service.clone(),
            endpoint,
            place,
        })
    }

    /// One that nobody listens at.
    #[cfg(test)]
    pub(super) fn closed(endpoint: Endpoint) -> Arc<Self> {
        let (rules, place) = (endpoint.rules.clone(), endpoint.place.clone());
        Self::new(
            endpoint,
            &Service::Whole,
            place,
            listener::Listener::new(rules),
        )
    }

    fn is_at(&self, endpoint: &Endpoint) -> bool {
        let asked = self.endpoint.place == endpoint.place || self.place == endpoint.place;
        asked && self.endpoint.interface == endpoint.interface
    }

    /// Where it is, for those who ask.
    pub(crate) fn listening(&self) -> Listening {
        Listening {
            protocol: self.protocol(),
            place: self.place.clone(),
        }
    }

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

impl Acceptor {
    pub(super) fn new(accepts: Accepts) -> io::Result<Self> {
        match accepts {
            Accepts::Tcp(socket) => TcpListener::from_std(socket.into()).map(Self::Tcp),
            #[cfg(unix)]
            Accepts::Unix(socket) => UnixListener::from_std(socket.into()).map(Self::Unix),
        }
    }

    /// The next connection; the address of one by TCP.
    pub(super) async fn accept(&self) -> io::Result<Came> {
        match self {
            Self::Tcp(socket) => {
                let (stream, from) = socket.accept().await?;
                Ok(Came::Tcp(stream, from))
            }
            #[cfg(unix)]
            Self::Unix(socket) => Ok(Came::Unix(socket.accept().await?.0)),
        }
    }
}
