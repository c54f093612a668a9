//! Visitors over HTTP: questions on a connection that stays, and pages as the dashboard makes them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the overview asks besides, and how often.
const POLLED: [&str; 2] = ["/api/v1/overview", "/api/v1/listeners"];
const POLL_PAUSE: Duration = Duration::from_secs(5);

/// Longer than the second between two events.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Visit {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Visit {
    pub(crate) fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            port,
            stream: BufReader::with_capacity(262_144, stream),
        }
    }

    fn begin(&mut self, path: &str) -> usize {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
            self.port
        );
        self.stream.get_mut().write_all(head.as_bytes()).unwrap();
        let status = self.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{path}: {status}");
        let mut length = 0;
        loop {
            let line = self.line();
            if line.is_empty() {
                return length;
            }
            if let Some(digits) = line.strip_prefix("content-length: ") {
                length = digits.parse().unwrap();
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Asks, and reads all of the answer: how many bytes it had.
    pub(crate) fn ask(&mut self, path: &str) -> usize {
        let length = self.begin(path);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        length
    }

    /// Reads the figures of each second until told to stop.
    fn follow(mut self, stop: &AtomicBool) {
        self.begin("/api/v1/events");
        while !stop.load(Ordering::Relaxed) {
            self.line();
        }
    }
}

/// A tab that shows the overview.
pub(crate) fn page(port: u16, stop: &AtomicBool) {
    std::thread::scope(|scope| {
        scope.spawn(|| Visit::open(port).follow(stop));
        let mut visit = Visit::open(port);
        visit.ask("/api/v1/history");
        let mut due = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if Instant::now() >= due {
                POLLED.iter().for_each(|path| {
                    visit.ask(path);
                });
                due += POLL_PAUSE;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}
