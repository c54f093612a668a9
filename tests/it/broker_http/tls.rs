//! https and wss on the port of visitors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use super::http_port;
use crate::support::broker_process::BrokerProcess;
use crate::support::certificates::{self, Certificates};
use crate::support::packets::Hello;
use crate::support::raw_client::RawClient;
use crate::support::visitor::{Answer, Visitor};

/// What the broker answers to a visitor who trusts the authority.
fn get(certificates: &Certificates, port: u16, path: &str) -> Answer {
    let session = certificates::session(&certificates.path("ca.pem"));
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut sealed = rustls::StreamOwned::new(session, stream);
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    sealed.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // The broker may end TCP without a goodbye in TLS.
    let _ = sealed.read_to_end(&mut bytes);
    Answer::read(&bytes)
}

/// Pages, the API and MQTT over WebSocket, by TLS; and nothing without it.
fn check(broker: &BrokerProcess, certificates: &Certificates) {
    let port = http_port(broker);
    assert_eq!(get(certificates, port, "/").status, 200);
    let told = get(certificates, port, "/api/v1/listeners").json();
    let last = told["listeners"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (&last["protocol"], &last["tls"]),
        (&"https".into(), &true.into())
    );
    let mut reader = RawClient::subscriber(broker.port, &Hello::new("reader"), "w", 0);
    let status = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args([
            "pub",
            "-h",
            "localhost",
            "-p",
            &port.to_string(),
            "--ws",
            "--cafile",
        ])
        .arg(certificates.path("ca.pem"))
        .args(["-t", "w", "-m", "by wss"])
        .status();
    assert!(status.unwrap().success());
    assert!(reader.expect("PUBLISH").contains("by wss"));
    let mut plain = Visitor::new(port).begin("GET", "/healthz", "");
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes);
    assert!(!String::from_utf8_lossy(&bytes).contains("ok"));
}

#[test]
fn a_word_makes_the_port_of_visitors_one_of_tls() {
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let (cert, key) = (path("localhost.pem"), path("localhost.key"));
    let http = [
        "--http",
        "https://127.0.0.1:0",
        "--cert",
        &cert,
        "--key",
        &key,
    ];
    check(&BrokerProcess::start(&http), &certificates);
}

#[test]
fn a_file_makes_the_port_of_visitors_one_of_tls() {
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let lines = format!(
        "listener any 127.0.0.1\nallow_anonymous true\n\
         listener any 127.0.0.1\nprotocol http\ncertfile {}\nkeyfile {}",
        path("localhost.pem"),
        path("localhost.key"),
    );
    check(&BrokerProcess::configured(&lines, &[]), &certificates);
}
