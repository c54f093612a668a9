//! Bodies of requests: JSON of a bounded size that comes in a bounded time.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::header;
use futures_util::StreamExt as _;
use serde_json::{Map, Value};

use crate::daemon::http::answer::{Fault, Kind};

/// It is to be whole by then.
const BODY_TIME: Duration = Duration::from_secs(15);

/// The object that a request carries, in `most` bytes.
pub(super) async fn object(
    request: Request<Body>,
    most: usize,
) -> Result<Map<String, Value>, Fault> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let what = "Content-Type: application/json is wanted";
        return Err(Fault::new(Kind::WrongType, what));
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > most as u64) {
        return Err(too_large(most));
    }
    let bytes = tokio::time::timeout(BODY_TIME, whole(request.into_body(), most)).await;
    let bytes = bytes.map_err(|_| Fault::new(Kind::Timeout, "the body did not come in time"))??;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Fault::bad("the body is to be a JSON object")),
        Err(error) => Err(Fault::bad(format!("the body is no JSON: {error}"))),
    }
}

async fn whole(body: Body, most: usize) -> Result<Vec<u8>, Fault> {
    let mut parts = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Fault::bad("the body did not come whole"))?;
        if bytes.len() + part.len() > most {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn too_large(most: usize) -> Fault {
    Fault::new(Kind::TooLarge, format!("a body has {most} bytes at most"))
}
