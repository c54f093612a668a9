//! The first bytes of a connection: a visitor, or a client that asks for a WebSocket. The latter's
//! connection belongs to a worker from its first byte on, so these are looked at and left where
//! they are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::daemon::http::gate;

/// What every request for a WebSocket begins with here.
const BEGINNING: &[u8] = b"GET /mqtt";

/// Bytes of its head, and its lines.
pub(super) const HEAD_MAX: usize = 16_384;
const HEADERS_MAX: usize = 64;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Too little to tell.
    More,
    /// Something for the router, which also answers what is wrong with it.
    Page,
    /// MQTT over WebSocket, from a page that may.
    WebSocket,
}

/// Looks at the first bytes. `local_only`: see [`gate::check`].
pub(super) fn look(bytes: &[u8], local_only: bool) -> First {
    let known = bytes.len().min(BEGINNING.len());
    if bytes[..known] != BEGINNING[..known] {
        return First::Page;
    }
    match bytes.get(BEGINNING.len()) {
        Some(b' ' | b'?') => {}
        Some(_) => return First::Page,
        None => return First::More,
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => return First::More,
        _ => return First::Page,
    }
    let mut map = HeaderMap::new();
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(header.value)) else {
            return First::Page;
        };
        map.append(name, value);
    }
    let upgrade = map.get("upgrade").and_then(|value| value.to_str().ok());
    let asks = upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    match asks && gate::check(&map, local_only).is_ok() {
        true => First::WebSocket,
        false => First::Page,
    }
}

/// A stream whose first bytes were read already, and are read again.
pub(super) struct Reread<S> {
    pub(super) first: Vec<u8>,
    pub(super) stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Reread<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, room);
        }
        let count = self.first.len().min(room.remaining());
        room.put_slice(&self.first[..count]);
        self.first.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reread<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKING: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost:80\r\nUpgrade: websocket\r\n\
        Origin: http://localhost:80\r\n\r\n";

    #[test]
    fn a_request_for_a_websocket_is_known_once_it_is_whole() {
        for cut in 0..ASKING.len() {
            assert_eq!(look(&ASKING.as_bytes()[..cut], true), First::More, "{cut}");
        }
        assert_eq!(look(ASKING.as_bytes(), true), First::WebSocket);
        let with_query = ASKING.replace("/mqtt", "/mqtt?a=b");
        assert_eq!(look(with_query.as_bytes(), true), First::WebSocket);
    }

    #[test]
    fn all_else_is_for_the_router() {
        let check = |text: &str| assert_eq!(look(text.as_bytes(), true), First::Page, "{text}");
        check("POST");
        check("GET /api");
        check("GET /mqttx");
        check("GET /mqtt HTTP/1.1\r\n\r\n");
        check(&ASKING.replace("http://localhost:80", "http://evil.example"));
        check(&ASKING.replace("Host: localhost:80", "Host: evil.example"));
        check(&ASKING.replace("websocket", "h2c"));
        check(&ASKING.replace("Host:", "Ho st:"));
        check(&format!(
            "GET /mqtt HTTP/1.1\r\nA: {}",
            "a".repeat(HEAD_MAX)
        ));
    }
}
