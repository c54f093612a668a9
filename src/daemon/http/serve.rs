//! Connections of visitors: accepted up to a limit, read with a limit on time and heads, and handed
//! to the router; one that asks for a WebSocket at `/mqtt` goes to a worker as it is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::daemon::auth::bans::Arrival as Welcome;
use crate::daemon::http::Service;
use crate::daemon::http::app::{self, App};
use crate::daemon::http::asked::Asked;
use crate::daemon::http::front::{self, First, HEAD_MAX, Reread};
use crate::daemon::http::inside;
use crate::daemon::http::listening::{Acceptor, Bound, Came, Door};
use crate::daemon::http::refusals::Refusals;
use crate::daemon::listener::SocketFile;
use crate::daemon::socket::Socket;
use crate::net::system_words;
use crate::net::tls::session::Server;

/// A head is to be whole by then, and a connection without a request goes.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// Lines of a head.
const HEADERS_MAX: usize = 64;

/// What is in the way of ending has this long.
const STOP_TIME: Duration = Duration::from_millis(500);

/// Between two looks at a head that is not whole.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Between two attempts to accept while none succeeds.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a request came here.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) door: Arc<Door>,
    /// `None` on a Unix socket.
    pub(super) from: Option<SocketAddr>,
}

impl Arrival {
    /// Nobody is asked who he is, and all come from this machine.
    pub(super) fn is_local_only(&self) -> bool {
        !self.door.is_open() && self.from.is_some()
    }
}

