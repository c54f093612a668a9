//! The HTTP request that asks for a WebSocket, and the answer of a server (RFC 6455, §4.2), without
//! I/O.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What a listener demands of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketRules {
    /// Origins that may ask; none lets all.
    pub origins: Vec<String>,
    /// Bytes of a request head; browsers send cookies with theirs.
    pub head_max: usize,
    /// The first address of X-Forwarded-For is the client's: only where a proxy of ours writes it.
    pub forwarded_for: bool,
}

impl Default for WebSocketRules {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            head_max: 16_384,
            forwarded_for: false,
        }
    }
}

const HEADERS_MAX: usize = 64;

/// What a request came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Not all of it is here.
    More,
    /// Granted; MQTT follows.
    Granted(Granted),
    /// Refused: the answer, and why.
    Refused(Vec<u8>, &'static str),
}

/// See [`Upgrade::Granted`].
#[derive(Debug, PartialEq, Eq)]
pub struct Granted {
    pub answer: Vec<u8>,
    /// Bytes of the request.
    pub size: usize,
    /// The client's address, as a proxy has it.
    pub forwarded_for: Option<IpAddr>,
}

/// Reads a request.
pub fn read(bytes: &[u8], rules: &WebSocketRules) -> Upgrade {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let size = match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() < rules.head_max => return Upgrade::More,
        Ok(httparse::Status::Complete(size)) if size <= rules.head_max => size,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return refuse(
                "431 Request Header Fields Too Large",
                "a request without end",
            );
        }
        Err(_) => return refuse("400 Bad Request", "no HTTP request"),
    };
    let header = |name: &str| {
        let mut headers = request.headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let has = |name: &str, word: &str| {
        header(name).is_some_and(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(word))
        })
    };
    if request.method != Some("GET")
        || request.version == Some(0)
        || !has("upgrade", "websocket")
        || !has("connection", "upgrade")
    {
        return refuse(
            "426 Upgrade Required",
            "an HTTP request that asks for no WebSocket",
        );
    }
    if header("sec-websocket-version") != Some("13") {
        return refuse("426 Upgrade Required", "a WebSocket version other than 13");
    }
    if let Some(origin) = header("origin")
        && !rules.origins.is_empty()
        && !rules.origins.iter().any(|allowed| allowed == origin)
    {
        return refuse("403 Forbidden", "an origin that is not allowed");
    }
    let key = match checked_key(header("sec-websocket-key")) {
        Ok(key) => key,
        Err(why) => return refuse("400 Bad Request", why),
    };
    // [MQTT-6.0.0-3]; clients of 3.1 say mqttv3.1.
    let Some(protocol) = ["mqtt", "mqttv3.1"]
        .into_iter()
        .find(|name| has("sec-websocket-protocol", name))
    else {
        return refuse("400 Bad Request", "no WebSocket subprotocol mqtt");
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n",
        derive_accept_key(key.as_bytes()),
    );
    let forwarded_for = header("x-forwarded-for").filter(|_| rules.forwarded_for);
    Upgrade::Granted(Granted {
        answer: answer.into_bytes(),
        size,
        forwarded_for: forwarded_for.and_then(first_address),
    })
}

/// RFC 6455, §4.2.1: 16 bytes in base64.
fn checked_key(header: Option<&str>) -> Result<&str, &'static str> {
    let key = header.ok_or("no Sec-WebSocket-Key")?.trim();
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(key),
        _ => Err("a Sec-WebSocket-Key that is not 16 bytes in base64"),
    }
}

/// The first of a list is the client, those behind it are proxies; some write a port, too.
fn first_address(list: &str) -> Option<IpAddr> {
    let first = list.split(',').next()?.trim();
    let bare = first.trim_start_matches('[').trim_end_matches(']');
    let with_port = || first.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

fn refuse(status: &str, why: &'static str) -> Upgrade {
    let answer = format!(
        "HTTP/1.1 {status}\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: close\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{why}\n",
        why.len() + 1,
    );
    Upgrade::Refused(answer.into_bytes(), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nOrigin: http://a\r\nSec-WebSocket-Protocol: foo, mqtt\r\n\r\n";

    fn rules(origins: &[&str]) -> WebSocketRules {
        WebSocketRules {
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
            ..WebSocketRules::default()
        }
    }

    #[test]
    fn addresses_before_a_proxy_are_taken_where_that_is_wished() {
        let check = |header: &str, expected: Option<&str>| {
            let request = GOOD.replace("Origin: http://a", header);
            for forwarded_for in [false, true] {
                let rules = WebSocketRules {
                    forwarded_for,
                    ..rules(&[])
                };
                let Upgrade::Granted(granted) = read(request.as_bytes(), &rules) else {
                    panic!("not granted");
                };
                let expected = expected.filter(|_| forwarded_for);
                assert_eq!(
                    granted.forwarded_for,
                    expected.map(|ip| ip.parse().unwrap())
                );
            }
        };
        check("X-Forwarded-For: 192.0.2.1", Some("192.0.2.1"));
        check("x-forwarded-for: 192.0.2.1, 10.0.0.1", Some("192.0.2.1"));
        check("X-Forwarded-For: 192.0.2.1:70", Some("192.0.2.1"));
        check("X-Forwarded-For: 2001:db8::1", Some("2001:db8::1"));
        check("X-Forwarded-For: [2001:db8::1]:70", Some("2001:db8::1"));
        check("X-Forwarded-For: unknown, 10.0.0.1", None);
        check("X-Forwarded-For:", None);
        check("X-Forwarded: 192.0.2.1", None);
    }

    #[test]
    fn a_request_for_mqtt_is_granted_once_it_is_whole() {
        for cut in 0..GOOD.len() {
            assert_eq!(read(&GOOD.as_bytes()[..cut], &rules(&[])), Upgrade::More);
        }
        let bytes = [GOOD.as_bytes(), b"\x82"].concat();
        let Upgrade::Granted(granted) = read(&bytes, &rules(&["http://a"])) else {
            panic!("not granted");
        };
        let answer = String::from_utf8(granted.answer).unwrap();
        assert_eq!(granted.size, GOOD.len());
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(answer.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
    }

    #[test]
    fn other_requests_get_their_answer() {
        let check = |request: &str, status: &str| {
            let Upgrade::Refused(answer, _) = read(request.as_bytes(), &rules(&["http://b"]))
            else {
                panic!("{status} expected");
            };
            assert!(answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()));
        };
        check("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "426");
        check("\x10\x0d\r\n\r\n", "400");
        check(GOOD, "403");
        let own = GOOD.replace("http://a", "http://b");
        check(&own.replace("foo, mqtt", "foo"), "400");
        check(&own.replace("Version: 13", "Version: 8"), "426");
        check(&own.replace("Sec-WebSocket-Key", "X-Key"), "400");
        check(&own.replace("dGhl", ""), "400");
        check(&own.replace("HTTP/1.1", "HTTP/1.0"), "426");
        check(
            &format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(16_384)),
            "431",
        );
    }
}
