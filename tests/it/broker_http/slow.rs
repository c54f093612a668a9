//! Visitors that take their time or are gone: they get their answer, and nobody waits for them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::broker;
use crate::support::broker_process::PATIENCE;
use crate::support::packets::{self, Hello};
use crate::support::raw_client::RawClient;
use crate::support::visitor::Answer;
use mqttx::mqtt::Version;

/// Says one byte a second behind `beginning`, until the broker has had enough: what it says then.
fn drip(mut stream: TcpStream, beginning: &str) -> Vec<u8> {
    stream.write_all(beginning.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let (begun, mut said) = (Instant::now(), Vec::new());
    loop {
        assert!(begun.elapsed() < PATIENCE, "it goes on for ever");
        let mut block = [0; 4_096];
        match stream.read(&mut block) {
            Ok(0) => return said,
            Ok(count) => said.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // It may be closed meanwhile.
                let _ = stream.write_all(b"x");
            }
            Err(_) => return said,
        }
    }
}

#[test]
fn a_byte_a_second_is_too_slow_and_holds_nobody_up() {
    let (broker, visitor) = broker(&[]);
    let host = format!("Host: localhost:{}\r\n", visitor.port);
    let body = format!(
        "POST /api/v1/publish HTTP/1.1\r\n{host}Content-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n"
    );
    let (head, upgrade) = (
        format!("GET / HTTP/1.1\r\n{host}X: "),
        format!("GET /mqtt HTTP/1.1\r\n{host}X: "),
    );
    std::thread::scope(|scope| {
        let slow: Vec<_> = [&body, &head, &upgrade]
            .map(|beginning| {
                let stream = visitor.connect();
                scope.spawn(move || drip(stream, beginning))
            })
            .into();
        let mut client = RawClient::connect(broker.port, &Hello::new("client"));
        while slow.iter().any(|one| !one.is_finished()) {
            client.ping();
            assert_eq!(visitor.get("/readyz").status, 200);
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut said = slow.into_iter().map(|one| one.join().unwrap());
        let answer = Answer::read(&said.next().unwrap());
        assert_eq!((answer.status, answer.fault().as_str()), (408, "timeout"));
        for said in said {
            let text = String::from_utf8_lossy(&said).into_owned();
            assert!(text.is_empty() || text.contains(" 408 "), "{text}");
        }
    });
}

#[test]
fn a_reader_that_is_gone_leaves_nothing_behind() {
    let (broker, visitor) = broker(&[]);
    let mut events = visitor.events("/api/v1/subscribe?filter=%23");
    events.next("subscribed");
    assert_eq!(visitor.json("/api/v1/clients?q=http-")["matched"], 1);
    drop(events);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    let begun = Instant::now();
    while visitor.json("/api/v1/clients?q=http-")["matched"] != 0 {
        writer.send(&packets::publish(Version::V5, "a", "x", 0, 0, &[]));
        writer.ping();
        assert!(begun.elapsed() < PATIENCE, "its Session is still there");
    }
}

/// What asks for a WebSocket is only looked at, and nobody reads the end of it: its place is free all
/// the same, long before the time for a head is over.
#[test]
fn who_leaves_half_a_head_leaves_no_connection() {
    let (_broker, visitor) = broker(&[]);
    for beginning in ["GET /mq", "GET /mqtt HTTP/1.1\r\nUpgrade: ", "GET /"] {
        let mut stream = visitor.connect();
        stream.write_all(beginning.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let patience = Duration::from_secs(10);
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Ok(_) => assert!(
                said.is_empty() || said.starts_with(b"HTTP/1.1 400"),
                "{said:?}"
            ),
            // What was not read makes it a hard end.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{beginning}"),
        }
    }
}
