//! Proxies in front of a listener: both versions of the PROXY header, and X-Forwarded-For.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use mqttx::mqtt::Version;

use crate::broker_listeners_rules::{configured, listening};
use crate::support::broker_process::PATIENCE;
use crate::support::packets::Hello;

/// A connection that begins with these bytes.
fn open(port: u16, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(first).unwrap();
    stream
}

/// All that comes until the end.
fn answer(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset after the last byte is an end, too.
    let _ = stream.read_to_end(&mut all);
    all
}

fn connack(stream: &mut TcpStream) -> [u8; 2] {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x20, "a CONNACK");
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).unwrap();
    [body[0], body[1]]
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 5555 1883\r\n";

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut out = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    out.extend([command, family]);
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

const FROM: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x15, 0xb3, 7, 91];

/// A header of a client that came by TLS, with this certificate, if it had one.
fn v2_by_tls(name: Option<&str>, verify: u32) -> Vec<u8> {
    let mut inside = vec![if name.is_some() { 3 } else { 1 }];
    inside.extend(verify.to_be_bytes());
    for (kind, value) in [
        (0x21, Some("TLSv1.3")),
        (0x22, name),
        (0x23, Some("TLS_AES_256_GCM_SHA384")),
    ] {
        let Some(value) = value else { continue };
        inside.push(kind);
        inside.extend((value.len() as u16).to_be_bytes());
        inside.extend(value.as_bytes());
    }
    let mut body = FROM.to_vec();
    body.push(0x20);
    body.extend((inside.len() as u16).to_be_bytes());
    body.extend(inside);
    v2(0x21, 0x11, &body)
}

#[test]
fn behind_a_proxy_the_client_has_its_own_address() {
    let broker = listening(
        &["mqtt://127.0.0.1:0?proxy=1", "mqtt://127.0.0.1:0?proxy=2"],
        &[],
    );
    let headers = [V1.to_vec(), v2(0x21, 0x11, &FROM)];
    for (number, header) in headers.iter().enumerate() {
        let id = format!("client{number}");
        let hello = Hello::new(&id).version(Version::V311).bytes();
        // All at once, and byte by byte.
        let mut whole = open(broker.ports[number], &[&header[..], &hello[..]].concat());
        assert_eq!(connack(&mut whole), [0, 0]);
        let line = broker.wait_log(&id);
        assert!(line.contains("192.0.2.7:55"), "{line}");
        let mut slow = open(broker.ports[number], &[]);
        slow.set_nodelay(true).unwrap();
        for byte in header.iter().chain(&hello) {
            slow.write_all(&[*byte]).unwrap();
        }
        assert_eq!(connack(&mut slow), [0, 0]);
    }
}

#[test]
fn health_checks_of_proxies_are_not_told() {
    let broker = listening(
        &["mqtt://127.0.0.1:0?proxy=1", "mqtt://127.0.0.1:0?proxy=2"],
        &["--limit", "connect_timeout_ms=500"],
    );
    broker.wait_log("are allowed");
    let before = broker.log().len();
    for (place, header) in [
        (0, b"PROXY UNKNOWN\r\n".to_vec()),
        (1, v2(0x20, 0, &[])),
        (1, v2(0x21, 0, &[])),
    ] {
        assert!(answer(open(broker.ports[place], &header)).is_empty());
    }
    // One that never ends is ended by the time there is for CONNECT.
    assert!(answer(open(broker.ports[1], b"\r\n\r\n\0\r\nQ")).is_empty());
    broker.wait_log("no CONNECT came in time");
    assert_eq!(broker.log().len(), before + 1, "{:#?}", broker.log());
}

#[test]
fn a_proxys_word_about_tls_counts() {
    let broker = configured(
        "listener any 127.0.0.1\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n\
         allow_anonymous true\n\
         listener any 127.0.0.1\nenable_proxy_protocol 2\nrequire_certificate true\n\
         use_identity_as_username true",
    );
    let hello = Hello::new("a").version(Version::V311).bytes();
    let first = |place: usize, header: Vec<u8>| {
        open(broker.ports[place], &[header, hello.clone()].concat())
    };
    assert!(answer(first(0, v2(0x21, 0x11, &FROM))).is_empty());
    broker.wait_log("client did not connect using TLS");
    assert_eq!(connack(&mut first(0, v2_by_tls(None, 0))), [0, 0]);
    assert!(answer(first(1, v2_by_tls(None, 0))).is_empty());
    broker.wait_log("client did not provide a certificate");
    assert!(answer(first(1, v2_by_tls(Some("device"), 1))).is_empty());
    assert_eq!(
        connack(&mut first(1, v2_by_tls(Some("device 7"), 0))),
        [0, 0]
    );
    broker.wait_log("device 7");
}

#[test]
fn websockets_stand_behind_proxies_too() {
    let broker = listening(
        &[
            "ws://127.0.0.1:0?proxy=1",
            "ws://127.0.0.1:0?forwarded-for=yes",
            "ws://127.0.0.1:0",
        ],
        &[],
    );
    let hello = Hello::new("forwarded").bytes();
    let mut frame = vec![0x82, 0x80 | hello.len() as u8, 0, 0, 0, 0];
    frame.extend(&hello);
    let request = "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: mqtt\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n";
    let firsts = [
        [V1, request.as_bytes(), &frame].concat(),
        [request.as_bytes(), &frame].concat(),
        [request.as_bytes(), &frame].concat(),
    ];
    for (place, address) in ["192.0.2.7:5555", "198.51.100.9:", "127.0.0.1:"]
        .iter()
        .enumerate()
    {
        let mut stream = open(broker.ports[place], &firsts[place]);
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 101");
        broker.wait_log(&format!("\"forwarded\" {address}"));
    }
}
