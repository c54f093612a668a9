//! Where a broker lives: the table of URL schemes, and the [`Address`] they lead to.
//!
//! URLs here are the common ones (`mqtt://user:password@host:port`, `unix:///run/broker.sock`).
//! mosquitto's `-L`, whose path is a topic and knows no percent signs, is read in `cli`, which
//! then builds an `Address` of its own.

use std::fmt;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    /// A Unix socket.
    Unix,
}

/// One URL scheme and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    pub name: &'static str,
    pub transport: Transport,
    pub is_tls: bool,
    pub is_websocket: bool,
    /// 0 where there are no ports.
    pub port: u16,
}

const fn scheme(name: &'static str, is_tls: bool, is_websocket: bool, port: u16) -> Scheme {
    Scheme {
        name,
        transport: Transport::Tcp,
        is_tls,
        is_websocket,
        port,
    }
}

/// TABLE: every scheme a URL may begin with.
pub const SCHEMES: &[Scheme] = &[
    scheme("mqtt", false, false, 1883),
    scheme("tcp", false, false, 1883),
    scheme("mqtts", true, false, 8883),
    scheme("ssl", true, false, 8883),
    scheme("ws", false, true, 80),
    scheme("wss", true, true, 443),
    Scheme {
        name: "unix",
        transport: Transport::Unix,
        is_tls: false,
        is_websocket: false,
        port: 0,
    },
];

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

/// A URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub address: Address,
    pub is_tls: bool,
    pub is_websocket: bool,
    pub user_name: Option<String>,
    pub password: Option<Vec<u8>>,
    /// With its `/` and its query; empty when there is none. What it is for is the scheme's matter.
    pub path: String,
}

impl Url {
    /// Takes `mqtt://user:password@host:port/path` apart; an error's sentence names the fault.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("a URL begins with scheme://")?;
        let scheme = SCHEMES
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(scheme))
            .ok_or("unknown URL scheme")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (user_name, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(None) => (Some(percent_text(login.unwrap_or_default())?), None),
            Some(Some((user, password))) => {
                (Some(percent_text(user)?), Some(percent_bytes(password)?))
            }
        };
        let (address, path) = if scheme.transport == Transport::Unix {
            if !place.is_empty() || path.len() < 2 {
                return Err("a Unix socket is written unix:///path");
            }
            (Address::unix(percent_text(path)?), "")
        } else {
            let (host, port) = host_and_port(place)?;
            (Address::tcp(host, port.unwrap_or(scheme.port)), path)
        };
        Ok(Self {
            address,
            is_tls: scheme.is_tls,
            is_websocket: scheme.is_websocket,
            user_name,
            password,
            path: path.to_owned(),
        })
    }
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`; an IPv6 address without brackets has no port.
pub fn host_and_port(place: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a [ without its ]")?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err("only a :port may follow the ]"),
            }
        }
        None if place.matches(':').count() > 1 => (place, None),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    let port = match port {
        None => None,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err("a port is a number from 1 to 65535"),
        },
    };
    Ok((host, port))
}

/// Undoes `%41`.
pub fn percent_bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|&c| char::from(c).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err("two hexadecimal digits follow a % in a URL");
        };
        bytes.push((high * 16 + low) as u8);
        rest = &tail[2..];
    }
    Ok(bytes)
}

fn percent_text(text: &str) -> Result<String, &'static str> {
    String::from_utf8(percent_bytes(text)?).map_err(|_| "a name in the URL is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Result<(&str, &str, u16), &str>) {
        let read = Url::parse(url);
        let seen = read.as_ref().map(|url| {
            (
                url.user_name.as_deref().unwrap_or("-"),
                url.address.host.as_str(),
                url.address.port,
            )
        });
        assert_eq!(seen.map_err(|sentence| *sentence), expected);
    }

    #[test]
    fn urls_lead_to_addresses() {
        check("mqtt://broker.example", Ok(("-", "broker.example", 1883)));
        check("MQTT://h:1884/ignored", Ok(("-", "h", 1884)));
        check(
            "mqtt://ann%40home:p%3Aw@[::1]:9",
            Ok(("ann@home", "::1", 9)),
        );
        check("mqtt://::1", Ok(("-", "::1", 1883)));
        check("mqtt://ann@h", Ok(("ann", "h", 1883)));
        check("wss://h/mqtt", Ok(("-", "h", 443)));
        check("unix:///run/a%20b.sock", Ok(("-", "/run/a b.sock", 0)));
    }

    #[test]
    fn a_scheme_says_what_is_wrapped_around_the_bytes() {
        for (url, tls, websocket, path) in [
            ("mqtt://h", false, false, ""),
            ("mqtts://h/", true, false, "/"),
            ("ws://h:81/a?b=c", false, true, "/a?b=c"),
            ("wss://h?b", true, true, "?b"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(
                (url.is_tls, url.is_websocket, url.path.as_str()),
                (tls, websocket, path)
            );
        }
    }

    #[test]
    fn a_password_is_bytes() {
        let url = Url::parse("mqtt://u:%ff%00@h").unwrap();
        assert_eq!(url.password.as_deref(), Some(&[0xff, 0][..]));
    }

    #[test]
    fn a_wrong_url_is_refused_with_its_reason() {
        check("broker", Err("a URL begins with scheme://"));
        check("http://h", Err("unknown URL scheme"));
        check("mqtt://", Err("the host is missing"));
        check("unix://run/x", Err("a Unix socket is written unix:///path"));
        check("unix://", Err("a Unix socket is written unix:///path"));
        check("mqtt://h:0", Err("a port is a number from 1 to 65535"));
        check("mqtt://h:70000", Err("a port is a number from 1 to 65535"));
        check("mqtt://[::1", Err("a [ without its ]"));
        check("mqtt://[::1]x", Err("only a :port may follow the ]"));
        check("mqtt://%ff@h", Err("a name in the URL is not UTF-8"));
        check(
            "mqtt://%4@h",
            Err("two hexadecimal digits follow a % in a URL"),
        );
    }
}
