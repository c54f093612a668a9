//! mosquitto's clients and ours side by side against a broker that always answers the same: what the
//! broker saw, byte for byte, and what the shell saw. Where the two may differ, a rule says how: it turns
//! what mosquitto 2.0 did into what mqttx, which follows 2.1, must do, and it must have something to turn.

mod endings;
mod properties;
mod rows;
mod words;

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Sender;

use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::{PacketType, Version};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::programs::{Left, Links, Program, mosquittos, skipped};

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
    /// Topic Alias Maximum, version 5.
    aliases: u8,
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
    aliases: 0,
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

/// How 2.1, or mqttx with a reason, differs from 2.0.11.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// The library's sentences end without a full stop in 2.1.
    NoFullStop,
    /// An empty Client Identifier is told as `null`, not `(null)`.
    Null,
    /// JSON of 2.1: booleans, times without a stray Z, user properties in an array.
    Json,
    /// mosquitto_rr just closes; a Will would be published. mqttx says good-bye.
    Goodbye,
    /// mqttx counts what it did not deliver.
    Counted,
    /// The same, once the handshake of its request is through.
    HandshakeFirst,
    /// mosquitto_rr has options of a Subscription since 2.1.
    RequestOptions,
    /// 2.0 cuts a line at a zero byte, and loses what follows.
    WholeLines,
    /// The same where that takes properties.
    GoodbyeWithProperties,
    /// 2.0 sends a topic alias that the broker has not offered.
    AliasNotOffered,
    /// mosquitto closes with something unread while its DISCONNECT is on the way, which arrives at times.
    GoodbyeAtTimes,
    /// A QoS 2 message is printed when it came, not when its handshake ended.
    PrintedEarly,
    /// `%x` of 2.1 cuts by bytes, not by digits.
    WholeBytes,
}

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
        PacketType::Connect if broker.aliases > 0 => {
            vec![0x20, 6, 0, broker.connack, 3, 0x22, 0, broker.aliases]
        }
        PacketType::Connect if v5 => vec![0x20, 3, 0, broker.connack, 0],
        PacketType::Connect => vec![0x20, 2, 0, broker.connack],
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

/// Turns what 2.0 did into what mqttx must do.
fn apply(rule: Rule, seen: &mut Seen, row: &Row) {
    let (mut out, mut err) = (seen.left.out(), seen.left.err());
    match rule {
        Rule::NoFullStop => {
            err = err
                .replace(".\n", "\n")
                .replace("v3.x mode\n", "v3.x mode.\n");
        }
        Rule::Null => out = out.replace("(null)", "null"),
        Rule::Json => {
            out = out.replace("Z+9999", "+9999");
            for (old, new) in [
                ("\"retain\":0", "\"retain\":false"),
                ("\"retain\":\t0", "\"retain\":\tfalse"),
                (
                    "\"user-properties\":{\"k\":\"v\"}",
                    "\"user-properties\":[{\"k\":\"v\"}]",
                ),
            ] {
                out = out.replace(old, new);
            }
        }
        Rule::Goodbye => {
            seen.frames.push(vec![0xe0, 0]);
            if row
                .words
                .split(' ')
                .any(|word| word == "-d" || word == "--debug")
            {
                out.push_str("Client c sending DISCONNECT\n");
            }
        }
        Rule::Counted => err.push_str("Error: 1 message was not delivered.\n"),
        Rule::HandshakeFirst => out.push_str("Client c received PUBCOMP (Mid: 2, RC:0)\n"),
        Rule::RequestOptions => {
            let option = if row.words.contains(" -R") {
                0x20
            } else {
                0x08
            };
            *seen.frames[1].last_mut().unwrap() |= option;
            out = out.replace("Options: 0x00", &format!("Options: 0x{option:02x}"));
        }
        Rule::WholeLines => {
            let lines = [&b"0\x06\x00\x01aa\x00b"[..], b"0\x04\x00\x01ac"];
            seen.frames.splice(1..2, lines.map(<[u8]>::to_vec));
        }
        Rule::GoodbyeWithProperties => seen.frames.push(properties::PARTING.to_vec()),
        Rule::AliasNotOffered => {
            err.push_str("Error: the broker does not take this topic alias\n");
            seen.left.status = 1;
            seen.frames.remove(1);
        }
        Rule::GoodbyeAtTimes => {
            seen.frames.retain(|frame| *frame != [0xe0, 0]);
            seen.frames.push(vec![0xe0, 0]);
        }
        Rule::PrintedEarly => {
            let lines: Vec<&str> = out.lines().filter(|line| *line != "a/b one").collect();
            out = lines.join("\n") + "\n";
            out = out.replace(
                "sending PUBREC (m1, rc0)\n",
                "sending PUBREC (m1, rc0)\na/b one\n",
            );
        }
        Rule::WholeBytes => out = out.replace("[6f]", "[6f6e]"),
    }
    seen.left.stdout = out.into_bytes();
    seen.left.stderr = err.into_bytes();
}

fn compare(rows: &[Row]) {
    if mosquittos("mosquitto_rr").is_none() {
        return skipped(rows.len(), "mosquitto's clients are not installed");
    }
    let version = Program::new(mosquittos(P).unwrap())
        .words("--version")
        .run()
        .out();
    if !version.contains(" 2.0.") {
        return skipped(
            rows.len(),
            &format!("the rules are for mosquitto 2.0, this is {version}"),
        );
    }
    let links = Links::new();
    let mut wrong = Vec::new();
    for row in rows {
        let theirs = see(mosquittos(row.program).unwrap().as_os_str(), row);
        let ours = see(links.path(row.program).as_os_str(), row);
        let mut expected = theirs.clone();
        for rule in row.rules {
            let before = expected.clone();
            apply(*rule, &mut expected, row);
            assert!(
                before != expected || *rule == Rule::GoodbyeAtTimes,
                "{rule:?} turns nothing: {} {}",
                row.program,
                row.words
            );
        }
        if expected != ours {
            let (program, words) = (row.program, row.words);
            wrong.push(format!(
                "{program} {words}\nTHEIRS {theirs:?}\nOURS {ours:?}\n"
            ));
        }
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
