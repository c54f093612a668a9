//! Brokers found by SRV records, with a DNS server of a few lines.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use mqttx::client::{End, Options};
use mqttx::mqtt::Version;
use mqttx::net::address::Address;
use mqttx::net::{Dial, ServiceLookup};

use crate::support::probe::{Probe, run};
use crate::support::scripted_broker::ScriptedBroker;

/// Priority, weight and port of each record.
type Records = Vec<(u16, u16, u16)>;

/// Answers one question with these records, whose target is localhost; returns what was asked.
fn dns(records: Records) -> (SocketAddr, std::thread::JoinHandle<String>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        let mut question = [0; 512];
        let (len, from) = socket.recv_from(&mut question).unwrap();
        let mut name = String::new();
        let mut at = 12;
        while question[at] != 0 {
            let end = at + 1 + usize::from(question[at]);
            name.push_str(&String::from_utf8_lossy(&question[at + 1..end]));
            name.push('.');
            at = end;
        }
        // The question ends with its type and class; what may follow (EDNS) is not repeated.
        let end = (at + 5).min(len);
        let mut answer = question[..2].to_vec();
        let code = if records.is_empty() { 3 } else { 0 };
        answer.extend([0x85, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
        answer.extend(&question[12..end]);
        for (priority, weight, port) in &records {
            answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 17]);
            for number in [priority, weight, port] {
                answer.extend(number.to_be_bytes());
            }
            answer.extend(b"\x09localhost\x00");
        }
        socket.send_to(&answer, from).unwrap();
        name
    });
    (address, asked)
}

fn connect(records: Records) -> (End, String) {
    let (server, asked) = dns(records);
    let mut dial = Dial::new(Address::tcp("example.test", 1));
    dial.service = Some(ServiceLookup {
        server: Some(server),
    });
    let mut probe = Probe::publishing(&[]);
    let (end, _) = run(Options::new(dial), &mut probe);
    (end, asked.join().unwrap())
}

#[test]
fn the_first_broker_that_answers_is_taken() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect_goodbye();
    });
    let (end, asked) = connect(vec![(9, 0, script.port), (1, 5, closed)]);
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(asked, "_mqtt._tcp.example.test.");
    script.join();
}

#[test]
fn a_domain_without_brokers_is_named() {
    let (end, _) = connect(Vec::new());
    let told = end.to_string();
    assert!(
        told.contains("no broker by SRV (_mqtt._tcp.example.test.)"),
        "{told}"
    );
}
