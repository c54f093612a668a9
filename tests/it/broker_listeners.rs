//! The broker's listeners: TLS, WebSocket, both, and Unix sockets, with our clients and foreign
//! ones, and with what does not belong there.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::broker_process::BrokerProcess;
use crate::support::certificates;
use crate::support::programs::{Program, mosquittos, skipped};

struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Without a name of its own OpenSSL takes what it signs for signed by itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "tests' root");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        write("ca.pem", ca.pem());
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            write(
                &format!("{name}.pem"),
                params.signed_by(&key, &ca).unwrap().pem(),
            );
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A broker with a listener of each kind, in this order: mqtt, mqtts, ws, wss, unix.
    fn broker(&self, more: &[&str]) -> BrokerProcess {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.arg("broker");
        for scheme in ["mqtt", "mqtts", "ws", "wss"] {
            command.args(["--listen", &format!("{scheme}://127.0.0.1:0")]);
        }
        command.args(["--listen", &format!("unix:{}", self.path("socket"))]);
        command.args([
            "--cert",
            &self.path("server.pem"),
            "--key",
            &self.path("server.key"),
        ]);
        command.args(more);
        BrokerProcess::start_as(command)
    }

    /// The words that lead a client of ours to each listener.
    fn ways(&self, broker: &BrokerProcess) -> [String; 5] {
        let [mqtt, mqtts, ws, wss] = broker.ports[..] else {
            panic!("four ports")
        };
        let tls = format!("-h localhost --cafile {}", self.path("ca.pem"));
        [
            format!("-h localhost -p {mqtt}"),
            format!("{tls} -p {mqtts}"),
            format!("-h localhost -p {ws} --ws"),
            format!("{tls} -p {wss} --ws"),
            format!("--unix {}", self.path("socket")),
        ]
    }
}

#[test]
fn a_message_passes_between_every_two_listeners_at_every_qos() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&[]);
    let ways = certificates.ways(&broker);
    for to in &ways {
        let expected: usize = ways.len() * 3;
        let mut subscriber = Program::mqttx()
            .words(&format!(
                "sub {to} -V 5 -q 2 -t t/# -v -d -C {expected} -W 30"
            ))
            .start();
        subscriber.wait_for_out("Subscribed");
        for (place, from) in ways.iter().enumerate() {
            for qos in 0..3 {
                let line = format!("pub {from} -q {qos} -t t/{place} -m {qos}");
                let left = Program::mqttx().words(&line).run();
                assert_eq!(left.status, 0, "{line}: {}", left.err());
            }
        }
        let out = subscriber.end().out();
        for place in 0..ways.len() {
            for qos in 0..3 {
                let line = format!("t/{place} {qos}");
                assert_eq!(
                    out.lines().filter(|got| *got == line).count(),
                    1,
                    "{to}: {out}"
                );
            }
        }
    }
}

#[test]
fn ten_megabytes_arrive_whole_through_every_listener() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&[]);
    let payload: Vec<u8> = (0..10_000_000_u32).map(|n| (n % 251) as u8).collect();
    for way in certificates.ways(&broker) {
        let mut subscriber = Program::mqttx()
            .words(&format!("sub {way} -q 1 -t big -N -C 1 -W 30"))
            .start();
        broker.wait_log("connected");
        let publish = Program::mqttx()
            .words(&format!("pub {way} -q 1 -r -t big -s"))
            .input(payload.clone())
            .run();
        assert_eq!(publish.status, 0, "{way}: {}", publish.err());
        let left = subscriber.finish_or("sub");
        assert!(left.stdout == payload, "{way}: {} bytes", left.stdout.len());
        let clear = Program::mqttx()
            .words(&format!("pub {way} -r -n -t big"))
            .run();
        assert_eq!(clear.status, 0);
    }
}

#[test]
fn mosquittos_clients_speak_tls_with_the_broker() {
    let (Some(publisher), Some(subscriber)) =
        (mosquittos("mosquitto_pub"), mosquittos("mosquitto_sub"))
    else {
        return skipped(1, "mosquitto's clients are not installed");
    };
    let certificates = Certificates::new();
    let broker = certificates.broker(&[]);
    let way = &certificates.ways(&broker)[1];
    let published = Program::new(publisher)
        .words(&format!("{way} -q 2 -r -t a/b -m hello"))
        .run();
    assert_eq!(published.status, 0, "{}", published.err());
    let received = Program::new(subscriber)
        .words(&format!("{way} -q 2 -t a/+ -C 1 -W 10"))
        .run();
    assert_eq!(received.out(), "hello\n");
}

