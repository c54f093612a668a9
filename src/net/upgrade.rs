//! The HTTP request that asks for a WebSocket, and the answer of a server (RFC 6455, §4.2), without
//! I/O.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request head may have this many bytes; browsers send cookies with theirs.
pub(crate) const REQUEST_SIZE_MAX: usize = 16_384;

const HEADERS_MAX: usize = 64;

/// What a request came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Not all of it is here.
    More,
    /// Granted: the answer, and how many bytes the request has. MQTT follows.
    Granted(Vec<u8>, usize),
    /// Refused: the answer, and why.
    Refused(Vec<u8>, &'static str),
}

/// Reads a request. `origins` are those that may ask; none lets all.
pub(crate) fn read(bytes: &[u8], origins: &[String]) -> Upgrade {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let size = match request.parse(bytes) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) if bytes.len() < REQUEST_SIZE_MAX => return Upgrade::More,
        Ok(httparse::Status::Partial) => {
            return refuse(
                "431 Request Header Fields Too Large",
                "a request without end",
            );
        }
        Err(_) => return refuse("400 Bad Request", "no HTTP request"),
    };
    let header = |name: &str| {
        let mut found = request
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        found
            .next()
            .and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let has = |name: &str, word: &str| {
        header(name).is_some_and(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(word))
        })
    };
    if request.method != Some("GET")
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
        && !origins.is_empty()
        && !origins.iter().any(|allowed| allowed == origin)
    {
        return refuse("403 Forbidden", "an origin that is not allowed");
    }
    let Some(key) = header("sec-websocket-key") else {
        return refuse("400 Bad Request", "no Sec-WebSocket-Key");
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
        derive_accept_key(key.trim().as_bytes()),
    );
    Upgrade::Granted(answer.into_bytes(), size)
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

    #[test]
    fn a_request_for_mqtt_is_granted_once_it_is_whole() {
        for cut in 0..GOOD.len() {
            assert_eq!(read(&GOOD.as_bytes()[..cut], &[]), Upgrade::More);
        }
        let bytes = [GOOD.as_bytes(), b"\x82"].concat();
        let Upgrade::Granted(answer, size) = read(&bytes, &["http://a".to_owned()]) else {
            panic!("not granted");
        };
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(size, GOOD.len());
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(answer.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
    }

    #[test]
    fn other_requests_get_their_answer() {
        let check = |request: &str, status: &str| {
            let Upgrade::Refused(answer, _) = read(request.as_bytes(), &["http://b".to_owned()])
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
        check(
            &format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(REQUEST_SIZE_MAX)),
            "431",
        );
    }
}
