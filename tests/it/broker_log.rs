//! The broker's log: its forms, its destinations, and what a client cannot do to it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;

use mqttx::broker::limits::Limits;
use mqttx::daemon::Daemon;
use mqttx::daemon::conf::log_words::{LogDest, LogType};
use mqttx::daemon::conf::{Conf, Endpoint, Place};
use mqttx::daemon::log::{Form, LogConf};
use mqttx::mqtt::{PacketType, Version};

use rustix::fs::{FileType, Mode};

use crate::support::broker_process::{BrokerProcess, PATIENCE};
use crate::support::packets::{Hello, ack, publish, subscribe};
use crate::support::programs::Program;
use crate::support::raw_client::RawClient;
use crate::support::shim;

const V311: Version = Version::V311;

/// A client that subscribes, is sent a message, and goes.
fn visit(port: u16) -> String {
    let mut client = RawClient::connect(port, &Hello::new("visitor").version(V311));
    client.send(&subscribe(V311, 7, "a/b", 2, &[]));
    client.expect("SUBACK");
    client.send(&publish(V311, "a/b", "hello", 1, 3, &[]));
    client.expect("PUBACK");
    client.expect("PUBLISH a/b hello q1 #1");
    client.send(&ack(PacketType::Puback, 1));
    client.ping();
    let address = client.address().to_string();
    client.send(&[0xe0, 0]);
    address
}

/// Lines without their times.
fn bare(lines: &[String]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line.split_once(": ").unwrap().1)
        .collect()
}

#[test]
fn every_packet_in_the_words_of_mosquitto() {
    let mut broker = BrokerProcess::start(&["--log-format", "mosquitto", "-v"]);
    let from = visit(broker.port);
    broker.wait_log("visitor [");
    broker.ask_to_end();
    broker.wait();
    broker.wait_log("stopped");
    let port = broker.port;
    let lines = broker.log();
    for line in &lines {
        let seconds = line.split_once(": ").unwrap().0;
        assert!(seconds.parse::<u64>().is_ok(), "{line}");
    }
    let start = bare(&lines);
    let connection = format!("New connection from {from} on port {port}.");
    let at = start.iter().position(|line| *line == connection).unwrap();
    assert_eq!(
        start[at + 1..],
        [
            &*format!("New client connected from {from} as visitor (p4, c1, k0)."),
            "No will message specified.",
            "Sending CONNACK to visitor (0, 0)",
            "Received SUBSCRIBE from visitor",
            "\ta/b (QoS 2)",
            "visitor 2 a/b",
            "Sending SUBACK to visitor",
            "Received PUBLISH from visitor (d0, q1, r0, m3, 'a/b', ... (5 bytes))",
            "Sending PUBACK to visitor (m3, rc0)",
            "Sending PUBLISH to visitor (d0, q1, r0, m1, 'a/b', ... (5 bytes))",
            "Received PUBACK from visitor (Mid: 1, RC:0)",
            "Received PINGREQ from visitor",
            "Sending PINGRESP to visitor",
            "Received DISCONNECT from visitor",
            &*format!("Client visitor [{from}] disconnected."),
            "stopped",
        ]
    );
}

#[test]
fn each_message_of_qos_0_is_told_though_runs_are_taken_at_once() {
    let broker = BrokerProcess::start(&["--log-format", "mosquitto", "-v"]);
    let mut client = RawClient::connect(broker.port, &Hello::new("fast").version(V311));
    let run: Vec<u8> = (0..3)
        .flat_map(|_| publish(V311, "a/b", "hello", 0, 0, &[]))
        .collect();
    client.send(&run);
    client.ping();
    broker.wait_log("Sending PINGRESP to fast");
    let lines = broker.log();
    let told = "Received PUBLISH from fast (d0, q0, r0, m0, 'a/b', ... (5 bytes))";
    let times = bare(&lines).iter().filter(|line| **line == told).count();
    assert_eq!(times, 3, "{lines:#?}");
}

