//! What peers do that mean harm before there is a word of MQTT: hands of TLS that are shaken
//! halfway, by the thousand, and again and again.

use std::io::Write as _;
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};

use crate::attacks::{goes_on, together};
use crate::wire::Wire;

/// Connections held open with half a handshake.
const HALF: usize = 800;

/// What begins a handshake: cheap to send again and again, and each costs the other side a key
/// exchange and a signature.
fn client_hello(version: &'static SupportedProtocolVersion) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Half a handshake each, and then nothing.
pub(crate) fn half_handshakes(port: u16, stop: &AtomicBool) {
    let hello = client_hello(&version::TLS13);
    let begin = || {
        let mut wire = Wire::open(port)?;
        wire.send(&hello)?;
        Some(wire)
    };
    let _crowd: Vec<Wire> = (0..HALF).filter_map(|_| begin()).collect();
    while goes_on(stop) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// As many handshakes as can be begun, of both versions.
pub(crate) fn hello_flood(port: u16, stop: &AtomicBool) {
    let hellos = [&version::TLS13, &version::TLS12].map(client_hello);
    together(8, || {
        for hello in hellos.iter().cycle() {
            if !goes_on(stop) {
                return;
            }
            let Some(mut wire) = Wire::open(port) else {
                continue;
            };
            let _ = wire.send(hello);
            let _ = wire.stream.shutdown(Shutdown::Write);
            wire.drain();
        }
    });
}

/// OpenSSL's client asks for a new handshake on a connection of TLS 1.2, and again.
pub(crate) fn renegotiation(port: u16, stop: &AtomicBool) {
    let place = format!("127.0.0.1:{port}");
    together(4, || {
        while goes_on(stop) {
            let child = Command::new("openssl")
                .args(["s_client", "-tls1_2", "-connect", &place])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let Ok(mut child) = child else { return };
            if let Some(mut words) = child.stdin.take() {
                for _ in 0..200 {
                    if !goes_on(stop) || words.write_all(b"R\n").is_err() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    });
}
