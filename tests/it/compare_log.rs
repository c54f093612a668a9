//! mosquitto's broker and ours side by side over what clients do and are refused: the same lines in
//! their logs, each kind of line included.
//!
//! Lines of one connection are compared whatever their order: a packet that goes out is told of here
//! when the system has it, and there when it is written.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};

use mqttx::mqtt::{PacketType, Version};

use crate::support::broker_process::{BrokerProcess, PATIENCE, comes};
use crate::support::packets::{Hello, ack, publish, retained, subscribe, unsubscribe};
use crate::support::peers;
use crate::support::programs::{Program, mosquittos_21, skipped};

const V311: Version = Version::V311;
const V5: Version = Version::V5;

/// What a client sends.
struct Script {
    name: String,
    bytes: Vec<u8>,
}

const BYE: [u8; 2] = [0xe0, 0];

/// Her CONNECT.
fn ann(version: Version) -> Vec<u8> {
    with_password(
        &Hello::new("visitor").version(version).user("ann"),
        "secret",
    )
}

/// A short CONNECT that has no password yet, with one.
fn with_password(hello: &Hello, password: &str) -> Vec<u8> {
    let mut bytes = hello.bytes();
    // §3.1.2.3: behind the name of the protocol and its version.
    bytes[9] |= 0x40;
    bytes.extend_from_slice(&u16::try_from(password.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(password.as_bytes());
    bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
    assert!(bytes[1] < 0x80);
    bytes
}

fn scripts() -> Vec<Script> {
    let mut all = Vec::new();
    let mut add = |name: &str, version: Version, parts: &[&[u8]]| {
        let (name, bytes) = (format!("{name} ({version:?})"), parts.concat());
        all.push(Script { name, bytes });
    };
    add("nothing", V311, &[]);
    for version in [V311, V5] {
        let hello = || Hello::new("visitor").version(version).user("ann");
        let will = |payload, retain| hello().will("a/w", payload, 1, retain);
        add("goodbye", version, &[&ann(version), &BYE]);
        add("no goodbye", version, &[&ann(version)]);
        let nobody = Hello::new("visitor").version(version).bytes();
        add("nobody", version, &[&nobody]);
        let wrong = with_password(&hello(), "wrong");
        add("another's password", version, &[&wrong]);
        let will_of_her = with_password(&will("gone", true), "secret");
        add("a will", version, &[&will_of_her, &BYE]);
        let empty_will = with_password(&will("", false), "secret");
        add("an empty will", version, &[&empty_will, &BYE]);
        for (name, packets) in packets(version) {
            add(name, version, &[&ann(version), &packets.concat(), &BYE]);
        }
    }
    let unnamed = with_password(&Hello::new("").version(V5).user("ann"), "secret");
    add("an identifier is given", V5, &[&unnamed]);
    let denied = publish(V5, "b/1", "xyz", 1, 7, &[]);
    add("denied at QoS 1", V5, &[&ann(V5), &denied, &BYE]);
    for (name, bytes) in FAULTS {
        add(name, V311, &[&ann(V311), bytes]);
    }
    all
}

/// What she sends in either version, and is not thrown out for.
fn packets(version: Version) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let message = |topic, qos| {
        let id = if qos == 0 { 0 } else { 7 };
        publish(version, topic, "xyz", qos, id, &[])
    };
    vec![
        ("a message", vec![message("a/1", 0)]),
        ("QoS 1", vec![message("a/1", 1)]),
        ("QoS 2", vec![message("a/1", 2), ack(PacketType::Pubrel, 7)]),
        ("retained", vec![retained(message("a/1", 1))]),
        ("denied", vec![message("b/1", 0), message("a/1", 0)]),
        (
            "subscribed and not",
            vec![
                subscribe(version, 3, "a/#", 2, &[]),
                unsubscribe(version, 4, "a/#"),
                vec![0xc0, 0],
            ],
        ),
        (
            "her own message",
            vec![
                subscribe(version, 3, "a/2", 1, &[]),
                message("a/2", 1),
                ack(PacketType::Puback, 1),
            ],
        ),
        (
            "too large",
            vec![publish(version, "a/1", &"x".repeat(2_000), 0, 0, &[])],
        ),
    ]
}

/// What she is thrown out for.
const FAULTS: [(&str, &[u8]); 5] = [
    ("PINGREQ with a body", &[0xc0, 1, 0]),
    ("DISCONNECT with flags", &[0xe1, 0]),
    ("an endless length", &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ("SUBSCRIBE with flags", b"\x80\x08\x00\x01\x00\x03a/b\x00"),
    ("a topic with a wildcard", b"\x30\x06\x00\x03a/#x"),
];

/// One broker, and where its log is.
struct Side {
    port: u16,
    log: PathBuf,
}

impl Side {
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What is told while this is played, sorted, without what differs by chance.
    fn told(&self, script: &Script) -> Vec<String> {
        let before = self.lines().len();
        let from = self.play(&script.bytes);
        // One more connection: when its end is told, so is everything before.
        let marker = self.play(&[]);
        let end = format!("[{marker}] disconnected");
        comes(&format!("{end} in {}", self.log.display()), || {
            self.lines().iter().any(|line| line.contains(&end))
        });
        let mut told: Vec<String> = self.lines()[before..]
            .iter()
            .map(|line| line.split_once(": ").unwrap().1)
            // Of ours alone, for those who watch for guesses.
            .filter(|line| !line.starts_with("login failed from ") && !line.contains(&marker))
            .map(|line| line.replace(&from, "CLIENT"))
            .map(|line| line.replace(&format!("port {}", self.port), "port P"))
            .map(|line| match line.find("auto-") {
                Some(at) => format!("{}GIVEN{}", &line[..at], &line[at + 41..]),
                None => line,
            })
            .collect();
        told.sort();
        told
    }

    /// Sends all of it, and waits for the end of the connection; from where it came.
    fn play(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let from = stream.local_addr().unwrap().to_string();
        // It may be closed before it has read all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        from
    }
}

fn furnish(folder: &Path) -> String {
    let (users, rules) = (folder.join("users"), folder.join("rules"));
    let words = format!("passwd -c -b {} ann secret", users.display());
    assert_eq!(Program::mqttx().words(&words).run().status, 0);
    fs::write(&rules, "user ann\ntopic readwrite a/#\ntopic read b/#\n").unwrap();
    format!(
        "log_type all\nlog_dest file {}/log\npassword_file {}\nacl_file {}\nmax_packet_size 1000\n",
        folder.display(),
        users.display(),
        rules.display()
    )
}

#[test]
fn clients_leave_the_same_lines_as_in_mosquittos_log() {
    let scripts = scripts();
    let Some(program) = mosquittos_21("mosquitto") else {
        return skipped(scripts.len(), "mosquitto 2.1 is not installed");
    };
    let (their_folder, our_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lines = furnish(their_folder.path());
    let conf = |[port]: [u16; 1]| format!("{lines}listener {port} 127.0.0.1\n");
    let Some((_peer, [port])) = peers::mosquitto_at(&program, their_folder.path(), conf) else {
        return;
    };
    let log = their_folder.path().join("log");
    let theirs = Side { port, log };
    let lines = furnish(our_folder.path());
    let broker = BrokerProcess::configured(
        &format!("{lines}listener any 127.0.0.1\n"),
        &["--workers", "1"],
    );
    let (port, log) = (broker.port, our_folder.path().join("log"));
    let ours = Side { port, log };
    let mut wrong = String::new();
    for script in &scripts {
        let (theirs, ours) = (theirs.told(script), ours.told(script));
        if theirs != ours {
            wrong += &format!("{}\nmosquitto {theirs:#?}\nmqttx {ours:#?}\n", script.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
