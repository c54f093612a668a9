//! A visitor over HTTP whose every byte is in a test's hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;

use crate::support::broker_process::PATIENCE;

/// Where a visitor goes, and what it says each time.
pub(crate) struct Visitor {
    pub(crate) port: u16,
    headers: Vec<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Visitor {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            headers: vec![format!("Host: localhost:{port}")],
        }
    }

    /// The same with one header more, or with another value for it.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let own = format!("{name}:");
        let kept = self.headers.iter().filter(|line| !line.starts_with(&own));
        let mut headers: Vec<String> = kept.cloned().collect();
        headers.push(format!("{own} {value}"));
        Self {
            port: self.port,
            headers,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        let sender = self.with("Content-Type", "application/json");
        sender.ask("POST", path, body)
    }

    /// What a path answers with 200, as JSON.
    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = self.begin(method, path, body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::read(&bytes)
    }

    /// Asks, and leaves the answer to be read.
    pub(crate) fn begin(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = self.connect();
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        for line in &self.headers {
            request += &format!("{line}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body;
        // It may be refused before all of it was sent.
        let _ = stream.write_all(request.as_bytes());
        stream
    }

    /// Asks for a stream of events.
    pub(crate) fn events(&self, path: &str) -> EventReader {
        let stream = self.begin("GET", path, "");
        let mut reader = EventReader {
            lines: BufReader::new(stream),
        };
        let status = reader.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{path}: {status}");
        while !reader.line().is_empty() {}
        reader
    }

    /// A connection, nothing said on it.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Reads a stream of events.
pub(crate) struct EventReader {
    lines: BufReader<TcpStream>,
}

impl EventReader {
    fn line(&mut self) -> String {
        let mut line = String::new();
        let count = self.lines.read_line(&mut line).unwrap();
        assert!(count > 0, "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next event of this name; others are passed over.
    pub(crate) fn next(&mut self, name: &str) -> Value {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no {name} comes");
            let line = self.line();
            if line.strip_prefix("event: ") == Some(name) {
                let data = self.line();
                return serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            }
        }
    }
}

impl Answer {
    /// An answer that is whole.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_str(&self.body).unwrap()
    }

    /// The word of the fault it tells of.
    #[track_caller]
    pub(crate) fn fault(&self) -> String {
        let json = self.json();
        assert!(json["error"]["message"].is_string(), "{self:?}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}
