//! mosquitto's clients, of 2.1.2 and of 2.0.11, and ours side by side against a broker that always
//! answers the same: what the broker saw, byte for byte, and what the shell saw. Where they may differ,
//! a rule says how: it turns what mosquitto did into what mqttx, which follows 2.1, must do, and it must
//! have something to turn.

mod endings;
mod matrix;
mod payloads;
mod properties;
mod refusals;
mod rows;
mod rules;
mod words;

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::Sender;

use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::{PacketType, Version};
use rustix::process::{Pid, Signal, kill_process};

use crate::compare_wire::rules::{OF_2_0, Rule, apply};
use crate::support::programs::{Left, Links, Program, mosquittos, mosquittos_21, skipped};

/// One run to compare.
struct Row {
    program: &'static str,
    words: &'static str,
    input: &'static str,
    /// The options file of the program.
    options: &'static str,
    broker: Broker,
    signal: Option<(PacketType, Signal)>,
    rules: &'static [Rule],
    /// The other release does not know it, or does it in its own way.
    only: Option<&'static str>,
}

/// How the broker answers.
#[derive(Clone, Copy)]
struct Broker {
    version: Version,
    /// CONNACK's Reason Code or return code.
    connack: u8,
    /// For every filter; none: what was asked for.
    granted: Option<u8>,
    /// Reason Code of PUBACK and PUBREC, version 5.
    refusal: u8,
    /// Sent after SUBACK.
    after_suback: &'static [&'static [u8]],
    /// Sent after the first PUBLISH.
    after_publish: &'static [&'static [u8]],
    /// Properties of CONNACK, version 5.
    tells: &'static [u8],
    has_session: bool,
    /// The packet that is answered by closing.
    closes_at: Option<PacketType>,
}

const V311: Broker = Broker {
    version: Version::V311,
    connack: 0,
    granted: None,
    refusal: 0,
    after_suback: &[],
    after_publish: &[],
    tells: &[],
    has_session: false,
    closes_at: None,
};
const V31: Broker = Broker {
    version: Version::V31,
    ..V311
};
const V5: Broker = Broker {
    version: Version::V5,
    ..V311
};

/// What there is to compare.
#[derive(Clone, PartialEq)]
struct Seen {
    left: Left,
    frames: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?}", self.left)?;
        self.frames
            .iter()
            .try_for_each(|frame| writeln!(f, "{}", frame.escape_ascii()))
    }
}

const fn row(program: &'static str, words: &'static str, broker: Broker) -> Row {
    Row {
        program,
        words,
        input: "",
        options: "",
        broker,
        signal: None,
        rules: &[],
        only: None,
    }
}

const fn fed(words: &'static str, input: &'static str, broker: Broker) -> Row {
    Row {
        input,
        ..row(P, words, broker)
    }
}

impl Row {
    const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    const fn options(mut self, options: &'static str) -> Self {
        self.options = options;
        self
    }

    const fn of_2_1(mut self) -> Self {
        self.only = Some(" 2.1.");
        self
    }

    const fn of_2_0(mut self) -> Self {
        self.only = Some(" 2.0.");
        self
    }

    /// Sent when the broker has answered such a packet and the program waits for more.
    const fn signal(mut self, answered: PacketType, signal: Signal) -> Self {
        self.signal = Some((answered, signal));
        self
    }
}

const P: &str = "mosquitto_pub";
const S: &str = "mosquitto_sub";
const R: &str = "mosquitto_rr";

/// Runs one program against the broker.
fn see(file: &std::ffi::OsStr, row: &Row) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = row.broker;
    let (tell, answered) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || serve(&listener, broker, &tell));
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(row.program), row.options).unwrap();
    let mut words = row.words.replace("{port}", &port.to_string());
    if !words.contains("://") {
        words.push_str(&format!(" -h 127.0.0.1 -p {port}"));
    }
    let mut running = Program::new(file)
        .env("TZ", "UTC")
        .env("XDG_CONFIG_HOME", home.path())
        .args(words.split_whitespace().map(|word| word.trim_matches('\'')))
        .input(row.input)
        .start();
    let id = running.id().to_string();
    if let Some((packet, signal)) = row.signal {
        while answered.recv().expect("a packet to be answered") != packet {}
        wait_until_asleep(running.id());
        let pid = Pid::from_raw(running.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }
    let left = running.finish_or(&words);
    // Unblocks the broker of a program that never came.
    drop(TcpStream::connect(("127.0.0.1", port)));
    let mut seen = Seen {
        left,
        frames: thread.join().unwrap(),
    };
    hide_chance(&mut seen, &id);
    if ["%I", "%U", "-F @"]
        .iter()
        .any(|time| row.words.contains(time))
    {
        for byte in seen
            .left
            .stdout
            .iter_mut()
            .filter(|byte| byte.is_ascii_digit())
        {
            *byte = b'9';
        }
    }
    seen
}

