//! Server-sent events: a short queue for each reader, filled by whoever has something to tell, and
//! emptied as fast as the reader reads.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::mpsc;

/// Parts that wait for a reader.
const WAITING_MAX: usize = 4;

/// So often something is sent, so that what stands between does not take the reader for gone.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// A comment: nothing for the reader, something for those between.
pub(super) const ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Where events go in; closed when the reader is gone.
pub(super) type Events = mpsc::Sender<Bytes>;

/// A stream, and where its events go in.
pub(super) fn open() -> (Events, Response) {
    let (events, queue) = mpsc::channel::<Bytes>(WAITING_MAX);
    let next = |mut queue: mpsc::Receiver<Bytes>| async {
        let event = queue.recv().await?;
        Some((Ok::<_, Infallible>(event), queue))
    };
    let mut response = Response::new(Body::from_stream(stream::unfold(queue, next)));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (events, response)
}

/// An event as it is sent. JSON has no line ends of its own.
pub(super) fn event(name: &str, data: &Value) -> Bytes {
    text_event(name, &data.to_string())
}

/// The same for JSON that is text already.
pub(super) fn text_event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