#[test]
fn a_client_certificate_may_be_demanded() {
    let certificates = Certificates::new();
    let ca = certificates.path("ca.pem");
    let broker = certificates.broker(&["--cafile", &ca, "--require-certificate"]);
    let way = &certificates.ways(&broker)[1];
    let without = Program::mqttx()
        .words(&format!("pub {way} -t t -m x"))
        .run();
    assert_ne!(without.status, 0);
    let with = format!(
        "pub {way} --cert {} --key {} -t t -m x -q 1",
        certificates.path("client.pem"),
        certificates.path("client.key")
    );
    let with = Program::mqttx().words(&with).run();
    assert_eq!(with.status, 0, "{}", with.err());
}

fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn what_does_not_belong_to_a_listener_is_answered_and_closed() {
    let certificates = Certificates::new();
    let mut broker = certificates.broker(&["--origin", "http://ours"]);
    let [mqtt, mqtts, ws, _] = broker.ports[..] else {
        panic!("four ports")
    };
    let get = "GET /mqtt HTTP/1.1\r\nHost: x\r\n";
    let check = |request: String, status: &str| {
        let answer = exchange(ws, request.as_bytes());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
    };
    check(format!("{get}\r\n"), "426");
    let upgrade = format!(
        "{get}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    check(format!("{upgrade}\r\n"), "400");
    check(
        format!("{upgrade}Sec-WebSocket-Protocol: mqtt\r\nOrigin: http://evil\r\n\r\n"),
        "403",
    );
    // MQTT on the WebSocket port, HTTP on the MQTT port, and neither on the TLS port.
    let connect = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0];
    assert!(exchange(ws, &[&connect[..], b"\r\n\r\n"].concat()).starts_with(b"HTTP/1.1 400"));
    assert!(exchange(mqtt, get.as_bytes()).is_empty());
    let alert = exchange(mqtts, &connect);
    assert_eq!(alert.first(), Some(&0x15), "a TLS alert: {alert:x?}");
    // A frame without a mask after a good request.
    let good = format!("{upgrade}Sec-WebSocket-Protocol: mqtt\r\n\r\n");
    let answer = exchange(ws, &[good.as_bytes(), &[0x82, 1, 0]].concat());
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    broker.wait_log("without a mask");
    assert!(broker.is_running());
    broker.ask_to_end();
    assert!(broker.wait().success());
    assert!(
        !fs::exists(certificates.path("socket")).unwrap(),
        "the socket's file is gone"
    );
}

#[test]
fn a_broker_that_ends_leaves_the_sockets_of_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["mqtt", "http"].map(|name| folder.path().join(name));
    let lines = format!(
        "listener any 127.0.0.1\nallow_anonymous true\nlistener 0 {}\n\
         listener 0 {}\nprotocol http",
        paths[0].display(),
        paths[1].display()
    );
    let mut first = BrokerProcess::configured(&lines, &[]);
    for path in &paths {
        fs::remove_file(path).unwrap();
    }
    let _second = BrokerProcess::configured(&lines, &[]);
    first.ask_to_end();
    assert!(first.wait().success());
    for path in &paths {
        assert!(UnixStream::connect(path).is_ok(), "{}", path.display());
    }
}

/// A TLS connection of ours with the broker, past its handshake.
fn tls_client(certificates: &Certificates, port: u16) -> (rustls::ClientConnection, TcpStream) {
    let mut tls = certificates::session(certificates.path("ca.pem").as_ref());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).unwrap();
    }
    (tls, stream)
}

#[test]
fn bytes_behind_the_goodbye_of_tls_stop_nobody() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&["--workers", "1"]);
    let (mut tls, mut stream) = tls_client(&certificates, broker.ports[1]);
    tls.send_close_notify();
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes).unwrap();
    }
    bytes.extend([0x17, 3, 3, 0x40, 0].iter().chain(&[0; 100_000]));
    stream.write_all(&bytes).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut answer = Vec::new();
    // The broker closes; whether it resets the rest is the system's affair.
    let _ = stream.read_to_end(&mut answer);
    let way = &certificates.ways(&broker)[0];
    let published = Program::mqttx()
        .words(&format!("pub {way} -q 1 -t t -m x"))
        .run();
    assert_eq!(published.status, 0, "{}", published.err());
}

#[test]
fn pings_of_a_websocket_that_does_not_read_are_bounded() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", broker.ports[2])).unwrap();
    let request = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let connect = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0];
    let mut frame = vec![0x82, 0x80 | connect.len() as u8, 0, 0, 0, 0];
    frame.extend(connect);
    stream.write_all(&frame).unwrap();
    broker.wait_log("connected");
    let before = broker.memory();
    let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    ping.extend([7; 125]);
    let pings = ping.repeat(1_000);
    for _ in 0..400 {
        stream.write_all(&pings).unwrap();
    }
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 20_000, "{grown} KiB for 50 MB of pings");
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 101");
}