/// mosquitto's clients lock themselves up when a signal finds them at work.
fn wait_until_asleep(id: u32) {
    let asleep = || {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('S')
    };
    while !asleep() {
        std::thread::yield_now();
    }
}

/// Process ids, generated names and the time of day are as they are.
fn hide_chance(seen: &mut Seen, id: &str) {
    if let Some(connect) = seen.frames.first_mut() {
        let text = String::from_utf8_lossy(connect).into_owned();
        if let Some(at) = text.find("mosq-") {
            connect[at + 5..at + 23].fill(b'?');
        }
        if let Some(at) = text.find("pre-") {
            assert_eq!(&text[at + 4..], id);
            // The length of the name and of the packet depend on the number's.
            *connect = b"pre-".to_vec();
        }
    }
    let out = seen.left.out();
    if let Some(at) = out.find("\"tst\":") {
        let start = at + 7 + usize::from(out.as_bytes()[at + 6] == b'\t');
        let end = start + out[start..].find('"').unwrap();
        let shape: String = out[start..end]
            .chars()
            .map(|c| if c.is_ascii_digit() { '9' } else { c })
            .collect();
        seen.left.stdout.splice(start..end, shape.into_bytes());
    }
}

/// Answers until the client closes; what it sent, packet by packet.
fn serve(listener: &TcpListener, broker: Broker, tell: &Sender<PacketType>) -> Vec<Vec<u8>> {
    use std::io::{Read, Write};
    let (mut stream, _) = listener.accept().unwrap();
    let (mut frames, mut buffer) = (Vec::new(), Vec::new());
    let mut chunk = [0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..count]);
        while let Scan::Head(head) = scan(&buffer, 1 << 20).unwrap() {
            if buffer.len() < head.total() {
                break;
            }
            let frame: Vec<u8> = buffer.drain(..head.total()).collect();
            let is_first = frames
                .iter()
                .all(|seen: &Vec<u8>| seen[0] >> 4 != frame[0] >> 4);
            let reply = answer(broker, &frame, head.head_len, is_first);
            let kind = PacketType::from_first(frame[0]).unwrap();
            frames.push(frame);
            if broker.closes_at == Some(kind) {
                return frames;
            }
            let _ = stream.write_all(&reply);
            // Only rows with a signal listen.
            let _ = tell.send(kind);
        }
    }
    frames
}

fn answer(broker: Broker, frame: &[u8], body: usize, is_first: bool) -> Vec<u8> {
    let v5 = broker.version == Version::V5;
    let id = |at: usize| [frame[at], frame[at + 1]];
    let body = &frame[body..];
    match PacketType::from_first(frame[0]).unwrap() {
        PacketType::Connect => {
            let mut reply = vec![0x20, 2, u8::from(broker.has_session), broker.connack];
            if v5 {
                reply[1] += 1 + broker.tells.len() as u8;
                reply.push(broker.tells.len() as u8);
                reply.extend(broker.tells);
            }
            reply
        }
        PacketType::Publish => {
            let qos = frame[0] >> 1 & 3;
            let topic = usize::from(body[1]);
            let at = frame.len() - body.len() + 2 + topic;
            let mut reply = match qos {
                0 => Vec::new(),
                _ => {
                    let first = if qos == 1 { 0x40 } else { 0x50 };
                    let [high, low] = id(at);
                    match broker.refusal {
                        0 => vec![first, 2, high, low],
                        refusal => vec![first, 3, high, low, refusal],
                    }
                }
            };
            if is_first {
                reply.extend(broker.after_publish.concat());
            }
            reply
        }
        PacketType::Pubrel => vec![0x70, 2, body[0], body[1]],
        PacketType::Pubrec => vec![0x62, 2, body[0], body[1]],
        PacketType::Subscribe => {
            let asked = filters(body, v5);
            let granted: Vec<u8> = asked
                .iter()
                .map(|qos| broker.granted.unwrap_or(*qos))
                .collect();
            let mut reply = vec![0x90, (2 + usize::from(v5) + granted.len()) as u8];
            reply.extend_from_slice(&body[..2]);
            reply.extend(v5.then_some(0));
            reply.extend(granted);
            reply.extend(broker.after_suback.concat());
            reply
        }
        PacketType::Unsubscribe if v5 => vec![0xb0, 4, body[0], body[1], 0, 0],
        PacketType::Unsubscribe => vec![0xb0, 2, body[0], body[1]],
        PacketType::Pingreq => vec![0xd0, 0],
        _ => Vec::new(),
    }
}

