//! How connections of listeners with layers end: what came before the end counts, what was to go out
//! does so before the goodbye, as over plain TCP; and what a client may say along with its first words.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustls::ClientConnection;

use crate::support::broker_process::BrokerProcess;
use crate::support::certificates::{self, Certificates};

/// A listener of each kind: mqtt, mqtts, ws, wss.
fn broker(certificates: &Certificates, workers: usize) -> BrokerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args(["broker", "--workers", &workers.to_string()]);
    for scheme in ["mqtt", "mqtts", "ws", "wss"] {
        command.args(["--listen", &format!("{scheme}://127.0.0.1:0")]);
    }
    command
        .arg("--cert")
        .arg(certificates.path("localhost.pem"));
    command.arg("--key").arg(certificates.path("localhost.key"));
    command.args(["--limit", "outbox_bytes_max=67108864"]);
    BrokerProcess::start_as(command)
}

/// What may lie between a test and the socket.
struct Way {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    /// Bytes of a frame that are still to come, with WebSocket.
    frame: Option<u64>,
}

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Protocol: mqtt\r\n\r\n";

impl Way {
    /// To the listener at this place: see [`broker`].
    fn to(broker: &BrokerProcess, certificates: &Certificates, place: usize) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", broker.ports[place])).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        socket.set_nodelay(true).unwrap();
        let mut way = Self {
            socket,
            tls: (place % 2 == 1).then(|| certificates::session(&certificates.path("ca.pem"))),
            frame: None,
        };
        if let Some(tls) = &mut way.tls {
            while tls.is_handshaking() {
                tls.complete_io(&mut way.socket).unwrap();
            }
        }
        if place >= 2 {
            way.put(REQUEST.as_bytes());
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                way.take_exact(&mut byte);
                answer.extend(byte);
            }
            way.frame = Some(0);
        }
        way
    }

    fn put(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.socket)
                .write_all(bytes)
                .unwrap(),
            None => self.socket.write_all(bytes).unwrap(),
        }
    }

    fn take(&mut self, room: &mut [u8]) -> usize {
        let read = match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.socket).read(room),
            None => self.socket.read(room),
        };
        read.unwrap()
    }

    fn take_exact(&mut self, mut room: &mut [u8]) {
        while !room.is_empty() {
            let count = self.take(room);
            assert!(count > 0, "{} bytes are missing", room.len());
            room = &mut room[count..];
        }
    }

    /// In the listener's words.
    fn wrapped(&self, bytes: &[u8]) -> Vec<u8> {
        let Some(_) = self.frame else {
            return bytes.to_vec();
        };
        let mut frame = vec![0x82, 0x80 | 126];
        frame.extend((bytes.len() as u16).to_be_bytes());
        if bytes.len() < 126 {
            frame = vec![0x82, 0x80 | bytes.len() as u8];
        }
        frame.extend([0; 4]);
        frame.extend(bytes);
        frame
    }

    fn send(&mut self, bytes: &[u8]) {
        let bytes = self.wrapped(bytes);
        self.put(&bytes);
    }

    /// Some bytes of MQTT; none at the end.
    fn receive(&mut self, room: &mut [u8]) -> usize {
        let Some(left) = self.frame else {
            return self.take(room);
        };
        if left == 0 {
            let mut head = [0; 2];
            self.take_exact(&mut head);
            let size = match head[1] {
                126 => 2,
                127 => 8,
                _ => 0,
            };
            let mut long = [0; 8];
            self.take_exact(&mut long[8 - size..]);
            if head[0] == 0x88 {
                return 0;
            }
            assert_eq!(head[0], 0x82);
            let short = u64::from(head[1]);
            self.frame = Some(if size == 0 {
                short
            } else {
                u64::from_be_bytes(long)
            });
            return self.receive(room);
        }
        let count = room.len().min(left as usize);
        let count = self.take(&mut room[..count]);
        self.frame = Some(left - count as u64);
        count
    }

    fn expect(&mut self, bytes: &[u8]) {
        let mut got: Vec<u8> = Vec::new();
        while got.len() < bytes.len() {
            let mut room = vec![0; bytes.len() - got.len()];
            let count = self.receive(&mut room);
            assert!(count > 0, "only {got:02x?}");
            got.extend(&room[..count]);
        }
        assert_eq!(got, bytes);
    }

    fn rest(&mut self) -> Vec<u8> {
        let (mut all, mut room) = (Vec::new(), vec![0; 65_536]);
        loop {
            match self.receive(&mut room) {
                0 => return all,
                count => all.extend(&room[..count]),
            }
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut packet, mut left) = (vec![first], body.len());
    while left >= 0x80 {
        packet.push(left as u8 | 0x80);
        left >>= 7;
    }
    packet.push(left as u8);
    [&packet, body].concat()
}

