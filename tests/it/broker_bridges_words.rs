//! What each directive of a bridge does to the bytes it sends first, and to what it may do on its
//! own side: the other broker is the test's, or one that tells what it was asked.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use mqttx::mqtt::property::PropertyId;
use mqttx::mqtt::{Packet, PacketType, Version};
use rustix::process::Signal;

use crate::broker_bridges::{bridged, bridged_to, messages, send, wait_until_carried, watcher};
use crate::support::broker_process::{BrokerProcess, PATIENCE, comes};
use crate::support::certificates::Certificates;
use crate::support::packets::{Hello, publish};
use crate::support::raw_client::RawClient;

/// The other end of a bridge, byte by byte.
struct End {
    stream: TcpStream,
    version: Version,
}

impl End {
    fn accept(listener: &TcpListener, version: Version) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, version }
    }

    /// The next packet; all of them are short here.
    fn next(&mut self) -> Vec<u8> {
        let mut frame = vec![0; 2];
        self.stream.read_exact(&mut frame).unwrap();
        assert!(frame[1] < 0x80, "a long packet");
        frame.resize(2 + usize::from(frame[1]), 0);
        self.stream.read_exact(&mut frame[2..]).unwrap();
        frame
    }

    /// What the next packet is, and its filters.
    fn told(&mut self) -> (PacketType, String) {
        let frame = self.next();
        let packet = Packet::decode(&frame, self.version).unwrap();
        let text = String::from_utf8_lossy(&frame).into_owned();
        match packet {
            Packet::Subscribe(_) => (PacketType::Subscribe, text),
            Packet::Unsubscribe(_) => (PacketType::Unsubscribe, text),
            other => panic!("{other:?}"),
        }
    }

    /// Publishes here until something comes across: what that is.
    fn first_after(&mut self, local: &mut RawClient, payload: &str) -> String {
        let wait = |stream: &TcpStream, time| stream.set_read_timeout(Some(time)).unwrap();
        wait(&self.stream, Duration::from_millis(20));
        comes("anything", || {
            let came = self.stream.peek(&mut [0]).is_ok();
            if !came {
                send(local, "t", payload, 1, 1);
            }
            came
        });
        wait(&self.stream, PATIENCE);
        self.take()
    }

    /// The next message at QoS 1 for `t`, which is acknowledged.
    fn take(&mut self) -> String {
        let frame = self.next();
        assert_eq!(frame[0] & 0xf6, 0x32, "{frame:?}");
        self.stream
            .write_all(&[0x40, 2, frame[5], frame[6]])
            .unwrap();
        String::from_utf8_lossy(&frame[7..]).into_owned()
    }

    fn connack(&mut self) {
        let answer: &[u8] = match self.version {
            Version::V5 => &[0x20, 3, 0, 0, 0],
            _ => &[0x20, 2, 0, 0],
        };
        self.stream.write_all(answer).unwrap();
    }
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// What a bridge with these lines says in its CONNECT.
fn greeting(lines: &str) -> String {
    let (listener, port) = listener();
    let (_near, _folder) = bridged(port, &format!("topic # out | {lines}"));
    let v5 = lines.contains("mqttv50");
    let version = if v5 { Version::V5 } else { Version::V311 };
    let frame = End::accept(&listener, version).next();
    let Packet::Connect(connect) = Packet::decode(&frame, version).unwrap() else {
        panic!("no CONNECT")
    };
    let password = connect.password.map(String::from_utf8_lossy);
    let number = |id| {
        let two = connect.properties.two(id).map(u32::from);
        let value = two.or_else(|| connect.properties.four(id));
        value.map_or(String::new(), |value| format!(" {id:?}={value}"))
    };
    format!(
        "{} {:?} {:?} clean={} k={}{}{}{}{}",
        connect.client_id,
        connect.user_name,
        password,
        connect.clean_start,
        connect.keep_alive,
        number(PropertyId::SessionExpiryInterval),
        number(PropertyId::ReceiveMaximum),
        number(PropertyId::MaximumPacketSize),
        number(PropertyId::TopicAliasMaximum),
    )
}

