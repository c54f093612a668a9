//! The same bytes to mosquitto and to us, started from the same configuration file: what comes back
//! is compared byte by byte, with what closes and what does not. Every difference has a rule that
//! says why; one without a rule fails, and so does a rule that no script needs any more.

mod messages;
mod scripts;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mqttx::mqtt::frame::{Scan, scan};

use crate::support::broker_process::BrokerProcess;
use crate::support::peers;
use crate::support::programs::skipped;

/// How long an answer may take; what is silent for so long has said all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Both brokers read this. What 2.1 does without being told, 2.0 is told here.
const CONF: &str = "max_packet_size 2000000\nmax_keepalive 600\n";

/// Why a script ends otherwise with us than with mosquitto 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// It does not.
    Same,
    /// mosquitto 2.1 changed it, and so do we.
    Since21(&'static str),
    /// The standard leaves it open, and we choose otherwise; what comes is the same, its time not.
    Choice(&'static str),
    /// The standard demands it, mosquitto does not do it, and nothing is lost by it.
    Standard(&'static str),
}

pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&mut Player),
    pub(crate) rule: Rule,
}

/// Plays a script with one broker, and writes down what comes back.
pub(crate) struct Player {
    port: u16,
    clients: Vec<(&'static str, Option<TcpStream>)>,
    pub(crate) transcript: String,
}

impl Player {
    fn new(port: u16) -> Self {
        Self {
            port,
            clients: Vec::new(),
            transcript: String::new(),
        }
    }

    /// Opens a connection and sends bytes, without asking for more.
    pub(crate) fn open(&mut self, name: &'static str, bytes: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        self.clients.retain(|(known, _)| *known != name);
        self.clients.push((name, Some(stream)));
    }

    /// The same, and takes the CONNACK or the end.
    pub(crate) fn connect(&mut self, name: &'static str, bytes: &[u8]) {
        self.open(name, bytes);
        self.take(name);
    }

    /// Sends bytes, and writes down all that they lead to, for everybody.
    pub(crate) fn send(&mut self, name: &'static str, bytes: &[u8]) {
        let place = self.clients.iter().position(|(known, _)| *known == name);
        let place = place.expect("a client that was opened");
        if let Some(stream) = &mut self.clients[place].1 {
            let _ = stream.write_all(bytes);
        }
        self.fence(place);
        for other in 0..self.clients.len() {
            if other != place {
                self.fence(other);
            }
        }
    }

    /// Writes down one packet, or the end.
    pub(crate) fn take(&mut self, name: &'static str) {
        let place = self.clients.iter().position(|(known, _)| *known == name);
        self.frame(place.expect("a client that was opened"));
    }

    /// Closes a connection without a word, and lets the broker notice.
    pub(crate) fn cut(&mut self, name: &'static str) {
        let place = self.clients.iter().position(|(known, _)| *known == name);
        let (_, stream) = &mut self.clients[place.expect("a client that was opened")];
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
                Err(error) => panic!("{name}: {error} after {}", self.transcript),
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

fn all() -> impl Iterator<Item = &'static Script> {
    scripts::HANDSHAKES.iter().chain(messages::MESSAGES)
}

fn play(script: &Script, port: u16) -> String {
    let mut player = Player::new(port);
    (script.play)(&mut player);
    player.transcript
}

#[test]
fn mosquitto_and_we_answer_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |[port]: [u16; 1]| format!("listener {port} 127.0.0.1\n{CONF}");
    let Some((_mosquitto, [theirs])) = peers::mosquitto(folder.path(), lines) else {
        return skipped(all().count(), "mosquitto is not installed");
    };
    let conf = format!("listener any 127.0.0.1\nallow_anonymous true\n{CONF}");
    let ours = BrokerProcess::configured(&conf, &["--workers", "1"]);
    let mut faults = String::new();
    let mut names = BTreeSet::new();
    for script in all() {
        assert!(names.insert(script.name), "{} is there twice", script.name);
        let (theirs, ours) = (play(script, theirs), play(script, ours.port));
        let same = theirs == ours;
        if same != (script.rule == Rule::Same) {
            let (name, rule) = (script.name, script.rule);
            writeln!(
                faults,
                "{name} ({rule:?}):\nmosquitto\n{theirs}mqttx\n{ours}"
            )
            .unwrap();
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
    assert!(names.len() > 100, "{} scripts", names.len());
}
