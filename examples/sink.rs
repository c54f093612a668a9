//! A broker that welcomes everybody and throws away what they say: shows how fast a generator can
//! be when nobody slows it down. QoS 0 and MQTT 3.1.1 only.
//!
//! `cargo run --release --example sink -- 18830`, then
//! `mqttx bench pub -V 311 -p 18830 -q 0 --max -s 16`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// CONNACK, no session, accepted.
const WELCOME: [u8; 4] = [0x20, 2, 0, 0];

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(18_830)))?;
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || swallow(stream));
    }
    Ok(())
}

fn swallow(mut stream: TcpStream) -> std::io::Result<()> {
    let mut block = vec![0; 1 << 20];
    // CONNECT is small and alone: the client waits for the answer.
    if stream.read(&mut block)? > 0 {
        stream.write_all(&WELCOME)?;
    }
    while stream.read(&mut block)? > 0 {}
    Ok(())
}
