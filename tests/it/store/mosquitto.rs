//! What mosquitto has kept: read in every version of its format, however damaged, taken over once,
//! and printed as its own program prints it.

use std::process::Command;

use mqttx::broker::durable::record::Record;
use mqttx::daemon::store::import;
use mqttx::daemon::store::mosquitto_db::{Db, What};
use mqttx::mqtt::{Packet, Version};

use crate::store::crash::Wire;
use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{self, Hello};

/// Written by mosquitto 2.0.11: clients `v3` and `v5`, three messages that wait, two retained. What
/// ends in it, a Session and a message, was moved to the year 2100.
const V6: &[u8] = include_bytes!("../../fixtures/mosquitto_v6.db");

const WALL: u64 = 1_795_244_440_000;

/// The same in an older format: one client with a Subscription, one message waiting for it in
/// flight, one retained.
fn old(version: u32) -> Vec<u8> {
    let mut file = b"\0\xb5\0mosquitto db\0\0\0\0".to_vec();
    file.extend_from_slice(&version.to_be_bytes());
    let text = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    let mut chunk = |kind: u16, body: &[u8]| {
        match version {
            ..=4 => file.extend_from_slice(&kind.to_be_bytes()),
            _ => file.extend_from_slice(&u32::from(kind).to_be_bytes()),
        }
        file.extend_from_slice(&(body.len() as u32).to_be_bytes());
        file.extend_from_slice(body);
    };
    let number = 7_u64.to_le_bytes();
    if version == 5 {
        let ids = [&[0, 0, 0, 4][..], &[0, 9, 0, 1, 0, 0, 0, 3, 7, 91, 1, 1]].concat();
        chunk(2, &[&number[..], &[0; 8], &ids, b"pa/bbody", &[0]].concat());
        chunk(
            6,
            &[&[0; 8][..], &[0, 0, 1, 0], &[0, 5, 0, 2], b"me"].concat(),
        );
        chunk(3, &[&number[..], &[0, 5, 0, 2, 1, 3, 0, 1], b"me"].concat());
        chunk(4, &number);
        chunk(
            5,
            &[&[0, 0, 0, 9, 0, 2, 0, 3, 1, 0, 0, 0][..], b"mea/#"].concat(),
        );
        return file;
    }
    let source = match version {
        4 => [text("p"), text("user"), vec![7, 91]].concat(),
        _ => text("p"),
    };
    let message = [
        &[0, 9, 0, 0][..],
        &text("a/b"),
        &[1, 1, 0, 0, 0, 4],
        b"body",
    ]
    .concat();
    chunk(1, &[&[1, 8][..], &number].concat());
    chunk(2, &[&number[..], &source, &message].concat());
    let time: &[u8] = if version == 2 { &[] } else { &[0; 8] };
    chunk(6, &[&text("me")[..], &[0, 5], time].concat());
    chunk(
        3,
        &[&text("me")[..], &number, &[0, 5, 1, 0, 1, 3, 0]].concat(),
    );
    chunk(4, &number);
    chunk(5, &[&text("me")[..], &text("a/#"), &[1]].concat());
    file
}

#[test]
fn every_version_is_read() {
    for version in 2..=5 {
        let records = import::records(&old(version), WALL).unwrap();
        let mut found = Vec::new();
        for record in &records {
            found.push(match record {
                Record::Session(of) => format!("session {} {}", of.client_id, of.expiry),
                Record::Subscribed { filter, .. } => format!("subscribed {filter}"),
                Record::Body(_, kept) => format!("body {:?}", kept.message.payload()),
                Record::Waiting(of) => format!("waiting {:?}", of.packet_id.map(|id| id.value())),
                Record::Retained { kept, .. } => format!("retained {}", kept.message.topic()),
                other => panic!("{other:?}"),
            });
        }
        let expiry = if version == 5 { 256 } else { u32::MAX };
        let expected = [
            format!("session me {expiry}"),
            "subscribed a/#".into(),
            format!("body {:?}", b"body"),
            "waiting Some(5)".into(),
            "retained a/b".into(),
        ];
        assert_eq!(found, expected, "version {version}");
    }
}

#[test]
fn no_damage_makes_the_reader_fall() {
    for whole in [V6.to_vec(), old(2), old(3), old(4), old(5)] {
        for at in 0..whole.len() {
            let _ = import::records(&whole[..at], WALL);
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let _ = import::records(&bytes, WALL);
            }
        }
    }
    let newer = [&V6[..19], &[0, 0, 0, 7], &V6[23..]].concat();
    let fault = import::records(&newer, WALL).unwrap_err();
    assert!(
        fault.to_string().contains("only versions 2 to 6"),
        "{fault}"
    );
}

