//! Payloads as people see them: text where it is text, and no more of it than is asked for.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::daemon::http::rows::Object;

/// What is shown of a payload.
enum Shown<'a> {
    Text(&'a str),
    Base64(String),
}

/// Puts a payload into an object: what is shown of it, how long it is, and whether that is all.
pub(super) fn put(row: &mut Map<String, Value>, payload: &[u8], shown_max: usize) {
    let cut = payload.len() > shown_max;
    let shown = match shown(payload, payload.len(), shown_max) {
        Shown::Text(text) => json!({ "text": text }),
        Shown::Base64(text) => json!({ "base64": text }),
    };
    row.insert("payload".to_owned(), shown);
    row.insert("size".to_owned(), json!(payload.len()));
    row.insert("cut".to_owned(), json!(cut));
}

/// Writes the same into a row, of a payload of `size` bytes whose beginning was kept.
pub(super) fn write(row: &mut Object<'_>, payload: &[u8], size: usize, shown_max: usize) {
    row.object("payload", |row| match shown(payload, size, shown_max) {
        Shown::Text(text) => row.text("text", text),
        Shown::Base64(text) => row.text("base64", &text),
    });
    row.value("size", &json!(size));
    row.value("cut", &json!(size > payload.len().min(shown_max)));
}

fn shown(kept: &[u8], size: usize, shown_max: usize) -> Shown<'_> {
    let bytes = &kept[..kept.len().min(shown_max)];
    // More follows, so the end may be a part of a character.
    let cut = bytes.len() < size;
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let strange = |letter: char| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r');
    match text {
        Some(text) if !text.contains(strange) => Shown::Text(text),
        _ => Shown::Base64(BASE64_STANDARD.encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::http::rows::Rows;

    #[test]
    fn text_is_text_and_all_else_is_base64() {
        let check = |payload: &[u8], shown_max: usize, expected: Value| {
            let mut row = Map::new();
            put(&mut row, payload, shown_max);
            assert_eq!(Value::Object(row), expected);
            let mut rows = Rows::default();
            rows.add(|row| write(row, payload, payload.len(), shown_max));
            let written: Value = serde_json::from_slice(rows.text()).unwrap();
            assert_eq!(written, expected);
        };
        let all =
            |payload: Value, size: usize| json!({ "payload": payload, "size": size, "cut": false });
        check(b"21.5\n", 100, all(json!({ "text": "21.5\n" }), 5));
        check(b"", 100, all(json!({ "text": "" }), 0));
        check(b"\x00\x01", 100, all(json!({ "base64": "AAE=" }), 2));
        check(b"a\x1b[0m", 100, all(json!({ "base64": "YRtbMG0=" }), 5));
        let cut =
            |payload: Value, size: usize| json!({ "payload": payload, "size": size, "cut": true });
        check("aä".as_bytes(), 2, cut(json!({ "text": "a" }), 3));
        check(b"a\xff\xff", 2, cut(json!({ "base64": "Yf8=" }), 3));
    }
}