/// Serves what was opened and what will be, until it is time to stop.
pub(super) async fn run(
    app: &Arc<App>,
    opened: &Mutex<Vec<Bound>>,
    mut stopping: watch::Receiver<bool>,
) {
    let (mut acceptors, mut changes) = (JoinSet::new(), app.changes());
    loop {
        let new = std::mem::take(&mut *opened.lock().unwrap_or_else(PoisonError::into_inner));
        for bound in new {
            let door = Arc::clone(&bound.door);
            match House::open(app, bound) {
                Ok((house, acceptor, file)) => drop(acceptors.spawn(house.accept(acceptor, file))),
                Err(error) => {
                    let words = system_words(&error);
                    let line = format!("Error: HTTP on {} is off: {words}", door.place);
                    app.log().line(&line);
                }
            }
        }
        while acceptors.try_join_next().is_some() {}
        tokio::select! {
            Ok(()) = changes.changed() => {}
            // An error means that the other side is gone, which is a reason to stop, too.
            _ = stopping.wait_for(|stop| *stop) => break,
        }
    }
    acceptors.shutdown().await;
    let ended = async {
        while app.connections.taken() > 0 {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    let _ = timeout(STOP_TIME, ended).await;
}

/// Whether nothing will follow what has come; as long as that is not read, nothing else tells.
async fn is_left(stream: &TcpStream) -> bool {
    let ready = stream.ready(Interest::READABLE).await;
    ready.is_ok_and(|ready| ready.is_read_closed())
}

/// What the connections of one listener share.
#[derive(Clone)]
struct House {
    app: Arc<App>,
    door: Arc<Door>,
    router: Router,
    /// What was seen of them is in the door.
    changes: watch::Receiver<Arc<Asked>>,
}

impl House {
    fn open(app: &Arc<App>, bound: Bound) -> io::Result<(Self, Acceptor, SocketFile)> {
        let mut changes = app.changes();
        // It may be closed again by now.
        changes.mark_changed();
        let house = Self {
            app: Arc::clone(app),
            router: app::router(app, &bound.door),
            door: bound.door,
            changes,
        };
        Ok((house, Acceptor::new(bound.accepts)?, bound.file))
    }

    /// Accepts until the door is closed.
    async fn accept(mut self, acceptor: Acceptor, _file: SocketFile) {
        loop {
            tokio::select! {
                came = acceptor.accept() => match came {
                    Ok(Came::Tcp(stream, from)) => self.welcome(stream, from),
                    #[cfg(unix)]
                    Ok(Came::Unix(stream)) => {
                        let arrival = self.arrival(None);
                        self.spawn(|house| async move { house.serve(stream, arrival).await });
                    }
                    // Mostly no descriptor is left.
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                changed = self.changes.changed() => {
                    let door = self.changes.borrow_and_update().door_like(&self.door);
                    let (Ok(()), Some(door)) = (changed, door) else { return };
                    self.router = app::router(&self.app, &door);
                    self.door = door;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, from: SocketAddr) {
        let welcome = self.app.authenticator().arrives(from.ip(), Instant::now());
        if !matches!(welcome, Welcome::Welcome) {
            return;
        }
        // Events are small and are to come at once; without it they only come later.
        let _ = stream.set_nodelay(true);
        let arrival = self.arrival(Some(from));
        match &self.door.tls {
            Some(Server::Certificate(server)) => {
                let acceptor = TlsAcceptor::from(server.config());
                self.spawn(|house| house.serve_sealed(stream, acceptor, arrival));
            }
            #[cfg(feature = "psk")]
            Some(Server::Keys(_)) => {}
            None => self.spawn(|house| house.serve_plain(stream, arrival)),
        }
    }

    fn arrival(&self, from: Option<SocketAddr>) -> Arrival {
        Arrival {
            door: Arc::clone(&self.door),
            from,
        }
    }

    /// A visit, if there is room for one more.
    fn spawn<F>(&self, visit: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let most = self.app.asked().limits.http_connections_max;
        let Some(seat) = self.app.connections.take(most) else {
            Refusals::note(&self.app, |stats| stats.http_connections_refused += 1);
            return;
        };
        let visit = visit(self.clone());
        tokio::spawn(async move {
            visit.await;
            drop(seat);
        });
    }

    /// What is not encrypted can be looked at without being read.
    async fn serve_plain(self, stream: TcpStream, arrival: Arrival) {
        if self.door.service != Service::Whole {
            return self.serve(stream, arrival).await;
        }
        let first = async {
            let mut bytes = vec![0; HEAD_MAX];
            let mut before = 0;
            loop {
                let count = stream.peek(&mut bytes).await.unwrap_or(0);
                if count == 0 || std::mem::replace(&mut before, count) != count {
                    match front::look(&bytes[..count], arrival.is_local_only()) {
                        First::More if count > 0 => {}
                        first => return first,
                    }
                }
                if is_left(&stream).await {
                    return First::More;
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        match timeout(HEAD_TIME, first).await {
            Ok(First::WebSocket) => {
                // One that cannot be handed over is gone.
                let _ = stream.into_std().and_then(|stream| {
                    let socket = Socket::Tcp(mio::net::TcpStream::from_std(stream));
                    inside::hand_over(self.app.workers(), &arrival, socket)
                });
            }
            Ok(First::Page) => self.serve(stream, arrival).await,
            Ok(First::More) | Err(_) => {}
        }
    }

    /// A client's connection that is encrypted ends here, and goes on inside.
    async fn serve_sealed(self, stream: TcpStream, acceptor: TlsAcceptor, arrival: Arrival) {
        let Ok(Ok(mut stream)) = timeout(HEAD_TIME, acceptor.accept(stream)).await else {
            return;
        };
        if self.door.service != Service::Whole {
            return self.serve(stream, arrival).await;
        }
        let mut first = Vec::new();
        let looked = async {
            loop {
                match front::look(&first, arrival.is_local_only()) {
                    First::More => {}
                    found => return found,
                }
                match stream.read_buf(&mut first).await {
                    Ok(count) if count > 0 => {}
                    _ => return First::More,
                }
            }
        };
        match timeout(HEAD_TIME, looked).await {
            Ok(First::WebSocket) => self.carry(Reread { first, stream }, &arrival).await,
            Ok(First::Page) => self.serve(Reread { first, stream }, arrival).await,
            Ok(First::More) | Err(_) => {}
        }
    }

    #[cfg(unix)]
    async fn carry<S>(&self, mut stream: S, arrival: &Arrival)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let pair = std::os::unix::net::UnixStream::pair();
        let Ok((ours, theirs)) = pair else { return };
        if ours.set_nonblocking(true).is_err() || theirs.set_nonblocking(true).is_err() {
            return;
        }
        let socket = Socket::Unix(mio::net::UnixStream::from_std(theirs));
        let handed = inside::hand_over(self.app.workers(), arrival, socket);
        let ours = handed.and_then(|()| tokio::net::UnixStream::from_std(ours));
        if let Ok(mut ours) = ours {
            // However it ends, it is over.
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut ours).await;
        }
    }

    #[cfg(not(unix))]
    async fn carry<S>(&self, _: S, _: &Arrival) {}

    async fn serve<S>(&self, stream: S, arrival: Arrival)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let from = arrival.from;
        let present = Mutex::new((arrival.door, self.router.clone()));
        let service = hyper::service::service_fn(|mut request: hyper::Request<Incoming>| {
            let (door, router) = self.at_present(&present);
            request.extensions_mut().insert(Arrival { door, from });
            TowerToHyperService::new(router).call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(2 * HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let (mut stopping, mut changes) = (self.app.stopping(), self.changes.clone());
        let is_closed = |asked: &Arc<Asked>| asked.door_like(&self.door).is_none();
        // What a visitor does wrong ends the visit, and is nobody else's business.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stopping.wait_for(|stop| *stop) => {}
            _ = changes.wait_for(is_closed) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }

    /// The door as it is now, and what is behind it.
    fn at_present(&self, seen: &Mutex<(Arc<Door>, Router)>) -> (Arc<Door>, Router) {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let door = self.app.asked().door_like(&seen.0);
        if let Some(door) = door.filter(|door| !Arc::ptr_eq(door, &seen.0)) {
            *seen = (Arc::clone(&door), app::router(&self.app, &door));
        }
        seen.clone()
    }
}