#[test]
fn a_broker_goes_on_where_mosquitto_was() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mosquitto.db"), V6).unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    for round in 0..2 {
        let broker = BrokerProcess::start(&["--persistence", &path]);
        let log = broker.wait_log("restored");
        assert!(
            log.contains("2 sessions") && log.contains("2 retained"),
            "{log}"
        );
        let took = broker.log().iter().any(|line| line.contains("took over"));
        assert_eq!(took, round == 0, "once");
        broker.kill();
    }
    let broker = BrokerProcess::start(&["--persistence", &path]);
    let hello = Hello::new("v3").version(Version::V311).kept();
    let mut wire = Wire::connect(broker.port, &hello).unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        let frame = wire.next().unwrap();
        got.push(packets::render(
            &Packet::decode(&frame, Version::V311).unwrap(),
        ));
    }
    assert_eq!(got, ["PUBLISH a/b one q1 #1", "PUBLISH a/c two q2 #2"]);
}

pub(crate) fn db(words: &[&str]) -> (String, String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .arg("db")
        .args(words)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.success(),
    )
}

#[test]
fn db_dumps_checks_and_imports() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.db").to_string_lossy().into_owned();
    let store = folder.path().join("store").to_string_lossy().into_owned();
    std::fs::write(&file, V6).unwrap();
    let (text, _, well) = db(&["dump", &file]);
    assert!(
        well && text
            .starts_with("Mosquitto DB dump\nCRC: 0\nDB version: 6\nDB_CHUNK_CFG:\n\tLength: 16\n")
    );
    assert_eq!(
        text.matches("DB_CHUNK_").count(),
        Db::open(V6).unwrap().chunks().count()
    );
    assert!(text.contains("\t\tUser property: k , v\n"), "{text}");
    let (stats, _, _) = db(&["dump", "--stats", &file]);
    assert!(
        stats.contains("DB_CHUNK_BASE_MSG:   4\nDB_CHUNK_CLIENT_MSG: 3\n"),
        "{stats}"
    );
    let (json, _, _) = db(&["dump", "--json", &file]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["base-messages"][0]["payload"], "a2VwdDI=");
    assert!(db(&["check", &file]).0.contains("whole"));
    assert!(db(&["import", &file, &store]).2);
    let (_, again, well) = db(&["import", &file, &store]);
    assert!(
        !well && again.contains("something in it already"),
        "{again}"
    );
    assert!(db(&["check", &store]).0.contains("whole"));
    let (rows, _, _) = db(&["dump", &store]);
    assert_eq!(rows.matches("\"waiting\":").count(), 3, "{rows}");
    std::fs::write(&file, &V6[..100]).unwrap();
    let (_, fault, well) = db(&["check", &file]);
    assert!(!well && fault.contains("ends early at byte"), "{fault}");
}

#[cfg(not(feature = "sqlite"))]
#[test]
fn a_database_of_sqlite_is_known_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mosquitto.sqlite3");
    std::fs::write(&file, [&b"SQLite format 3\0"[..], &[0; 84]].concat()).unwrap();
    let file = file.to_str().unwrap();
    let store = folder.path().join("store");
    for words in [
        &["dump", file][..],
        &["check", file],
        &["import", file, store.to_str().unwrap()],
    ] {
        let (out, err, well) = db(words);
        let told = format!(
            "mqttx db: {file}: a database of SQLite\n  try: a program built with --features sqlite\n"
        );
        assert_eq!((&*out, &*err, well), ("", &*told, false), "{words:?}");
    }
    assert!(!store.exists());
}

#[test]
fn mosquittos_own_file_of_today_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let conf = format!(
        "listener 0 {path}/socket\nallow_anonymous true\nuser root\n\
         persistence true\npersistence_location {path}/\n"
    );
    std::fs::write(folder.path().join("conf"), conf).unwrap();
    let started = Command::new("mosquitto")
        .arg("-c")
        .arg(folder.path().join("conf"))
        .spawn();
    let Ok(mut child) = started else {
        eprintln!("skipped: mosquitto is not here");
        return;
    };
    let socket = folder.path().join("socket");
    let begun = std::time::Instant::now();
    let mut stream = loop {
        match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) if begun.elapsed() > crate::support::broker_process::PATIENCE => {
                panic!("{error}")
            }
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    use std::io::{Read, Write};
    stream
        .write_all(&Hello::new("keeper").kept().bytes())
        .unwrap();
    stream
        .write_all(&packets::subscribe(Version::V5, 1, "x/#", 1, &[]))
        .unwrap();
    stream
        .write_all(&packets::publish(Version::V5, "x/y", "hello", 1, 2, &[]))
        .unwrap();
    stream.write_all(&packets::DISCONNECT).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    crate::support::broker_process::signal(&child, rustix::process::Signal::TERM);
    child.wait().unwrap();
    let bytes = std::fs::read(folder.path().join("mosquitto.db")).unwrap();
    let records = import::records(&bytes, WALL).unwrap();
    let waiting = records
        .iter()
        .filter(|record| matches!(record, Record::Waiting(_)));
    assert_eq!(waiting.count(), 1);
    let chunks: Vec<_> = Db::open(&bytes)
        .unwrap()
        .chunks()
        .map(Result::unwrap)
        .collect();
    assert!(
        !chunks
            .iter()
            .any(|chunk| matches!(chunk.what, What::Unknown(_)))
    );
}
