//! Another machine that connects for us: SOCKS5 (RFC 1928, with the passwords of RFC 1929), or HTTP
//! CONNECT (RFC 9110, section 9.3.6). After `Proxy::ask` the stream is as if it were direct.
//!
//! The broker's name is given to the proxy as it is: `socks5h` in curl's words.

use std::fmt;
use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::net::system_words;

/// An answer longer than this is no proxy's.
const ANSWER_MAX: usize = 16 * 1024;

/// Where the proxy is and how it wants to be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    pub kind: ProxyKind,
    pub host: String,
    pub port: u16,
    pub login: Option<Login>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    Socks5,
    Http,
}

/// A name and a password for the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub user_name: Vec<u8>,
    pub password: Vec<u8>,
}

/// Who refuses or does not answer is the proxy, not the broker.
#[derive(Debug)]
struct Unreachable {
    place: String,
    error: io::Error,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy {}: {}", self.place, system_words(&self.error))
    }
}

impl std::error::Error for Unreachable {}

/// What the system said, whether of the broker or of the proxy before it.
pub fn cause(error: &io::Error) -> &io::Error {
    let inner = error.get_ref();
    let unreachable = inner.and_then(|inner| inner.downcast_ref::<Unreachable>());
    unreachable.map_or(error, |unreachable| &unreachable.error)
}

impl Proxy {
    /// What the system says goes with the proxy's place; a name nobody knows is in its own error.
    pub(super) fn unreachable(&self, error: io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(_) => io::Error::other(Unreachable {
                place: format!("{}:{}", self.host, self.port),
                error,
            }),
            None => error,
        }
    }

    /// Has the proxy connect to `host`, over a stream that leads to the proxy.
    pub(super) async fn ask(
        &self,
        stream: &mut TcpStream,
        host: &str,
        port: u16,
    ) -> io::Result<()> {
        match self.kind {
            ProxyKind::Socks5 => socks5(stream, host, port, self.login.as_ref()).await,
            ProxyKind::Http => http(stream, host, port, self.login.as_ref()).await,
        }
    }
}

const NO_LOGIN: u8 = 0;
const WITH_LOGIN: u8 = 2;

async fn socks5(
    stream: &mut TcpStream,
    host: &str,
    port: u16,
    login: Option<&Login>,
) -> io::Result<()> {
    socks5_greet(stream, login).await?;
    stream.write_all(&socks5_request(host, port)?).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    if head[0] != 5 || head[1] != 0 {
        return Err(refused(socks5_failure(head[1])));
    }
    // The address the proxy speaks from: read, because the stream goes on behind it.
    let len = match head[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(refused("this is no SOCKS5 proxy")),
    };
    let mut bound = [0; 255 + 2];
    stream.read_exact(&mut bound[..len + 2]).await?;
    Ok(())
}

/// Both sides agree on how to log in, and do it.
async fn socks5_greet(stream: &mut TcpStream, login: Option<&Login>) -> io::Result<()> {
    let methods: &[u8] = match login {
        None => &[NO_LOGIN],
        Some(_) => &[NO_LOGIN, WITH_LOGIN],
    };
    stream
        .write_all(&[&[5, methods.len() as u8], methods].concat())
        .await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    let Login {
        user_name,
        password,
    } = match (answer, login) {
        ([5, NO_LOGIN], _) => return Ok(()),
        ([5, WITH_LOGIN], Some(login)) => login,
        ([5, _], None) => return Err(refused("SOCKS5 proxy: a name and a password are needed")),
        ([5, _], Some(_)) => return Err(refused("SOCKS5 proxy: no login that we know")),
        _ => return Err(refused("this is no SOCKS5 proxy")),
    };
    let mut words = vec![1];
    for word in [user_name, password] {
        let len = u8::try_from(word.len());
        words.push(len.map_err(|_| refused("this login is too long for SOCKS5"))?);
        words.extend_from_slice(word);
    }
    stream.write_all(&words).await?;
    stream.read_exact(&mut answer).await?;
    if answer[1] != 0 {
        return Err(refused("SOCKS5 proxy: wrong name or password"));
    }
    Ok(())
}

/// CONNECT to an address, or to a name that the proxy looks up.
fn socks5_request(host: &str, port: u16) -> io::Result<Vec<u8>> {
    let mut request = vec![5, 1, 0];
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            request.push(1);
            request.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(4);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            let len = u8::try_from(host.len());
            request.push(3);
            request.push(len.map_err(|_| refused("this host's name is too long for SOCKS5"))?);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

/// RFC 1928, section 6.
fn socks5_failure(code: u8) -> &'static str {
    match code {
        1 => "SOCKS5 proxy: general failure",
        2 => "SOCKS5 proxy: not allowed by its rules",
        3 => "SOCKS5 proxy: network unreachable",
        4 => "SOCKS5 proxy: host unreachable",
        5 => "SOCKS5 proxy: connection refused",
        6 => "SOCKS5 proxy: it took too long",
        7 => "SOCKS5 proxy: command not supported",
        8 => "SOCKS5 proxy: kind of address not supported",
        _ => "SOCKS5 proxy: refused",
    }
}

async fn http(
    stream: &mut TcpStream,
    host: &str,
    port: u16,
    login: Option<&Login>,
) -> io::Result<()> {
    let place = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
    if let Some(Login {
        user_name,
        password,
    }) = login
    {
        let words = [user_name, &b":"[..], password].concat();
        let words = STANDARD.encode(words);
        request.push_str(&format!("Proxy-Authorization: Basic {words}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte: what follows the empty line belongs to the broker.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_MAX {
            return Err(refused("this is no HTTP proxy"));
        }
        answer.push(stream.read_u8().await?);
    }
    let line = answer
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    match (words.next(), words.next()) {
        (Some(protocol), Some(status)) if protocol.starts_with("HTTP/1.") => {
            if status.len() == 3 && status.starts_with('2') {
                Ok(())
            } else {
                let rest: Vec<_> = words.collect();
                Err(refused(format!("HTTP proxy: {status} {}", rest.join(" "))))
            }
        }
        _ => Err(refused("this is no HTTP proxy")),
    }
}

fn refused(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, what.into())
}