#[test]
fn a_client_of_a_websocket_may_say_goodbye_behind_its_disconnect() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", broker.ports[2])).unwrap();
    let request = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    let connect = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0];
    stream.write_all(request.as_bytes()).unwrap();
    for packet in [&connect[..], &[0xE0, 0]] {
        let mut frame = vec![0x82, 0x80 | packet.len() as u8, 0, 0, 0, 0];
        frame.extend(packet);
        stream.write_all(&frame).unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let connack = [0x82, 4, 0x20, 2, 0, 0];
    let place = answer.windows(6).position(|bytes| bytes == connack);
    let behind = &answer[place.expect("a CONNACK") + 6..];
    assert_eq!(behind.first(), Some(&0x88), "a goodbye: {behind:x?}");
    // The broker has sent all it has, and still listens: twice, as the first reset would be told
    // by the second.
    let goodbye = [0x88, 0x82, 0, 0, 0, 0, 3, 232];
    for _ in 0..2 {
        stream.write_all(&goodbye).unwrap();
    }
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_tls_handshake_in_crumbs_costs_its_own_connection() {
    let certificates = Certificates::new();
    let mut broker = certificates.broker(&["--workers", "1"]);
    // A ClientHello of 60,000 bytes that is never whole, one byte a record: each byte takes six.
    let mut hello = vec![1, 0, 0xea, 0x60, 3, 3];
    hello.resize(50_000, 0);
    let crumbs: Vec<u8> = hello
        .iter()
        .flat_map(|byte| [22, 3, 1, 0, 1, *byte])
        .collect();
    let mut stream = TcpStream::connect(("127.0.0.1", broker.ports[1])).unwrap();
    // It may be closed before all is written.
    let _ = stream.write_all(&crumbs);
    broker.wait_log("a TLS message that is too long");
    assert!(broker.is_running());
    tls_client(&certificates, broker.ports[1]);
}

/// A PUBLISH of QoS 0 in MQTT 3.1.1, with a payload of its own.
fn large(topic: &str, size: usize, number: usize) -> Vec<u8> {
    let mut packet = vec![0x30];
    let mut left = 2 + topic.len() + size;
    while left >= 0x80 {
        packet.push(left as u8 | 0x80);
        left >>= 7;
    }
    packet.push(left as u8);
    packet.extend([0, topic.len() as u8]);
    packet.extend(topic.as_bytes());
    packet.extend((0..size).map(|at| (at / 3 + number) as u8));
    packet
}

/// Says CONNECT and SUBSCRIBE, and reads the answers.
fn subscribe(stream: &mut (impl Read + Write), filters: &[&str]) {
    let connect = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0];
    stream.write_all(&connect).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    for filter in filters {
        let size = filter.len() as u8;
        let subscribe = [&[0x82, size + 5, 0, 1, 0, size], filter.as_bytes(), &[0]].concat();
        stream.write_all(&subscribe).unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
    }
}

/// What has one reader is sealed where it was read, what has two is not, and who reads late gets the same.
#[test]
fn large_messages_arrive_whole_over_tls_whoever_else_has_them() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&["--workers", "1", "--limit", "outbox_bytes_max=67108864"]);
    let (mut tls, mut sealed) = tls_client(&certificates, broker.ports[1]);
    let mut reader = rustls::Stream::new(&mut tls, &mut sealed);
    subscribe(&mut reader, &["one", "both"]);
    let mut plain = TcpStream::connect(("127.0.0.1", broker.ports[0])).unwrap();
    subscribe(&mut plain, &["both"]);
    let sizes = [40_000, 65_536, 65_536, 65_536, 120_000, 200_000, 500_000];
    let mut sent = Vec::new();
    for (number, size) in sizes.iter().cycle().take(21).enumerate() {
        let topic = ["one", "one", "both"][number / 7];
        sent.push((topic, large(topic, *size, number)));
    }
    let of = |wanted: &str| -> Vec<u8> {
        let wanted = sent.iter().filter(|(topic, _)| *topic == wanted);
        wanted.flat_map(|(_, packet)| packet.clone()).collect()
    };
    let (one, both) = (of("one"), of("both"));
    let expected = [&one[..], &both].concat();
    let (mut tls, mut through) = tls_client(&certificates, broker.ports[1]);
    let writer = std::thread::spawn(move || {
        let mut writer = rustls::Stream::new(&mut tls, &mut through);
        subscribe(&mut writer, &[]);
        for (_, packet) in &sent {
            writer.write_all(packet).unwrap();
        }
        writer.flush().unwrap();
        // It answers when it has read all that.
        writer.write_all(&[0xc0, 0]).unwrap();
        writer.read_exact(&mut [0; 2]).unwrap();
    });
    let other = std::thread::spawn(move || {
        let mut got = vec![0; both.len()];
        plain.read_exact(&mut got).unwrap();
        assert!(got == both);
    });
    writer.join().unwrap();
    let mut got = vec![0; expected.len()];
    reader.read_exact(&mut got).unwrap();
    let differs = got.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(differs, None);
    other.join().unwrap();
}
