//! One who plays a script with one broker, and writes down what comes back.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mqttx::mqtt::frame::{Scan, scan};

/// How long an answer may take; what is silent for so long has said all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Plays a script with one broker, and writes down what comes back.
pub(crate) struct Player {
    ports: Vec<u16>,
    /// Which of them new connections go to.
    pub(crate) listener: usize,
    clients: Vec<(String, Option<TcpStream>)>,
    pub(crate) transcript: String,
}

impl Player {
    pub(crate) fn new(ports: &[u16]) -> Self {
        Self {
            ports: ports.to_vec(),
            listener: 0,
            clients: Vec::new(),
            transcript: String::new(),
        }
    }

    /// Opens a connection and sends bytes, without asking for more.
    pub(crate) fn open(&mut self, name: &str, bytes: &[u8]) {
        self.clients.retain(|(known, _)| known != name);
        let port = self.ports[self.listener];
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            writeln!(self.transcript, "{name} finds no broker").unwrap();
            return self.clients.push((name.to_owned(), None));
        };
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        self.clients.push((name.to_owned(), Some(stream)));
    }

    /// The same, and takes the CONNACK or the end.
    pub(crate) fn connect(&mut self, name: &str, bytes: &[u8]) {
        self.open(name, bytes);
        self.take(name);
    }

    /// Sends bytes, and writes down all that they lead to, for everybody.
    pub(crate) fn send(&mut self, name: &str, bytes: &[u8]) {
        self.write(name, bytes);
        let place = self.place(name);
        self.fence(place);
        for other in 0..self.clients.len() {
            if other != place {
                self.fence(other);
            }
        }
    }

    /// Sends bytes, and waits for nothing.
    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) {
        let place = self.place(name);
        if let Some(stream) = &mut self.clients[place].1 {
            let _ = stream.write_all(bytes);
        }
    }

    /// Writes down one packet, or the end.
    pub(crate) fn take(&mut self, name: &str) {
        let place = self.place(name);
        self.frame(place);
    }

    fn place(&self, name: &str) -> usize {
        let place = self.clients.iter().position(|(known, _)| known == name);
        place.expect("a client that was opened")
    }

    /// Closes a connection without a word, and lets the broker notice.
    pub(crate) fn cut(&mut self, name: &str) {
        let place = self.place(name);
        let (_, stream) = &mut self.clients[place];
        if let Some(mut stream) = stream.take() {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        for other in 0..self.clients.len() {
            self.fence(other);
        }
    }

    /// Reads until the answer to a PINGREQ: before it the broker has said all that it has to say.
    fn fence(&mut self, place: usize) {
        if let Some(stream) = &mut self.clients[place].1 {
            let _ = stream.write_all(&[0xc0, 0]);
        }
        while self.frame(place).is_some_and(|frame| frame != [0xd0, 0]) {}
    }

    /// The next packet; `None` at the end.
    fn frame(&mut self, place: usize) -> Option<Vec<u8>> {
        let (name, stream) = &mut self.clients[place];
        let mut frame = Vec::new();
        let connection = stream.as_mut()?;
        loop {
            let mut byte = [0];
            match connection.read(&mut byte) {
                Ok(1) => frame.push(byte[0]),
                Ok(_) => break,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    writeln!(self.transcript, "{name} hears nothing").unwrap();
                    break;
                }
            }
            match scan(&frame, usize::MAX) {
                Ok(Scan::Head(head)) if head.total() == frame.len() => {
                    if frame != [0xd0, 0] {
                        let line = hex(&frame);
                        writeln!(self.transcript, "{name} < {line}").unwrap();
                    }
                    return Some(frame);
                }
                _ => {}
            }
        }
        writeln!(self.transcript, "{name} closed {}", hex(&frame)).unwrap();
        *stream = None;
        None
    }
}

/// Identifiers made by chance are left out: mosquitto's have the form of UUIDs, as ours.
fn hex(bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    let found = bytes.windows(5).position(|window| window == b"auto-");
    if let Some(at) = found {
        let id = bytes.iter_mut().skip(at + 5).take(36);
        for byte in id.filter(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
            *byte = b'X';
        }
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