#[test]
fn json_says_who_where_and_what() {
    let broker = BrokerProcess::start(&["--log-format", "json", "--log-type", "notice"]);
    let from = visit(broker.port);
    broker.wait_log("\"disconnected\"");
    let lines = broker.log();
    let parse = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let lines: Vec<_> = lines.iter().map(parse).collect();
    let connected = lines.iter().find(|line| line["event"] == "connected");
    let connected = connected.unwrap();
    assert_eq!(connected["client"], "visitor");
    assert_eq!(connected["address"], from);
    assert_eq!(connected["level"], "notice");
    assert_eq!(connected["version"], "3.1.1");
    assert_eq!(connected["keep_alive"], 0);
    let time = connected["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 24, "{time}");
    assert!(lines.iter().all(|line| line["event"] != "published"));
}

#[test]
fn a_client_cannot_forge_lines() {
    let broker = BrokerProcess::start(&["--log-format", "mosquitto"]);
    let name = "a\u{7f}\u{9b}2Jb";
    let mut client = RawClient::open(broker.port, V311);
    client.send(&Hello::new(name).version(V311).bytes());
    // Whether the broker takes such a name is another matter.
    if client
        .next()
        .is_some_and(|answer| answer.starts_with("CONNACK Success"))
    {
        broker.wait_log("as a");
    }
    for line in broker.log() {
        assert!(!line.chars().any(|letter| letter.is_control()), "{line:?}");
    }
}

fn conf(log: LogConf) -> Conf {
    Conf {
        listeners: vec![Endpoint::plain(Place::Tcp(([127, 0, 0, 1], 0).into()))],
        limits: Limits::default(),
        log,
        ..Conf::default()
    }
}

fn daemon(log: LogConf) -> (Daemon, u16) {
    let daemon = Daemon::start(&conf(log)).unwrap();
    let Place::Tcp(address) = daemon.listening()[0].place else {
        panic!("it listens on TCP")
    };
    (daemon, address.port())
}

#[test]
fn files_are_opened_anew_after_they_were_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
    let (daemon, port) = daemon(LogConf {
        dests: vec![LogDest::File(path.clone())],
        form: Form::Mosquitto,
        timestamp: true,
        timestamp_format: Some("%Y-%m-%dT%H".to_owned()),
        ..LogConf::default()
    });
    visit(port);
    fs::rename(&path, &moved).unwrap();
    daemon.reopen_log();
    visit(port);
    daemon.stop().unwrap();
    let (first, second) = (
        fs::read_to_string(moved).unwrap(),
        fs::read_to_string(path).unwrap(),
    );
    assert!(first.contains("as visitor"), "{first}");
    assert!(second.contains("stopped"), "{second}");
    let whole = first + &second;
    assert_eq!(whole.matches("as visitor").count(), 2, "{whole}");
    assert!(whole.starts_with("20") && whole.contains("T"), "{whole}");
}

#[test]
fn lines_from_before_a_reload_go_where_they_were_meant_to_go() {
    const LINES: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let (pipe, file) = (folder.path().join("pipe"), folder.path().join("file"));
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    // As both ends: nobody waits for the other one. What does not fit waits in the broker.
    let reader = fs::OpenOptions::new().read(true).write(true).open(&pipe);
    let mut reader = BufReader::new(reader.unwrap());
    let log = |path: &std::path::Path| LogConf {
        dests: vec![LogDest::File(path.to_owned())],
        types: LogType::all(),
        form: Form::Mosquitto,
        ..LogConf::default()
    };
    let (mut daemon, port) = daemon(log(&pipe));
    let mut client = RawClient::connect(port, &Hello::new("early").version(V311));
    let topic = "t".repeat(200);
    for _ in 0..LINES {
        client.send(&publish(V311, &topic, "", 0, 0, &[]));
    }
    client.ping();
    daemon.reload(&conf(log(&file)));
    client.send(&publish(V311, "late", "", 0, 0, &[]));
    client.ping();
    let told = format!("Received PUBLISH from early (d0, q0, r0, m0, '{topic}'");
    let (mut line, mut count) = (String::new(), 0);
    while count < LINES {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0);
        count += usize::from(line.starts_with(&told));
    }
    daemon.stop().unwrap();
    let text = fs::read_to_string(file).unwrap();
    assert!(!text.contains(&topic) && text.contains("'late'"), "{text}");
}

#[test]
fn a_broker_says_that_it_serves_once_all_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").to_string_lossy().into_owned();
    let broker = BrokerProcess::start(&["--persistence", &store]);
    broker.wait_log("broker: MQTT 3.1");
    let lines = broker.log();
    let place = |text: &str| lines.iter().position(|line| line.contains(text));
    let (loading, loaded) = (place("store: loading"), place("restored from"));
    let serving = place("broker: MQTT 3.1");
    assert!(
        loading.is_some() && loading < loaded && loaded < serving,
        "{lines:#?}"
    );
}

#[test]
fn lines_are_topics_for_those_who_want_them() {
    let (daemon, port) = daemon(LogConf {
        dests: vec![LogDest::Topic],
        types: LogType::all(),
        form: Form::Mosquitto,
        ..LogConf::default()
    });
    let mut watcher = RawClient::subscriber(port, &Hello::new("watcher"), "$SYS/broker/log/#", 0);
    visit(port);
    loop {
        let frame = watcher.next_frame().unwrap();
        assert_eq!(frame[0], 0x30, "at QoS 0 and not retained");
        let text = String::from_utf8_lossy(&frame[2..]).into_owned();
        let topic = match text.contains(" 2 a/b") || text.contains("watcher 0") {
            true => "$SYS/broker/log/M/subscribe",
            false => "$SYS/broker/log/N",
        };
        assert!(text.contains(topic), "{text}");
        if text.contains("Client visitor") {
            break;
        }
    }
    daemon.stop().unwrap();
}