/// CONNECT of version 3.1.1 (4) or 5, with a will for the topic `will` or without.
fn connect(version: u8, client_id: &str, will: bool) -> Vec<u8> {
    let flags = if will { 0x06 } else { 0x02 };
    let none: &[u8] = if version == 5 { &[0] } else { &[] };
    let mut body = [
        &text("MQTT"),
        &[version, flags, 0, 0][..],
        none,
        &text(client_id),
    ]
    .concat();
    if will {
        body.extend([none, &text("will"), &text("gone")].concat());
    }
    packet(0x10, &body)
}

fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&text(topic), payload].concat())
}

fn subscribe(version: u8, filter: &str) -> Vec<u8> {
    let none: &[u8] = if version == 5 { &[0] } else { &[] };
    packet(0x82, &[&[0, 1], none, &text(filter), &[0]].concat())
}

/// A client of version 3.1.1 over plain TCP, subscribed.
fn observer(broker: &BrokerProcess, certificates: &Certificates, filters: &[&str]) -> Way {
    let mut way = Way::to(broker, certificates, 0);
    way.send(&connect(4, "observer", false));
    way.expect(&[0x20, 2, 0, 0]);
    for filter in filters {
        way.send(&subscribe(4, filter));
        way.expect(&[0x90, 3, 0, 1, 0]);
    }
    way
}

#[test]
fn a_key_may_be_updated_in_the_breath_that_ends_the_handshake() {
    let certificates = Certificates::new();
    let broker = broker(&certificates, 1);
    let mut socket = TcpStream::connect(("127.0.0.1", broker.ports[1])).unwrap();
    let mut tls = certificates::session(&certificates.path("ca.pem"));
    while tls.is_handshaking() {
        while tls.wants_write() {
            tls.write_tls(&mut socket).unwrap();
        }
        tls.read_tls(&mut socket).unwrap();
        tls.process_new_packets().unwrap();
    }
    // Behind its Finished, in one write: a wish for new keys on both sides, and CONNECT.
    tls.refresh_traffic_keys().unwrap();
    tls.writer().write_all(&connect(4, "hasty", false)).unwrap();
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes).unwrap();
    }
    socket.write_all(&bytes).unwrap();
    let mut connack = [0; 4];
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    // And once more in the middle of it all.
    stream.conn.refresh_traffic_keys().unwrap();
    stream.write_all(&[0xc0, 0]).unwrap();
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(pong, [0xd0, 0]);
}

#[test]
fn what_a_client_said_before_it_left_unheard_counts() {
    let certificates = Certificates::new();
    let broker = broker(&certificates, 1);
    for place in 0..4 {
        let mut observer = observer(&broker, &certificates, &["last", "will"]);
        let mut deaf = Way::to(&broker, &certificates, place);
        deaf.send(&connect(4, "deaf", true));
        deaf.expect(&[0x20, 2, 0, 0]);
        deaf.send(&subscribe(4, "flood"));
        deaf.expect(&[0x90, 3, 0, 1, 0]);
        // More than the system takes for somebody who does not read.
        for _ in 0..300 {
            observer.send(&publish("flood", &[7; 60_000]));
        }
        observer.send(&[0xc0, 0]);
        observer.expect(&[0xd0, 0]);
        deaf.send(&publish("last", b"word"));
        deaf.send(&[0xe0, 0]);
        // With so much unread this is a reset, and writing to it fails.
        drop(deaf);
        let said = publish("last", b"word");
        observer.expect(&said);
        // It said goodbye, so there is no will.
        observer.send(&publish("last", b"no will"));
        observer.expect(&publish("last", b"no will"));
    }
}

