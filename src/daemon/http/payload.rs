//! Payloads as people see them: text where it is text, and no more of it than is asked for.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// Puts a payload into an object: what is shown of it, how long it is, and whether that is all.
pub(super) fn put(row: &mut Map<String, Value>, payload: &[u8], shown_max: usize) {
    let shown = &payload[..payload.len().min(shown_max)];
    row.insert(
        "payload".to_owned(),
        shown_as(shown, shown.len() < payload.len()),
    );
    row.insert("size".to_owned(), json!(payload.len()));
    row.insert("cut".to_owned(), json!(shown.len() < payload.len()));
}

/// `cut`: more follows, so the end may be a part of a character.
fn shown_as(bytes: &[u8], cut: bool) -> Value {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let strange = |letter: char| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r');
    match text {
        Some(text) if !text.contains(strange) => json!({ "text": text }),
        _ => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_and_all_else_is_base64() {
        let check = |payload: &[u8], shown_max: usize, expected: Value| {
            let mut row = Map::new();
            put(&mut row, payload, shown_max);
            assert_eq!(Value::Object(row), expected);
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
