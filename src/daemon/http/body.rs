//! Bodies of requests: JSON of a bounded size that comes in a bounded time.

use std::collections::HashSet;
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
        Ok(Value::Object(object)) => match doubled(&bytes) {
            None => Ok(object),
            // Which of the two is meant, only who sent them knows.
            Some(name) => Err(Fault::bad(format!("{name:?} is there twice in one object"))),
        },
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

/// A name that an object in this text has twice. What it looks at is JSON, so little is to be known.
fn doubled(text: &[u8]) -> Option<String> {
    // The names of each object that is open; nothing for an array.
    let mut open: Vec<Option<HashSet<String>>> = Vec::new();
    let (mut at, mut name_comes) = (0, false);
    while let Some(&byte) = text.get(at) {
        let begin = at;
        at += 1;
        match byte {
            b'"' => {
                at = end_of_string(text, at);
                if std::mem::take(&mut name_comes)
                    && let Some(Some(names)) = open.last_mut()
                {
                    let name: String = serde_json::from_slice(&text[begin..at]).ok()?;
                    if names.contains(&name) {
                        return Some(name);
                    }
                    names.insert(name);
                }
            }
            b'{' | b'[' => {
                name_comes = byte == b'{';
                open.push(name_comes.then(HashSet::new));
            }
            b'}' | b']' => {
                open.pop();
                name_comes = false;
            }
            b',' => name_comes = matches!(open.last(), Some(Some(_))),
            _ => {}
        }
    }
    None
}

/// Behind the quotation mark that ends a string, of which `from` is the first letter.
fn end_of_string(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(&byte) = text.get(at) {
        at += if byte == b'\\' { 2 } else { 1 };
        if byte == b'"' {
            break;
        }
    }
    at.min(text.len())
}

fn too_large(most: usize) -> Fault {
    Fault::new(Kind::TooLarge, format!("a body has {most} bytes at most"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_an_object_has_twice_are_found() {
        let check = |text: &str, expected: Option<&str>| {
            serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(doubled(text.as_bytes()).as_deref(), expected, "{text}");
        };
        check(r#"{"a":1,"b":"a","c":["a","a"],"d":{"a":1}}"#, None);
        check(r#"{"a":1,"a":1}"#, Some("a"));
        check(r#"{"a":1 , "\u0061" : 2}"#, Some("a"));
        check(r#"{"a":[{"b":1},{"b":2,"c":"}","b":3}]}"#, Some("b"));
        check(r#"{"a\"":",","b":"{\"a\":1,\"a\":1}","a\\":1}"#, None);
        check(r#"{"":0,"x":[[],{}],"":0}"#, Some(""));
    }
}
