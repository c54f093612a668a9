//! TCP: from a host's name to the first of its addresses that answers.
//!
//! A host with an IPv6 and an IPv4 address often has only one of them within reach. The addresses
//! are tried in turn, the families alternating, each given a short start before the next one
//! joins; the first that answers wins and the others are dropped (RFC 8305, in short).

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Sleep;

use crate::net::Dial;

/// How long an address is tried alone.
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to `host`, with the local address and the options of `dial`.
pub(super) async fn connect(host: &str, port: u16, dial: &Dial) -> io::Result<TcpStream> {
    let stream = match host.parse::<IpAddr>() {
        Ok(ip) if is_reachable(ip, dial.bind) => {
            attempt(SocketAddr::new(ip, port), dial.bind).await?
        }
        Ok(_) => return Err(unreachable()),
        Err(_) => Box::pin(connect_name(host, port, dial)).await?,
    };
    if dial.nodelay {
        stream.set_nodelay(true)?;
    }
    tune(&stream, dial)?;
    Ok(stream)
}

async fn connect_name(host: &str, port: u16, dial: &Dial) -> io::Result<TcpStream> {
    if let Some(answering) = dial
        .known
        .as_ref()
        .and_then(|known| known.winner(host, port))
    {
        return attempt(answering, dial.bind).await;
    }
    let addresses = usable(find(host, port, dial).await?, dial.bind);
    let stream = match addresses.as_slice() {
        [] => return Err(unreachable()),
        // Nothing to race against: no timer for it either.
        [only] => attempt(*only, dial.bind).await?,
        _ => race(addresses, dial.bind).await?,
    };
    if let Some(known) = &dial.known {
        known.won(stream.peer_addr()?);
    }
    Ok(stream)
}

fn unreachable() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "the host has no address of the family that is bound",
    )
}

fn tune(stream: &TcpStream, dial: &Dial) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    if let Some(probes) = &dial.probes {
        let wanted = socket2::TcpKeepalive::new()
            .with_time(probes.idle)
            .with_interval(probes.interval);
        #[cfg(not(windows))]
        let wanted = wanted.with_retries(probes.count);
        socket.set_tcp_keepalive(&wanted)?;
    }
    #[cfg(target_os = "linux")]
    if let Some(timeout) = dial.user_timeout {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    Ok(())
}

/// The addresses of a name, asked for once by all who share it: the resolver takes a thread and
/// twice the time of a connection on one machine.
#[derive(Debug, Default)]
pub struct Known {
    name: OnceLock<(String, Vec<SocketAddr>)>,
    /// The one of them that answered first.
    winner: OnceLock<SocketAddr>,
}

impl Known {
    fn of(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        self.is_of(host, port).cloned()
    }

    fn is_of(&self, host: &str, port: u16) -> Option<&Vec<SocketAddr>> {
        let (name, addresses) = self.name.get()?;
        let is_it = name == host && addresses.iter().all(|address| address.port() == port);
        is_it.then_some(addresses)
    }

    /// The address nobody needs to race for again.
    fn winner(&self, host: &str, port: u16) -> Option<SocketAddr> {
        let winner = self.winner.get()?;
        self.is_of(host, port)?.contains(winner).then_some(*winner)
    }

    fn won(&self, address: SocketAddr) {
        // Whoever won before is as good.
        let _ = self.winner.set(address);
    }

    /// A name with several addresses of a family spreads its clients over them by the order of
    /// each answer, so it goes on being asked.
    fn learn(&self, host: &str, addresses: &[SocketAddr]) {
        let of_v4 = addresses.iter().filter(|a| a.is_ipv4()).count();
        if of_v4 <= 1 && addresses.len() - of_v4 <= 1 {
            // Whoever was first has said the same.
            let _ = self.name.set((host.to_owned(), addresses.to_vec()));
        }
    }
}

async fn find(host: &str, port: u16, dial: &Dial) -> io::Result<Vec<SocketAddr>> {
    let Some(known) = &dial.known else {
        return look_up(host, port).await;
    };
    if let Some(addresses) = known.of(host, port) {
        return Ok(addresses);
    }
    let addresses = look_up(host, port).await?;
    known.learn(host, &addresses);
    Ok(addresses)
}

/// Asks the system's resolver. Its failure keeps a kind of its own, so that a wrong name can be
/// told from a closed port.
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(io::Error::new(io::ErrorKind::NotFound, NoSuchHost(error))),
    }
}

/// The name of the host could not be turned into an address.
#[derive(Debug)]
pub struct NoSuchHost(io::Error);

impl std::fmt::Display for NoSuchHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = self.0.to_string();
        // What the standard library puts before the system's own words.
        let words = told
            .strip_prefix("failed to lookup address information: ")
            .unwrap_or(&told);
        write!(f, "no address for this host: {words}")
    }
}

impl std::error::Error for NoSuchHost {}

