//! Where to connect, as typed: the URL of `-L` and the URL of `--proxy`.
//!
//! Both are mosquitto's forms, which are less than RFC 3986: nothing is percent-decoded but the
//! proxy's credentials, and the first slash starts the topic.

use crate::cli::number;
use crate::cli::words::Verdict;

/// What a scheme of `-L` brings along.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scheme {
    prefix: &'static str,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) websocket: bool,
}

/// mosquitto's port of plain WebSockets is 1883 here, as the listener it talks to serves both.
const SCHEMES: [Scheme; 4] = [
    Scheme {
        prefix: "mqtt://",
        port: 1883,
        tls: false,
        websocket: false,
    },
    Scheme {
        prefix: "mqtts://",
        port: 8883,
        tls: true,
        websocket: false,
    },
    Scheme {
        prefix: "ws://",
        port: 1883,
        tls: false,
        websocket: true,
    },
    Scheme {
        prefix: "wss://",
        port: 8883,
        tls: true,
        websocket: true,
    },
];

/// The parts of a `-L` URL; only the topic is certain to be there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) scheme: &'static Scheme,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) port: Option<&'a str>,
    pub(crate) topic: &'a str,
}

/// The scheme of this name.
pub(crate) fn scheme(name: &str) -> Option<&'static Scheme> {
    SCHEMES
        .iter()
        .find(|scheme| scheme.prefix.strip_suffix("://") == Some(name))
}

pub(crate) fn split_url(text: &str) -> Result<Url<'_>, Verdict> {
    let scheme = SCHEMES
        .iter()
        .find(|scheme| {
            text.get(..scheme.prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme.prefix))
        })
        .ok_or_else(|| Verdict::spaced("Unsupported URL scheme."))?;
    let (authority, topic) = text[scheme.prefix.len()..]
        .split_once('/')
        .ok_or_else(|| Verdict::tight("Invalid URL for -L argument specified - topic missing."))?;
    let (credentials, place) = match authority.split_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, authority),
    };
    let (user_name, password) = match credentials.map(|text| text.split_once(':')) {
        None => (None, None),
        Some(None) => (credentials, None),
        Some(Some((user_name, password))) => (Some(user_name), Some(password)),
    };
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    Ok(Url {
        scheme,
        user_name,
        password,
        host,
        port,
        topic,
    })
}

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    Socks5,
    /// HTTP CONNECT, which mosquitto's clients do not know.
    Http,
}

/// A proxy that resolves the broker's name itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    pub kind: ProxyKind,
    pub host: String,
    pub port: u16,
    pub user_name: Option<String>,
    pub password: Option<String>,
}

impl Proxy {
    pub(crate) fn parse(text: &str) -> Result<Self, Verdict> {
        let (kind, usual_port, rest) = match text.split_once("://") {
            Some(("socks5h", rest)) => (ProxyKind::Socks5, 1080, rest),
            Some(("http", rest)) => (ProxyKind::Http, 8080, rest),
            _ => return Err(unsupported(text)),
        };
        let (credentials, place) = match rest.split_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, rest),
        };
        let (user_name, password) = match credentials {
            None => (None, None),
            Some(text) => split_credentials(text)?,
        };
        let (host, port) = split_place(place)?;
        if host.is_empty() {
            return Err(Verdict::tight("Invalid proxy."));
        }
        let port = match port {
            None => usual_port,
            Some(text) => {
                let number = number::leading_i32(text);
                u16::try_from(number)
                    .ok()
                    .filter(|&port| port > 0)
                    .ok_or_else(|| Verdict::tight(format!("Invalid proxy port {number}")))?
            }
        };
        Ok(Self {
            kind,
            host: host.to_owned(),
            port,
            user_name,
            password,
        })
    }
}

pub(crate) fn unsupported(text: &str) -> Verdict {
    // Whoever mistypes the scheme has typed a password behind it all the same.
    let shown = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, host))) if rest.contains('@') => {
            format!("{scheme}://****@{host}")
        }
        _ => text.to_owned(),
    };
    Verdict::tight(format!("Unsupported proxy protocol: {shown}"))
}

fn split_credentials(text: &str) -> Result<(Option<String>, Option<String>), Verdict> {
    let (user_name, password) = match text.split_once(':') {
        Some((user_name, password)) => (user_name, Some(password)),
        None => (text, None),
    };
    if user_name.is_empty() && password.is_some() {
        return Err(Verdict::tight("Invalid proxy."));
    }
    if password.is_some_and(|password| password.contains(':')) {
        return Err(Verdict::tight("Username cannot contain ':'."));
    }
    let password = password.map(decode).transpose()?;
    Ok((Some(decode(user_name)?), password))
}

fn split_place(place: &str) -> Result<(&str, Option<&str>), Verdict> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| Verdict::tight("Invalid proxy."))?;
        // What is no port behind the bracket is told as one.
        let port = rest.strip_prefix(':').unwrap_or(rest);
        return Ok((host, Some(port).filter(|port| !port.is_empty())));
    }
    match place.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(Verdict::tight("Invalid proxy.")),
        Some((host, port)) => Ok((host, Some(port).filter(|port| !port.is_empty()))),
        None => Ok((place, None)),
    }
}

/// Only `%25`, `%3A` and `%40` stand for something: the characters that would end a part.
fn decode(text: &str) -> Result<String, Verdict> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        out.push(match rest.get(at + 1..at + 3) {
            Some("25") => '%',
            Some("3A" | "3a") => ':',
            Some("40") => '@',
            _ => return Err(Verdict::tight("Invalid proxy.")),
        });
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_falls_into_its_parts() {
        let url = split_url("MQTTS://me:se:cret@host:8884/a/b").unwrap();
        assert_eq!(url.scheme.port, 8883);
        assert!(url.scheme.tls);
        assert_eq!((url.user_name, url.password), (Some("me"), Some("se:cret")));
        assert_eq!(
            (url.host, url.port, url.topic),
            ("host", Some("8884"), "a/b")
        );

        let url = split_url("ws://host/t").unwrap();
        assert_eq!((url.host, url.port, url.user_name), ("host", None, None));
        assert!(url.scheme.websocket);
    }

    #[test]
    fn a_url_without_topic_or_with_another_scheme_is_refused() {
        let sentence = |text| split_url(text).unwrap_err().sentence;
        assert_eq!(sentence("http://a/b"), "Unsupported URL scheme.");
        assert_eq!(
            sentence("mqtt://host"),
            "Invalid URL for -L argument specified - topic missing."
        );
    }

    #[test]
    fn proxies() {
        let proxy = Proxy::parse("socks5h://me%3A:p%40%25@[::1]:99").unwrap();
        assert_eq!(proxy.host, "::1");
        assert_eq!(proxy.port, 99);
        assert_eq!(proxy.user_name.as_deref(), Some("me:"));
        assert_eq!(proxy.password.as_deref(), Some("p@%"));
        assert_eq!(Proxy::parse("socks5h://host").unwrap().port, 1080);

        let sentence = |text| Proxy::parse(text).unwrap_err().sentence;
        assert_eq!(sentence("ftp://h"), "Unsupported proxy protocol: ftp://h");
        let told = "Unsupported proxy protocol: ftp://****@h:1";
        assert_eq!(sentence("ftp://ann:geheim@h:1"), told);
        assert_eq!(sentence("socks5h://"), "Invalid proxy.");
        assert_eq!(sentence("socks5h://[::1]x"), "Invalid proxy port 0");
        assert_eq!(sentence("socks5h://h:70000"), "Invalid proxy port 70000");
    }
}