/// The QoS asked for with each filter.
fn filters(body: &[u8], v5: bool) -> Vec<u8> {
    let mut at = 2 + if v5 { 1 + usize::from(body[2]) } else { 0 };
    let mut asked = Vec::new();
    while at < body.len() {
        at += 2 + usize::from(body[at + 1]);
        asked.push(body[at] & 3);
        at += 1;
    }
    asked
}

/// A release of mosquitto: what its --version says, and where its programs are.
struct Release {
    name: &'static str,
    find: fn(&str) -> Option<PathBuf>,
    is_new: bool,
}

const RELEASES: [Release; 2] = [
    Release {
        name: " 2.0.",
        find: mosquittos,
        is_new: false,
    },
    Release {
        name: " 2.1.2 ",
        find: mosquittos_21,
        is_new: true,
    },
];

impl Release {
    fn is_there(&self) -> bool {
        let said = |path| Program::new(path).words("--version").run().out();
        (self.find)(R).is_some()
            && (self.find)(P).is_some_and(|path| said(path).contains(self.name))
    }

    /// What is wrong with one run, if anything.
    fn judge(&self, row: &Row, ours: &Seen) -> Option<String> {
        let (program, words) = (row.program, row.words);
        let theirs = see((self.find)(program)?.as_os_str(), row);
        let mut expected = theirs.clone();
        lost_goodbye(&mut expected, ours, row);
        let is_meant = |rule: &&Rule| !self.is_new || !OF_2_0.contains(rule);
        for rule in row.rules.iter().filter(is_meant) {
            let before = expected.clone();
            apply(*rule, &mut expected, row);
            if before == expected && !rule.is_at_times() {
                return Some(format!(
                    "{rule:?} turns nothing:{}{program} {words}\n",
                    self.name
                ));
            }
        }
        (expected != *ours).then(|| {
            let name = self.name;
            format!("{program} {words}\nTHEIRS{name}{theirs:?}\nOURS {ours:?}\n")
        })
    }
}

/// The clients of 2.1 close with something unread, at times before their DISCONNECT has left.
fn lost_goodbye(theirs: &mut Seen, ours: &Seen, row: &Row) {
    let is_goodbye = |frame: &&Vec<u8>| frame[0] == 0xe0;
    if row.program != R && theirs.left.status == 0 && !theirs.frames.iter().any(|f| f[0] == 0xe0) {
        theirs
            .frames
            .extend(ours.frames.last().filter(is_goodbye).cloned());
    }
}

fn compare(rows: &[Row]) {
    let mut releases = Vec::new();
    for release in RELEASES {
        match release.is_there() {
            true => releases.push(release),
            false => skipped(
                rows.len(),
                &format!("there is no mosquitto{}", release.name),
            ),
        }
    }
    let links = Links::new();
    let mut wrong = Vec::new();
    for row in rows {
        let ours = see(links.path(row.program).as_os_str(), row);
        let fitting = releases
            .iter()
            .filter(|release| row.only.is_none_or(|only| release.name.starts_with(only)));
        wrong.extend(fitting.filter_map(|release| release.judge(row, &ours)));
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_property_of_every_packet() {
    compare(properties::ROWS);
}

#[test]
fn every_option_in_its_long_and_its_short_form() {
    compare(words::ROWS);
}

#[test]
fn signals_and_lost_connections() {
    compare(endings::ROWS);
}

#[test]
fn mosquitto_pub() {
    compare(rows::PUBLISHING);
}

#[test]
fn mosquitto_sub() {
    compare(rows::SUBSCRIBING);
}

#[test]
fn mosquitto_rr() {
    compare(rows::REQUESTING);
}

#[test]
fn every_version_and_what_is_retained() {
    compare(&matrix::rows());
}

#[test]
fn payloads_in_every_format() {
    compare(&payloads::rows());
}

#[test]
fn refusals_and_limits_of_the_broker() {
    compare(&refusals::rows());
}
