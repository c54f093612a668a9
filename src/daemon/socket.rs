//! Sockets of both kinds under one name, TCP and Unix, and who is at the other end.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Shutdown;
use std::net::SocketAddr;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;

pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The other end, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Ip(SocketAddr),
    #[cfg(unix)]
    Unix,
    /// A bridge of ours.
    #[cfg(unix)]
    Bridge,
    /// A visitor over HTTP.
    #[cfg(unix)]
    Http,
}

impl From {
    /// It came by no listener: this process itself is at the other end.
    pub(crate) fn is_own(self) -> bool {
        #[cfg(unix)]
        return matches!(self, Self::Bridge | Self::Http);
        #[cfg(not(unix))]
        false
    }

    /// It is on this machine, and no bridge: that speaks for clients elsewhere.
    pub(crate) fn is_local(self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback(),
            #[cfg(unix)]
            Self::Unix => true,
            #[cfg(unix)]
            Self::Bridge | Self::Http => false,
        }
    }

    /// The address without its port, where there is one.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            #[cfg(unix)]
            Self::Unix | Self::Bridge | Self::Http => None,
        }
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix => f.write_str("unix socket"),
            #[cfg(unix)]
            Self::Bridge => f.write_str("bridge"),
            #[cfg(unix)]
            Self::Http => f.write_str("http"),
        }
    }
}

macro_rules! each {
    ($socket:expr, $stream:ident => $what:expr) => {
        match $socket {
            Socket::Tcp($stream) => $what,
            #[cfg(unix)]
            Socket::Unix($stream) => $what,
        }
    };
}

impl Socket {
    pub(crate) fn shut_down_writing(&self) {
        // Where this fails the other side is gone already.
        let _ = each!(self, stream => stream.shutdown(Shutdown::Write));
    }
}

impl Read for Socket {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.read(buffer))
    }
}

impl Write for Socket {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, stream => stream.write(bytes))
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, stream => stream.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Socket {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        each!(self, stream => stream.register(registry, token, interests))
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        each!(self, stream => stream.reregister(registry, token, interests))
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        each!(self, stream => stream.deregister(registry))
    }
}
