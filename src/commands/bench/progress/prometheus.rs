//! `--prometheus`: the newest figures over HTTP, as Prometheus asks for them. One request at a time,
//! of a bounded length and in a bounded time; whoever asks cannot disturb the load.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request's head is no longer than this.
const HEAD_MAX: u64 = 8_192;

/// For a request to come, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(2);

/// The page that is served.
#[derive(Clone, Debug)]
pub(in crate::commands::bench) struct Exporter {
    page: Arc<Mutex<String>>,
    pub(in crate::commands::bench) address: SocketAddr,
}

impl Exporter {
    /// `:9100` is every address of this machine.
    pub(in crate::commands::bench) fn start(asked: &str) -> io::Result<Self> {
        let listener = match asked.strip_prefix(':') {
            Some(port) => TcpListener::bind(format!("0.0.0.0:{port}"))?,
            None => TcpListener::bind(asked)?,
        };
        let address = listener.local_addr()?;
        let page = Arc::new(Mutex::new(String::new()));
        let served = Arc::clone(&page);
        std::thread::Builder::new()
            .name("prometheus".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    // Whoever hangs up or stalls has asked in vain.
                    let _ = answer(stream, &served);
                }
            })?;
        Ok(Self { page, address })
    }

    pub(in crate::commands::bench) fn set(&self, page: String) {
        *self.page.lock().expect("nobody panics while holding it") = page;
    }
}

fn answer(mut stream: TcpStream, page: &Mutex<String>) -> io::Result<()> {
    let since = Instant::now();
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut part = [0; 1_024];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        // All of it in this time, not each byte.
        let left = PATIENCE.checked_sub(since.elapsed());
        let left = left.filter(|left| !left.is_zero());
        stream.set_read_timeout(Some(left.ok_or(ErrorKind::TimedOut)?))?;
        let read = stream.read(&mut part)?;
        if read == 0 || (head.len() + read) as u64 > HEAD_MAX {
            return Ok(());
        }
        head.extend_from_slice(&part[..read]);
    }
    let path = head.split(|&byte| byte == b' ').nth(1);
    let is_known = head.starts_with(b"GET ")
        && path.is_some_and(|path| path == b"/metrics" || path.starts_with(b"/metrics?"));
    let (status, body) = if is_known {
        let page = page.lock().expect("nobody panics while holding it");
        ("200 OK", page.clone())
    } else {
        ("404 Not Found", "GET /metrics is all there is\n".to_owned())
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes())
}
