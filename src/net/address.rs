//! Where a broker lives: the [`Address`] that a connection is made to. Words and URLs are read in `cli`,
//! whose grammar is mosquitto's.

use std::fmt;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    /// A Unix socket.
    Unix,
}

/// Where a broker lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub transport: Transport,
    /// A name or an IP address, an IPv6 one without its brackets; the path of a Unix socket.
    pub host: String,
    pub port: u16,
}

impl Address {
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self {
            transport: Transport::Tcp,
            host: host.into(),
            port,
        }
    }

    pub fn unix(path: impl Into<String>) -> Self {
        Self {
            transport: Transport::Unix,
            host: path.into(),
            port: 0,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Transport::Unix => f.write_str(&self.host),
            Transport::Tcp if self.host.contains(':') => {
                write!(f, "[{}]:{}", self.host, self.port)
            }
            Transport::Tcp => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