#[test]
fn what_it_says_of_itself_there() {
    let check = |lines: &str, expected: &str| assert_eq!(greeting(lines), expected, "{lines}");
    check("", "far None None clean=false k=60");
    check("cleansession true", "far None None clean=true k=60");
    check("keepalive_interval 7", "far None None clean=false k=7");
    check("remote_clientid other", "other None None clean=false k=60");
    check(
        "remote_username me | remote_password secret",
        "far Some(\"me\") Some(\"secret\") clean=false k=60",
    );
    check(
        "username me | password secret",
        "far Some(\"me\") Some(\"secret\") clean=false k=60",
    );
    let v5 = "bridge_protocol_version mqttv50";
    check(
        v5,
        "far None None clean=false k=60 ReceiveMaximum=20 TopicAliasMaximum=10",
    );
    check(
        &format!(
            "{v5} | bridge_session_expiry_interval 90 | bridge_receive_maximum 7 | \
             bridge_max_packet_size 5000 | bridge_max_topic_alias 3"
        ),
        "far None None clean=false k=60 SessionExpiryInterval=90 ReceiveMaximum=7 \
         MaximumPacketSize=5000 TopicAliasMaximum=3",
    );
}

#[test]
fn subscriptions_of_old_are_taken_away_unless_it_is_told_not_to() {
    for choice in [true, false] {
        for (word, version) in [("mqttv311", Version::V311), ("mqttv50", Version::V5)] {
            let (listener, port) = listener();
            let lines = format!(
                "bridge_protocol_version {word} | bridge_attempt_unsubscribe {choice} | \
                 notifications false | topic out/# out 1 | topic in/# in 1"
            );
            let (_near, _folder) = bridged(port, &lines);
            let mut end = End::accept(&listener, version);
            end.next();
            end.connack();
            if choice {
                let (kind, text) = end.told();
                assert_eq!(kind, PacketType::Unsubscribe, "{word}");
                assert!(text.contains("out/#"), "{word}: {text:?}");
            }
            let (kind, text) = end.told();
            assert_eq!(kind, PacketType::Subscribe, "{word} {choice}");
            assert!(text.contains("in/#"), "{word} {choice}: {text:?}");
        }
    }
}

#[test]
fn a_kept_session_there_ends_with_cleansession() {
    for (choice, expected) in [("false", 1), ("true", 0)] {
        let far = BrokerProcess::start(&[]);
        let lines = format!("cleansession {choice} | topic t in 1");
        let (near, _folder) = bridged(far.port, &lines);
        wait_until_carried((far.port, "t"), (near.port, "t"));
        near.kill();
        far.wait_log("far");
        // Of a Session that is gone nobody is a subscriber.
        let mut there = RawClient::connect(far.port, &Hello::new("there"));
        there.send(&publish(Version::V5, "t", "away", 1, 2, &[]));
        let told = there.expect("PUBACK");
        assert_eq!(told.contains("0x10"), expected == 0, "{choice}: {told}");
    }
}

#[test]
fn its_user_name_here_has_its_rules() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("acl");
    std::fs::write(&rules, "topic #\nuser carrier\ntopic read ok/#\n").unwrap();
    let far = BrokerProcess::start(&[]);
    let lines = format!(
        "local_clientid errand | local_username carrier | local_password unused | \
         topic # out 1 | acl_file {}",
        rules.display()
    );
    let (near, _folder) = bridged(far.port, &lines);
    wait_until_carried((near.port, "ok/there"), (far.port, "ok/there"));
    let mut seen = watcher(far.port, "#");
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    // The one stays here, though it comes first.
    send(&mut local, "no/1", "x", 1, 1);
    send(&mut local, "ok/1", "x", 1, 2);
    assert_eq!(messages(&mut seen, 1), ["PUBLISH ok/1 x q1"]);
    near.wait_log("errand");
}

#[test]
fn a_session_here_keeps_what_waits_unless_it_is_clean() {
    for (choice, expected) in [(false, "waited"), (true, "fresh")] {
        let (listener, port) = listener();
        let lines = format!(
            "local_cleansession {choice} | notifications false | \
             bridge_attempt_unsubscribe false | topic t out 1"
        );
        let (near, _folder) = bridged(port, &lines);
        let mut end = End::accept(&listener, Version::V311);
        end.next();
        end.connack();
        let mut local = RawClient::connect(near.port, &Hello::new("local"));
        end.first_after(&mut local, "there");
        send(&mut local, "t", "last", 1, 1);
        while end.take() != "last" {}
        drop(end);
        near.wait_log("Bridge b disconnected");
        send(&mut local, "t", "waited", 1, 1);
        let mut end = End::accept(&listener, Version::V311);
        end.next();
        end.connack();
        assert_eq!(end.first_after(&mut local, "fresh"), expected, "{choice}");
    }
}

/// Whether a connection to this port asks TCP if the other side is alive, as the system has it.
fn is_probed(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let mut rows = table.lines().skip(1).map(|row| row.split_whitespace());
    rows.any(|mut row| {
        let is_remote = row.nth(2).is_some_and(|remote| remote.ends_with(&port));
        // State, queues, and the timer that runs: 2 is keep-alive's.
        is_remote && row.nth(2).is_some_and(|timer| timer.starts_with("02:"))
    })
}

