//! MQTT inside WebSocket (section 6 of the standard): the handshake, and bytes in binary messages.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::mqtt::limits::PACKET_SIZE_MAX;
use crate::net::Stream;
use crate::net::address::Address;

/// Allocated for every connection, idle or not.
const READ_BUFFER: usize = 16 * 1024;

/// What the handshake says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocket {
    /// With its `/`, and a query if there is one.
    pub path: String,
    /// Further header lines of the request.
    pub headers: Vec<(String, String)>,
}

impl Default for WebSocket {
    /// `/mqtt`, as brokers have agreed on.
    fn default() -> Self {
        Self {
            path: "/mqtt".to_owned(),
            headers: Vec::new(),
        }
    }
}

impl WebSocket {
    /// The handshake, over a stream that stands.
    pub(super) async fn connect(
        &self,
        address: &Address,
        is_tls: bool,
        stream: Stream,
    ) -> io::Result<Opened> {
        let scheme = if is_tls { "wss" } else { "ws" };
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let url = format!("{scheme}://{address}{slash}{}", self.path);
        let mut request = url.into_client_request().map_err(plain)?;
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            let wrong = |_| wrong_header(name);
            let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong_header(name))?;
            headers.append(name, HeaderValue::try_from(value.as_str()).map_err(wrong)?);
        }
        // [MQTT-6.0.0-3]
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(PACKET_SIZE_MAX))
            .max_frame_size(Some(PACKET_SIZE_MAX));
        let (inner, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config))
            .await
            .map_err(not_granted)?;
        Ok(Opened {
            inner,
            held: Bytes::new(),
        })
    }
}

/// Why there is no WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum NotGranted {
    /// The server answered with this status.
    Status(u16),
    /// What answered does not speak HTTP.
    NoHttp,
    /// Nothing answered.
    Closed,
}

impl std::fmt::Display for NotGranted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => {
                write!(f, "the server answered {status} to the WebSocket handshake")
            }
            Self::Closed => {
                f.write_str("the server closed the connection within the WebSocket handshake")
            }
            Self::NoHttp => f.write_str("the answer to the WebSocket handshake is no HTTP"),
        }
    }
}

impl std::error::Error for NotGranted {}

fn wrong_header(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("no such header can be sent: {name}"),
    )
}

/// A WebSocket that stands, as a stream of bytes: where messages begin and end means nothing to
/// MQTT [MQTT-6.0.0-2].
#[derive(Debug)]
pub struct Opened {
    inner: WebSocketStream<Stream>,
    /// What of the last message was not read yet.
    held: Bytes,
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.held.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.held = bytes,
                // [MQTT-6.0.0-1]
                Some(Ok(Message::Text(_))) => {
                    let what = "the broker sent a WebSocket message of text";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(Error::ConnectionClosed)) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(plain(error))),
            }
        }
        let count = self.held.len().min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Opened {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(plain)?;
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.inner)
            .start_send(message)
            .map_err(plain)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(plain)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.inner).poll_close(cx)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(plain(error))),
        }
    }
}

/// The handshake failed.
fn not_granted(error: Error) -> io::Error {
    use io::ErrorKind::{ConnectionReset, UnexpectedEof};
    let why = match &error {
        Error::Http(response) => NotGranted::Status(response.status().as_u16()),
        Error::HttpFormat(_) | Error::Protocol(ProtocolError::HttparseError(_)) => {
            NotGranted::NoHttp
        }
        Error::ConnectionClosed | Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            NotGranted::Closed
        }
        Error::Io(error) if matches!(error.kind(), ConnectionReset | UnexpectedEof) => {
            NotGranted::Closed
        }
        _ => return plain(error),
    };
    io::Error::other(why)
}

fn plain(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::UnexpectedEof.into(),
        Error::Protocol(what) => {
            io::Error::new(io::ErrorKind::InvalidData, format!("WebSocket: {what}"))
        }
        error => io::Error::other(format!("WebSocket: {error}")),
    }
}
