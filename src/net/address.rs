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
}

/// One URL scheme and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    pub name: &'static str,
    pub transport: Transport,
    /// 0 where there are no ports.
    pub port: u16,
}

/// TABLE: every scheme a URL may begin with.
pub const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "mqtt",
        transport: Transport::Tcp,
        port: 1883,
    },
    Scheme {
        name: "tcp",
        transport: Transport::Tcp,
        port: 1883,
    },
];

/// Where a broker lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub transport: Transport,
    /// A name or an IP address, an IPv6 one without its brackets.
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
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub address: Address,
    pub user_name: Option<String>,
    pub password: Option<Vec<u8>>,
}

impl Url {
    /// Takes `mqtt://user:password@host:port` apart; the sentence of an error names the fault.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("a URL begins with scheme://")?;
        let scheme = SCHEMES
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(scheme))
            .ok_or("unknown URL scheme")?;
        let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
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
        let (host, port) = host_and_port(place)?;
        let address = Address {
            transport: scheme.transport,
            host: host.to_owned(),
            port: port.unwrap_or(scheme.port),
        };
        Ok(Self {
            address,
            user_name,
            password,
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
    String::from_utf8(percent_bytes(text)?).map_err(|_| "the user name is not UTF-8")
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
        check("mqtt://h:0", Err("a port is a number from 1 to 65535"));
        check("mqtt://h:70000", Err("a port is a number from 1 to 65535"));
        check("mqtt://[::1", Err("a [ without its ]"));
        check("mqtt://[::1]x", Err("only a :port may follow the ]"));
        check("mqtt://%ff@h", Err("the user name is not UTF-8"));
        check(
            "mqtt://%4@h",
            Err("two hexadecimal digits follow a % in a URL"),
        );
    }
}