#[test]
fn tcp_looks_after_its_connection_if_it_is_told_to() {
    for (lines, expected) in [("", false), ("bridge_tcp_keepalive 60 10 3", true)] {
        let far = BrokerProcess::start(&[]);
        let (near, _folder) = bridged(far.port, &format!("topic # out | {lines}"));
        near.wait_log("connected to");
        // Another timer runs while its first bytes are on their way.
        comes(lines, || is_probed(far.port) == expected);
    }
}

#[test]
fn it_trusts_a_folder_and_asks_for_ciphers() {
    let certificates = Certificates::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(certificates.path("ca.pem"), folder.path().join("ca.pem")).unwrap();
    let lines = certificates
        .listener(0, "localhost")
        .replace("listener 0", "listener any");
    let far = BrokerProcess::configured(&format!("{lines}allow_anonymous true"), &["-v"]);
    let address = format!("localhost:{}", far.port);
    let trusting = format!("topic # out | bridge_capath {}", folder.path().display());
    for (number, (more, told)) in [
        ("", "negotiated TLSv1.3 cipher"),
        (
            " | bridge_ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256",
            "negotiated TLSv1.3 cipher TLS_CHACHA20_POLY1305_SHA256",
        ),
        (
            " | bridge_tls_version tlsv1.2 | bridge_ciphers ECDHE-ECDSA-AES128-GCM-SHA256",
            "negotiated TLSv1.2 cipher ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let lines = format!("{trusting} | remote_clientid bridge{number}{more}");
        let (_near, _folder) = bridged_to(&address, &lines);
        far.wait_log(&format!("Client bridge{number} {told}"));
    }
}

#[test]
fn a_lazy_reload_waits_for_the_connection_to_end() {
    let far = BrokerProcess::start(&[]);
    let lines = "notifications false | topic t out 1 | bridge_reload_type";
    let (near, folder) = bridged(far.port, &format!("{lines} lazy"));
    near.wait_log("connected to");
    let path = folder.path().join("mosquitto.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replace("topic t", "topic u");
    std::fs::write(&path, &changed).unwrap();
    near.signal(Signal::HUP);
    near.wait_log("Reloading config.");
    let mut seen = watcher(far.port, "#");
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    send(&mut local, "t", "old", 1, 1);
    assert_eq!(
        messages(&mut seen, 1),
        ["PUBLISH t old q1"],
        "it goes on as it was"
    );
    std::fs::write(&path, changed.replace("lazy", "immediate")).unwrap();
    near.signal(Signal::HUP);
    wait_until_carried((near.port, "u"), (far.port, "u"));
}

#[test]
fn attempts_wait_between_base_and_cap() {
    let (listener, port) = listener();
    drop(listener);
    let (near, _folder) = bridged(port, "restart_timeout 1 2 | topic # out");
    let line = near.wait_log("next backoff will be");
    let mut words = line.split_whitespace();
    let time = words.find_map(|word| word.parse::<u64>().ok());
    assert!(
        time.is_some_and(|time| (1..=2_000).contains(&time)),
        "{line}"
    );
}

#[test]
fn it_comes_from_the_address_it_is_bound_to() {
    let (listener, port) = listener();
    let (_near, _folder) = bridged(port, "topic # out | bridge_bind_address 127.0.0.2");
    let mut end = End::accept(&listener, Version::V311);
    assert_eq!(
        end.stream.peer_addr().unwrap().ip().to_string(),
        "127.0.0.2"
    );
    assert_eq!(end.next()[0], 0x10);
}

#[test]
fn it_trusts_whom_the_system_trusts() {
    let certificates = Certificates::new();
    let lines = certificates
        .listener(0, "localhost")
        .replace("listener 0", "listener any");
    let far = BrokerProcess::configured(&format!("{lines}allow_anonymous true"), &[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mosquitto.conf");
    let text = format!(
        "user root\nlog_type all\nconnection b\naddress localhost:{}\nremote_clientid bridge\n\
         restart_timeout 1\ntopic # out\nbridge_tls_use_os_certs true\n",
        far.port
    );
    std::fs::write(&path, text).unwrap();
    for (roots, told) in [
        ("ca.pem", "Bridge b connected to"),
        ("client.pem", "Bridge b disconnected"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.args(["broker", "--port", "0", "-c"]).arg(&path);
        command.env("SSL_CERT_FILE", certificates.path(roots));
        command.env_remove("SSL_CERT_DIR");
        BrokerProcess::start_as(command).wait_log(told);
    }
}