#[test]
fn a_goodbye_comes_behind_all_that_was_to_be_said() {
    let certificates = Certificates::new();
    let broker = broker(&certificates, 1);
    for place in 0..4 {
        let mut slow = Way::to(&broker, &certificates, place);
        slow.send(&connect(5, "slow", false));
        slow.expect(&[0x20]);
        let mut size = [0];
        assert_eq!(slow.receive(&mut size), 1);
        for _ in 0..size[0] {
            assert_eq!(slow.receive(&mut [0]), 1);
        }
        slow.send(&subscribe(5, "flood"));
        slow.expect(&[0x90, 4, 0, 1, 0, 0]);
        let mut observer = observer(&broker, &certificates, &[]);
        for _ in 0..200 {
            observer.send(&publish("flood", &[7; 60_000]));
        }
        observer.send(&[0xc0, 0]);
        observer.expect(&[0xd0, 0]);
        let reader = thread::spawn(move || slow.rest());
        let mut other = Way::to(&broker, &certificates, 0);
        other.send(&connect(4, "slow", false));
        other.expect(&[0x20, 2, 0, 0]);
        let got = reader.join().unwrap();
        let one = packet(0x30, &[&text("flood")[..], &[0], &[7; 60_000]].concat());
        assert!(
            got.len() > 200 * one.len(),
            "{} bytes at {place}",
            got.len()
        );
        let (messages, last) = got.split_at(200 * one.len());
        assert!(messages.chunks(one.len()).all(|message| message == one));
        assert_eq!(last[0], 0xe0, "a DISCONNECT: {last:02x?}");
        assert_eq!(last[2], 0x8e, "taken over: {last:02x?}");
    }
}

#[test]
fn what_is_behind_a_large_connect_goes_along_to_another_worker() {
    let certificates = Certificates::new();
    let broker = broker(&certificates, 2);
    for round in 0..12 {
        // The Session is kept, with the worker that had it first.
        let place = [0, 1, 3, 1, 1][round % 5];
        let mut way = Way::to(&broker, &certificates, place);
        let mut properties = vec![0x11, 0, 0, 0, 100];
        for _ in 0..4 {
            properties.push(0x26);
            properties.extend([text("large"), text(&"x".repeat(60_000))].concat());
        }
        let size = properties.len();
        let size = [size | 0x80, size >> 7 | 0x80, size >> 14].map(|byte| byte as u8);
        let start = [&text("MQTT"), &[5, 0, 0, 0][..], &size, &properties].concat();
        let connect = packet(0x10, &[start, text("kept")].concat());
        let mut bytes = if round == 0 {
            connect
        } else {
            [connect, subscribe(5, "t")].concat()
        };
        bytes.extend([0xc0, 0]);
        // As many frames as it takes.
        for part in bytes.chunks(60_000) {
            way.send(part);
        }
        way.expect(&[0x20]);
        let mut size = [0];
        assert_eq!(way.receive(&mut size), 1);
        for _ in 0..size[0] {
            assert_eq!(way.receive(&mut [0]), 1);
        }
        if round > 0 {
            way.expect(&[0x90, 4, 0, 1, 0, 0]);
        }
        way.expect(&[0xd0, 0]);
    }
}

#[test]
fn what_came_whole_before_a_fault_counts() {
    let certificates = Certificates::new();
    let broker = broker(&certificates, 1);
    for place in 1..4 {
        let mut observer = observer(&broker, &certificates, &["last", "will"]);
        let mut wrong = Way::to(&broker, &certificates, place);
        wrong.send(&connect(4, "wrong", true));
        wrong.expect(&[0x20, 2, 0, 0]);
        let mut bytes = wrong.wrapped(&publish("last", b"word"));
        if place >= 2 {
            // A frame of text.
            bytes.extend([0x81, 0x81, 0, 0, 0, 0, b'x']);
        }
        let Way { socket, tls, .. } = &mut wrong;
        if let Some(tls) = tls {
            tls.writer().write_all(&bytes).unwrap();
            bytes.clear();
            while tls.wants_write() {
                tls.write_tls(&mut bytes).unwrap();
            }
            if place == 1 {
                // A record that nobody sealed.
                bytes.extend([23, 3, 3, 0, 20]);
                bytes.extend([7; 20]);
            }
        }
        socket.write_all(&bytes).unwrap();
        observer.expect(&publish("last", b"word"));
        observer.expect(&publish("will", b"gone"));
    }
}
