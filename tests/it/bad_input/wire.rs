//! Rows that are bytes: a broker with listeners behind proxies and for WebSockets, a connection a
//! row, what it answers, and what it logs about the connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;

use crate::bad_input::files::{Folder, without_time};
use crate::support::broker_process::{BrokerProcess, PATIENCE};

/// By their numbers in the table: a proxy of version 1, of version 2, one that speaks TLS, one that
/// asks for certificates; WebSockets; TLS; MQTT alone.
const LISTENERS: &str = "allow_anonymous true
listener any 127.0.0.1
enable_proxy_protocol 1
listener any 127.0.0.1
enable_proxy_protocol 2
listener any 127.0.0.1
enable_proxy_protocol 2
proxy_protocol_v2_require_tls true
listener any 127.0.0.1
enable_proxy_protocol 2
require_certificate true
use_identity_as_username true
listener any 127.0.0.1
protocol websockets
websockets_origin http://ours
listener any 127.0.0.1
certfile SERVER.pem
keyfile SERVER.key
listener any 127.0.0.1";

pub(super) struct Live {
    broker: BrokerProcess,
    /// Lines of the log that are told; a row at a time, so what follows is the next one's.
    told: Mutex<usize>,
}

impl Live {
    pub(super) fn start(folder: &Folder) -> Self {
        let server = folder.path("server").display().to_string();
        let lines = LISTENERS.replace("SERVER", &server);
        let broker = BrokerProcess::configured(&lines, &["-v"]);
        broker.wait_log("2.1.2 running");
        let told = Mutex::new(broker.log().len());
        Self { broker, told }
    }

    /// What comes back after these bytes, and what is logged of it.
    pub(super) fn answer(&self, listener: usize, bytes: &[u8]) -> Vec<String> {
        let mut told = self.told.lock().unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", self.broker.ports[listener])).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let here = stream.local_addr().unwrap().to_string();
        // It may be closed before it has read all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut back = Vec::new();
        // A reset after the last byte is an end, too.
        let _ = stream.read_to_end(&mut back);
        let log = self.broker.wait_log_behind(*told, " disconnected");
        let new = log[*told..].iter().map(|line| without_time(line));
        let new = new.filter(|line| !line.starts_with("New connection from "));
        *told = log.len();
        let new = new.map(|line| line.replace(&here, "CLIENT"));
        shown(&back).into_iter().chain(new).collect()
    }

    /// It has outlived all that.
    pub(super) fn end(mut self) {
        self.broker.ask_to_end();
        assert!(self.broker.wait().success());
    }
}

/// What every refusal says.
const HEADERS: &str = "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: close\r\n\
    Content-Type: text/plain\r\n";

/// A line of text, or as much of it as there is; what is granted is not shown, nor [`HEADERS`].
fn shown(back: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(back).ok();
    let without = text.and_then(|text| text.split_once(HEADERS));
    let joined = without.map(|(before, behind)| format!("{before}{behind}"));
    let back = joined.as_ref().map_or(back, |text| text.as_bytes());
    let back = match back.strip_prefix(b"HTTP/1.1 101") {
        Some(rest) => {
            let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
            &rest[end.unwrap() + 4..]
        }
        None => back,
    };
    let lines = back.split_inclusive(|&byte| byte == b'\n');
    let shown = lines.map(|line| format!("< {}", line.escape_ascii()));
    shown.collect()
}
