//! The broker's own surroundings when they are bad: ports, files, signals, pipes.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

use mqttx::mqtt::Version;

use crate::support::broker_process::{BrokerProcess, port_of, wait_for};
use crate::support::packets::Hello;
use crate::support::raw_client::RawClient;

fn broker(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.arg("broker").args(words).stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    let child = broker(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    end(child)
}

fn end(mut child: Child) -> Output {
    wait_for(&mut child);
    child.wait_with_output().unwrap()
}

/// A broker that must not start: not zero, one line, these words in it.
#[track_caller]
fn refused(words: &[&str], texts: &[&str]) {
    let output = run(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let (first, others) = stderr.split_once('\n').unwrap();
    assert!(first.starts_with("mqttx broker: "), "{stderr}");
    let remedies = others.lines();
    assert!(remedies.clone().count() <= 1, "{stderr}");
    assert!(
        remedies.into_iter().all(|line| line.starts_with("  try: ")),
        "{stderr}"
    );
    for text in texts {
        assert!(stderr.contains(text), "{text:?} is not in {stderr:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_said_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(
        &["--port", &port],
        &[&format!("127.0.0.1:{port}"), "taken", "--port"],
    );
}

#[test]
fn an_open_address_needs_a_word_about_who_may_come() {
    let remedy = ["--allow-anonymous", "--password-file"];
    refused(&["--port", "0", "--bind", "0.0.0.0"], &remedy);
    refused(&["--port", "0", "--bind", "::"], &remedy);
    refused(
        &["--port", "0", "--bind", "127.0.0.1", "--bind", "0.0.0.0"],
        &remedy,
    );
    refused(
        &["--port", "0", "--bind", "192.0.2.1", "--allow-anonymous"],
        &["192.0.2.1"],
    );
    let open = BrokerProcess::start(&["--bind", "0.0.0.0", "--allow-anonymous"]);
    RawClient::connect(open.port, &Hello::new("a"));
}

#[test]
fn limits_that_are_none_are_refused() {
    refused(&["--limit", "connections_max"], &["NAME=VALUE"]);
    refused(&["--limit", "conections_max=5"], &["conections_max"]);
    refused(&["--limit", "connections_max=0"], &["connections_max", "1"]);
    refused(&["--limit", "connections_max=x"], &["x"]);
}

/// `user` with the password `secret`, as mosquitto_passwd wrote it.
const USERS: &str = concat!(
    "user:$7$101$oXj20lFftMaDYazq$gt7tmf7z/RnWNwI//EPyQg7ofQZoxATyd5Xn5TM1P",
    "6uL2D/k0RC4Vt8g/LL+onDRq39l33yfFPK0mjmqYrg0SQ==\n"
);

fn password_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn connect_as(port: u16, user: Option<(&str, &str)>, version: Version) -> String {
    use mqttx::mqtt::connect::Connect;
    use mqttx::mqtt::property::Properties;
    let connect = Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id: "c",
        will: None,
        user_name: user.map(|(name, _)| name),
        password: user.map(|(_, password)| password.as_bytes()),
        properties: Properties::EMPTY,
    };
    let mut bytes = Vec::new();
    connect.encode(version, &mut bytes);
    let mut client = RawClient::open(port, version);
    client.send(&bytes);
    client.expect("CONNACK")
}

#[test]
fn users_of_a_password_file_come_in_and_others_do_not() {
    let (_folder, path) = password_file(USERS);
    let words = ["--bind", "0.0.0.0", "--password-file", &path];
    let broker = BrokerProcess::start(&words);
    let port = broker.port;
    for version in Version::ALL {
        let v5 = version.is_v5();
        let good = connect_as(port, Some(("user", "secret")), version);
        assert!(good.starts_with("CONNACK Success"), "{good}");
        let wrong = if v5 {
            "CONNACK Bad User Name or Password"
        } else {
            "CONNACK code 4"
        };
        let nobody = if v5 {
            "CONNACK Not authorized"
        } else {
            "CONNACK code 5"
        };
        let check = |user, expected: &str| {
            let got = connect_as(port, user, version);
            assert!(got.starts_with(expected), "{user:?}: {got}");
        };
        check(Some(("user", "wrong")), wrong);
        check(Some(("user", "")), wrong);
        check(Some(("other", "secret")), wrong);
        check(None, nobody);
    }
    // A file that anybody may read is said to hold secrets; no line has one.
    let mut log = broker.log().into_iter();
    let leak = log.find(|line| line.replace("holds secrets", "").contains("secret"));
    assert_eq!(leak, None, "passwords are not for the log");
}

#[test]
fn a_password_file_that_is_none_is_refused() {
    refused(
        &["--password-file", "/nonexistent/users"],
        &["/nonexistent/users"],
    );
    for text in ["user\n", "user:$7$x$y$z\n", "user:$9$1$2$3\n", ":x\n"] {
        let (_folder, path) = password_file(text);
        refused(&["--port", "0", "--password-file", &path], &[&path]);
    }
}

#[test]
fn the_status_of_a_command_is_the_brokers() {
    let status = |script: &str| {
        let output = run(&["--port", "0", "--quiet", "--", "sh", "-c", script]);
        output.status.code()
    };
    assert_eq!(status("exit 0"), Some(0));
    assert_eq!(status("exit 7"), Some(7));
    assert_eq!(status("kill -9 $$"), Some(137));
    let mqttx = env!("CARGO_BIN_EXE_mqttx");
    let script = format!("{mqttx} pub -h $MQTTX_HOST -p $MQTTX_PORT -t t -m m -q 2");
    assert_eq!(status(&script), Some(0), "it listens where it says");
    refused(
        &["--port", "0", "--quiet", "--", "/nonexistent/program"],
        &["/nonexistent/program"],
    );
}

#[test]
fn a_ready_file_that_cannot_be_written_is_an_error() {
    let output = run(&["--port", "0", "--ready-file", "/nonexistent/ready"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("ready file"), "{stderr}");
}

#[test]
fn the_ready_file_names_every_address() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let script = "cat \"$READY\"; exit 3";
    let output = broker(&["--port", "0", "--quiet", "--ready-file"])
        .arg(&ready)
        .args(["--", "sh", "-c", script])
        .env("READY", &ready)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(port_of(&text) > 0);
    let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
    for listener in ready["listeners"].as_array().unwrap() {
        assert_eq!(listener["protocol"], "mqtt");
        let address: std::net::SocketAddr = listener["address"].as_str().unwrap().parse().unwrap();
        assert!(address.ip().is_loopback());
    }
}

#[test]
fn sigterm_says_good_bye_and_ends_well() {
    let mut broker = BrokerProcess::start(&["--workers", "2"]);
    let mut clients: Vec<RawClient> = Version::ALL
        .into_iter()
        .map(|version| {
            let hello = Hello::new(&format!("c{version}")).version(version);
            RawClient::connect(broker.port, &hello)
        })
        .collect();
    let mut stranger = RawClient::open(broker.port, Version::V5);
    broker.ask_to_end();
    assert_eq!(clients[0].rest(), [""; 0]);
    assert_eq!(clients[1].rest(), [""; 0]);
    assert_eq!(clients[2].rest(), ["DISCONNECT 0x8b"]);
    assert_eq!(stranger.rest(), [""; 0]);
    let status = broker.wait();
    assert!(status.success() && status.signal().is_none(), "{status}");
}

#[test]
fn sigterm_waits_for_nobody_who_does_not_read() {
    let mut broker = BrokerProcess::start(&[]);
    let _deaf = RawClient::subscriber(broker.port, &Hello::new("deaf"), "t", 0);
    let mut publisher = RawClient::connect(broker.port, &Hello::new("pub"));
    let message =
        crate::support::packets::publish(Version::V5, "t", &"x".repeat(20_000), 0, 0, &[]);
    for _ in 0..1_000 {
        publisher.send(&message);
    }
    publisher.ping();
    broker.ask_to_end();
    assert!(broker.wait().success());
}

#[test]
fn a_log_that_nobody_reads_or_that_is_closed_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    for (number, closed) in [false, true].into_iter().enumerate() {
        let ready = folder.path().join(format!("ready{number}"));
        let mut child = broker(&["--port", "0", "--verbose", "--ready-file"])
            .arg(&ready)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        // The first bytes of the banner, and then never again.
        stderr.read_exact(&mut [0; 10]).unwrap();
        let unread = (!closed).then_some(stderr);
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break text;
            }
            assert!(child.try_wait().unwrap().is_none());
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        let port = port_of(&text);
        for round in 0..1_000 {
            let mut client = RawClient::connect(port, &Hello::new(&format!("{round:0>100}")));
            client.ping();
        }
        crate::support::broker_process::signal(&child, rustix::process::Signal::TERM);
        let status = wait_for(&mut child);
        assert!(status.success(), "closed {closed}: {status}");
        drop(unread);
    }
}

#[test]
fn closed_standard_streams_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let mut child = Command::new("sh")
        .args([
            "-c",
            "exec \"$0\" broker --port 0 --ready-file \"$1\" <&- >&- 2>&-",
        ])
        .arg(env!("CARGO_BIN_EXE_mqttx"))
        .arg(&ready)
        .spawn()
        .unwrap();
    let text = loop {
        if let Ok(text) = std::fs::read_to_string(&ready) {
            break text;
        }
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    let mut client = RawClient::connect(port_of(&text), &Hello::new("a"));
    client.ping();
    // No descriptor of a client may be taken for standard error: it would get the log.
    let mut other = RawClient::connect(port_of(&text), &Hello::new("b"));
    other.send(&[0, 0]);
    assert_eq!(other.rest(), ["DISCONNECT 0x81"]);
    client.ping();
    crate::support::broker_process::signal(&child, rustix::process::Signal::TERM);
    assert!(wait_for(&mut child).success());
}
