//! Connections of visitors: accepted up to a limit, read with a limit on time and heads, and handed
//! to the router; one that asks for a WebSocket at `/mqtt` goes to a worker as it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::daemon::auth::bans::Arrival as Welcome;
use crate::daemon::http::Service;
use crate::daemon::http::app::{self, App};
use crate::daemon::http::front::{self, First, HEAD_MAX, Reread};
use crate::daemon::http::inside;
use crate::daemon::http::listening::{Acceptor, Bound, Door};
use crate::daemon::socket::Socket;
use crate::net::tls::session::Server;

/// Connections at a time; one more is closed at once.
const CONNECTIONS_MAX: usize = 512;

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

/// Serves until it is time to stop.
pub(super) async fn run(app: &Arc<App>, bound: Vec<Bound>, mut stopping: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut acceptors = JoinSet::new();
    for one in bound {
        match Acceptor::new(one.accepts) {
            Ok(acceptor) => {
                let door = one.door;
                let router = app::router(app, &door);
                let house = House {
                    app: Arc::clone(app),
                    door,
                    router,
                    room: Arc::clone(&room),
                };
                acceptors.spawn(house.accept(acceptor));
            }
            Err(error) => app.log().line(&format!(
                "Error: HTTP on {} is off: {error}",
                one.door.place
            )),
        }
    }
    // An error means that the other side is gone, which is a reason to stop, too.
    let _ = stopping.wait_for(|stop| *stop).await;
    acceptors.shutdown().await;
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = timeout(STOP_TIME, room.acquire_many(all)).await;
}

/// What the connections of one listener share.
#[derive(Clone)]
struct House {
    app: Arc<App>,
    door: Arc<Door>,
    router: Router,
    room: Arc<Semaphore>,
}

impl House {
    async fn accept(self, acceptor: Acceptor) {
        loop {
            let accepted = match &acceptor {
                Acceptor::Tcp(socket) => socket
                    .accept()
                    .await
                    .map(|(stream, from)| self.welcome(stream, from)),
                #[cfg(unix)]
                Acceptor::Unix(socket) => socket.accept().await.map(|(stream, _)| {
                    let arrival = self.arrival(None);
                    self.spawn(|house| async move { house.serve(stream, arrival).await });
                }),
            };
            if accepted.is_err() {
                // Mostly no descriptor is left.
                tokio::time::sleep(ACCEPT_PAUSE).await;
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
        let Ok(seat) = Arc::clone(&self.room).try_acquire_owned() else {
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
            loop {
                let count = stream.peek(&mut bytes).await.unwrap_or(0);
                match front::look(&bytes[..count], arrival.is_local_only()) {
                    First::More if count > 0 => tokio::time::sleep(LOOK_PAUSE).await,
                    first => return first,
                }
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
        let router = TowerToHyperService::new(self.router.clone());
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(arrival.clone());
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(2 * HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut stopping = self.app.stopping();
        // What a visitor does wrong ends the visit, and is nobody else's business.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