fn is_reachable(ip: IpAddr, bind: Option<IpAddr>) -> bool {
    bind.is_none_or(|bind| bind.is_ipv4() == ip.is_ipv4())
}

/// Only the families that can be reached from the bound address; the resolver's first family
/// first, then alternating.
fn usable(addresses: Vec<SocketAddr>, bind: Option<IpAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<_> = addresses
        .into_iter()
        .filter(|a| is_reachable(a.ip(), bind))
        .collect();
    let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else {
        return addresses;
    };
    let (mut one, mut other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|a| a.is_ipv4() == first);
    one.reverse();
    other.reverse();
    let mut order = Vec::with_capacity(one.len() + other.len());
    while let Some(next) = one.pop() {
        order.push(next);
        order.extend(other.pop());
    }
    order.extend(other.into_iter().rev());
    order
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

async fn race(addresses: Vec<SocketAddr>, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut running: Vec<Attempt> = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut head_start: Pin<Box<Sleep>> = Box::pin(tokio::time::sleep(HEAD_START));
    std::future::poll_fn(move |cx| {
        loop {
            if running.is_empty() || head_start.as_mut().poll(cx).is_ready() {
                match waiting.next() {
                    Some(address) => {
                        running.push(Box::pin(attempt(address, bind)));
                        head_start
                            .as_mut()
                            .reset(tokio::time::Instant::now() + HEAD_START);
                        continue;
                    }
                    None if running.is_empty() => {
                        return Poll::Ready(Err(std::mem::replace(
                            &mut failure,
                            io::ErrorKind::AddrNotAvailable.into(),
                        )));
                    }
                    None => {}
                }
            }
            let mut failed = false;
            let mut at = 0;
            while at < running.len() {
                match running[at].as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        failure = error;
                        failed = true;
                        drop(running.swap_remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            if !failed || !running.is_empty() {
                return Poll::Pending;
            }
        }
    })
    .await
}

async fn attempt(address: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(local) = bind {
        leave_port_open(&socket);
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(address).await
}

/// The port is chosen when the peer is known. At `bind` the kernel would look for one that is free
/// towards everybody, which takes ever longer and ends at some 28,000. A kernel that knows no such
/// thing does it the long way.
#[cfg(target_os = "linux")]
fn leave_port_open(socket: &TcpSocket) {
    use nix::sys::socket::{setsockopt, sockopt};
    let _ = setsockopt(socket, sockopt::IpBindAddressNoPort, &true);
}

#[cfg(not(target_os = "linux"))]
fn leave_port_open(_: &TcpSocket) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(addresses: &[&str], bind: Option<&str>) -> Vec<String> {
        let parsed = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let bind = bind.map(|b| b.parse().unwrap());
        usable(parsed, bind)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn families_alternate_and_a_bound_address_picks_one() {
        let all = [
            "[::1]:1",
            "[::2]:1",
            "[::3]:1",
            "127.0.0.1:1",
            "127.0.0.2:1",
        ];
        assert_eq!(
            order(&all, None),
            [
                "[::1]:1",
                "127.0.0.1:1",
                "[::2]:1",
                "127.0.0.2:1",
                "[::3]:1"
            ]
        );
        assert_eq!(
            order(&all, Some("127.0.0.9")),
            ["127.0.0.1:1", "127.0.0.2:1"]
        );
        assert_eq!(order(&all[3..], Some("::1")), [""; 0]);
        let four_first = ["127.0.0.1:1", "[::1]:1", "[::2]:1", "[::3]:1"];
        assert_eq!(
            order(&four_first, None),
            ["127.0.0.1:1", "[::1]:1", "[::2]:1", "[::3]:1"]
        );
    }

    #[test]
    fn a_name_is_known_as_long_as_its_addresses_are_one_a_family() {
        let parsed =
            |all: &[&str]| -> Vec<SocketAddr> { all.iter().map(|a| a.parse().unwrap()).collect() };
        let both = parsed(&["[::1]:1", "127.0.0.1:1"]);
        let known = Known::default();
        assert_eq!(known.of("a", 1), None);
        known.learn("a", &both);
        assert_eq!(known.of("a", 1), Some(both.clone()));
        assert_eq!(known.winner("a", 1), None);
        known.won(both[1]);
        assert_eq!(known.winner("a", 1), Some(both[1]));
        assert_eq!(known.winner("b", 1), None);
        assert_eq!(known.of("b", 1), None);
        assert_eq!(known.of("a", 2), None);
        let many = Known::default();
        many.learn("a", &parsed(&["127.0.0.1:1", "127.0.0.2:1"]));
        assert_eq!(many.of("a", 1), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_next_address_answers_when_the_first_is_closed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let spare = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = spare.local_addr().unwrap();
        drop(spare);
        let stream = race(vec![closed, open], None).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let error = race(vec![closed], None).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
