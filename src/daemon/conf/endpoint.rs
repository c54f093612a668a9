//! One place to listen, what is spoken there, and what its clients may do.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::broker::listener::ListenerRules;
use crate::net::proxy_header::HeaderVersion;
use crate::net::tls::session::Server;
use crate::net::upgrade::WebSocketRules;

/// See the module.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where.
    pub place: Place,
    /// Only connections that come in by this network interface.
    pub interface: Option<String>,
    /// Connections begin with a header of a proxy.
    pub proxy: Option<ProxyRules>,
    /// TLS below everything but that.
    pub tls: Option<Server>,
    /// MQTT in WebSocket frames.
    pub websocket: Option<Arc<WebSocketRules>>,
    /// What its clients may do.
    pub rules: ListenerRules,
    /// Small packets do not wait for acknowledgements of TCP.
    pub nodelay: bool,
    /// Do without it where the system does not have it.
    pub optional: bool,
    /// With port 0, the port of the one before.
    pub same_port: bool,
}

/// What is asked of a proxy in front of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyRules {
    /// The version of its header.
    pub version: HeaderVersion,
    /// Its client came by TLS.
    pub tls_required: bool,
    /// And showed it a certificate that it found good.
    pub certificate_required: bool,
}

/// See [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP port; zero lets the system choose.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Endpoint {
    /// Plain MQTT.
    pub fn plain(place: Place) -> Self {
        Self {
            place,
            interface: None,
            proxy: None,
            tls: None,
            websocket: None,
            rules: ListenerRules::default(),
            nodelay: true,
            optional: false,
            same_port: false,
        }
    }

    /// Plain MQTT for this machine only, by both of its loopback addresses.
    pub fn local(port: u16) -> Vec<Self> {
        let first = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let second = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
        let second = Self {
            optional: true,
            same_port: true,
            ..Self::plain(Place::Tcp(second))
        };
        vec![Self::plain(Place::Tcp(first)), second]
    }

    /// Whether other machines can reach it.
    pub fn is_open(&self) -> bool {
        matches!(self.place, Place::Tcp(address) if !address.ip().is_loopback())
    }

    /// What is spoken there, in the words of its URL scheme.
    pub fn protocol(&self) -> &'static str {
        match (&self.websocket, &self.tls) {
            (None, None) => "mqtt",
            (None, Some(_)) => "mqtts",
            (Some(_), None) => "ws",
            (Some(_), Some(_)) => "wss",
        }
    }
}