#[test]
fn nothing_is_logged_where_nothing_is_wanted() {
    for words in [
        ["--log-dest", "none"],
        ["--log-type", "none"],
        ["--log-type", "error"],
    ] {
        let mut broker = BrokerProcess::start(&words);
        visit(broker.port);
        broker.ask_to_end();
        broker.wait();
        assert_eq!(broker.log(), [""; 0], "{words:?}");
    }
}

#[test]
fn words_that_are_none_are_told() {
    let rows = [
        (
            "--log-dest paper",
            "--log-dest paper: one of stdout | stderr",
        ),
        ("--log-dest file", "Empty \"log_dest file\" value"),
        ("--log-dest dlt", "use syslog or a file"),
        ("--log-type loud", "--log-type loud: one of error | warning"),
        ("--log-format xml", "try: text, json, mosquitto"),
    ];
    for (words, expected) in rows {
        let left = Program::mqttx()
            .words(&format!("broker --port 0 {words}"))
            .run();
        assert_ne!(left.status, 0, "{words}");
        assert!(left.err().contains(expected), "{words}: {left:?}");
    }
    let left = Program::mqttx()
        .args([
            "broker",
            "--port",
            "0",
            "--log-dest",
            "file /nonexistent/log",
        ])
        .run();
    assert_eq!(left.status, 1);
    assert!(
        left.err()
            .contains("cannot open the log file /nonexistent/log"),
        "{left:?}"
    );
}

#[test]
fn a_log_that_nobody_reads_stops_no_client() {
    // A pipe nobody reads is full after 64 KiB; the log then keeps a megabyte and drops the rest.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stuck = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mqttx"));
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let mut child = command
        .args(["broker", "--port", "0", "-v", "--ready-file"])
        .arg(&ready)
        .stderr(std::os::fd::OwnedFd::from(stuck))
        .spawn()
        .unwrap();
    let port = loop {
        match fs::read_to_string(&ready) {
            Ok(text) => break crate::support::broker_process::port_of(&text),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(2)),
        }
    };
    let mut client = RawClient::connect(port, &Hello::new("talker").version(V311));
    let topic = "t".repeat(1_000);
    for _ in 0..20_000 {
        client.send(&publish(V311, &topic, "", 0, 0, &[]));
    }
    client.ping();
    let (mut log, mut text) = (listener.accept().unwrap().0, String::new());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(child.id() as i32).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    // It holds the other end, too.
    drop(command);
    log.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    assert!(text.contains("log lines were dropped"), "{}", text.len());
}

/// Whoever means the system's log is led to the socket that `DEV_LOG` names.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int connect(int fd, const struct sockaddr *to, socklen_t size) {
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    const struct sockaddr_un *meant = (const struct sockaddr_un *)to;
    if (meant->sun_family != AF_UNIX || strcmp(meant->sun_path, "/dev/log") != 0)
        return next(fd, to, size);
    struct sockaddr_un other = {.sun_family = AF_UNIX};
    strncpy(other.sun_path, getenv("DEV_LOG"), sizeof other.sun_path - 1);
    return next(fd, (const struct sockaddr *)&other, sizeof other);
}
"#;

#[test]
fn the_log_of_the_system_gets_lines_of_the_facility_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = shim::compile(folder.path(), SHIM) else {
        eprintln!("skipped: there is no C compiler");
        return;
    };
    // §6.2.1 of RFC 5424: daemon is 3, local0 is 16; error is 3, warning 4, notice 5,
    // information 6.
    for (number, (lines, notice)) in [("", 29), ("log_facility 0", 133), ("log_facility 7", 189)]
        .into_iter()
        .enumerate()
    {
        let socket = folder.path().join(format!("log{number}"));
        let system = UnixDatagram::bind(&socket).unwrap();
        system.set_read_timeout(Some(PATIENCE)).unwrap();
        let conf = folder.path().join("conf");
        let text = "user root\nlistener any 127.0.0.1\nallow_anonymous true\nlog_dest syslog\n";
        fs::write(&conf, format!("{text}{lines}\n")).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.args(["broker", "-c"]).arg(&conf);
        command.env("LD_PRELOAD", &library).env("DEV_LOG", &socket);
        let broker = BrokerProcess::start_as(command);
        drop(RawClient::connect(broker.port, &Hello::new("visitor")));
        let start = format!(
            "<{notice}>mosquitto[{}]: New client connected from ",
            broker.pid()
        );
        let mut bytes = [0; 1_024];
        loop {
            let size = system.recv(&mut bytes).unwrap();
            let line = String::from_utf8_lossy(&bytes[..size]).into_owned();
            let kinds = [notice, notice + 1].map(|kind| format!("<{kind}>mosquitto["));
            assert!(kinds.iter().any(|kind| line.starts_with(kind)), "{line}");
            if line.starts_with(&start) {
                break;
            }
        }
    }
}
