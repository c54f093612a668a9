//! Rows of long answers, written as JSON at once: of a page of a thousand, a tree of values would be
//! nine tenths of the work. Whoever makes many of them pauses now and then.

use std::io::Write as _;

use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use crate::daemon::http::answer;

/// An answer that ends with rows: an object, and the name of its last member.
pub(super) struct Listed {
    pub(super) about: Value,
    pub(super) name: &'static str,
    pub(super) rows: Rows,
}

/// Objects of an array, one behind the other.
#[derive(Default)]
pub(super) struct Rows {
    text: Vec<u8>,
    count: usize,
}

/// An object while it is written.
pub(super) struct Object<'a> {
    text: &'a mut Vec<u8>,
    is_empty: bool,
}

impl Rows {
    pub(super) fn add(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        self.begin();
        put(&mut self.text, fill);
    }

    /// One that was made already.
    pub(super) fn add_value(&mut self, row: &Value) {
        self.begin();
        serde_json::to_writer(&mut self.text, row).expect("memory takes what is written");
    }

    fn begin(&mut self) {
        if self.count > 0 {
            self.text.push(b',');
        }
        self.count += 1;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Writes one behind what is there.
pub(super) fn put(text: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    text.push(b'{');
    let mut object = Object {
        text,
        is_empty: true,
    };
    fill(&mut object);
    text.push(b'}');
}

impl Object<'_> {
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        string(self.text, text);
    }

    pub(super) fn text_or_null(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.value(name, &Value::Null),
        }
    }

    /// For what needs no memory of its own.
    pub(super) fn value(&mut self, name: &str, value: &Value) {
        self.name(name);
        serde_json::to_writer(&mut *self.text, value).expect("memory takes what is written");
    }

    /// A moment, as [`time`](crate::daemon::http::sample::time) has it.
    pub(super) fn time_or_null(&mut self, name: &str, at: Option<Timestamp>) {
        let Some(at) = at else {
            return self.value(name, &Value::Null);
        };
        self.name(name);
        write!(self.text, "\"{at:.3}\"").expect("memory takes what is written");
    }

    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        put(self.text, fill);
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.text.push(b',');
        }
        string(self.text, name);
        self.text.push(b':');
    }
}

fn string(text: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(text, value).expect("memory takes what is written");
}

/// An answer that is one of them.
pub(super) fn one(fill: impl FnOnce(&mut Object<'_>)) -> Response {
    let mut text = Vec::new();
    put(&mut text, fill);
    text.push(b'\n');
    answer::json_text(text)
}

impl IntoResponse for Listed {
    fn into_response(self) -> Response {
        let mut text = self.about.to_string().into_bytes();
        let end = text.pop();
        assert_eq!(end, Some(b'}'), "an object is wanted");
        if text.len() > 1 {
            text.push(b',');
        }
        string(&mut text, self.name);
        text.extend_from_slice(b":[");
        text.extend_from_slice(&self.rows.text);
        text.extend_from_slice(b"]}\n");
        answer::json_text(text)
    }
}

/// Between two parts of what takes long: other visitors have their turn, and other threads.
pub(super) async fn pause() {
    give_way();
    tokio::task::yield_now().await;
}

/// Where more threads have work than there are cores, others have this core; without it a worker that
/// was woken waits until the system takes the core away, which is more than a millisecond.
pub(super) fn give_way() {
    std::thread::yield_now();
}
