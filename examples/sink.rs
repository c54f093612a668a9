//! A broker that welcomes everybody, acknowledges what they say and throws it away: shows how fast a
//! generator can be when nobody slows it down.
//!
//! `cargo run --release --example sink -- 18830`, then `mqttx bench pub -p 18830 --max -s 16`. Without
//! a port it takes a free one; which one it says.

#![expect(clippy::print_stdout, reason = "its address is what it has to say")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Bytes taken with one read.
const BLOCK: usize = 1 << 20;

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0)))?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        std::thread::spawn(move || swallow(stream));
    }
    Ok(())
}

fn swallow(mut stream: TcpStream) -> std::io::Result<()> {
    let mut block = vec![0; BLOCK];
    // CONNECT is small and alone: the client waits for the answer.
    let count = stream.read(&mut block)?;
    let is_v5 = block[..count].get(8) == Some(&5);
    // CONNACK, no session, accepted, and in version 5 no properties.
    let welcome: &[u8] = if is_v5 {
        &[0x20, 3, 0, 0, 0]
    } else {
        &[0x20, 2, 0, 0]
    };
    stream.write_all(welcome)?;
    let mut held = 0;
    let mut answers = Vec::new();
    loop {
        let count = stream.read(&mut block[held..])?;
        if count == 0 {
            return Ok(());
        }
        // QoS 0 alone needs no look at what it is.
        if held == 0 && block[0] >> 1 & 3 == 0 && block[0] >> 4 == 3 {
            while stream.read(&mut block)? > 0 {}
            return Ok(());
        }
        let end = held + count;
        let taken = acknowledge(&block[..end], &mut answers);
        block.copy_within(taken..end, 0);
        held = end - taken;
        stream.write_all(&answers)?;
        answers.clear();
    }
}

/// The answers to the whole packets there are; how many bytes those have.
fn acknowledge(bytes: &[u8], answers: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some((head, size)) = size_of(&bytes[at..]) {
        let packet = &bytes[at..at + size];
        let (answer, id) = match packet[0] >> 4 {
            3 => {
                let topic = usize::from(u16::from_be_bytes([packet[head], packet[head + 1]]));
                let answer = [0, 0x40, 0x50, 0][usize::from(packet[0] >> 1 & 3)];
                (answer, head + 2 + topic)
            }
            // PUBREL is answered with PUBCOMP.
            6 => (0x70, head),
            _ => (0, 0),
        };
        if answer != 0 {
            answers.extend_from_slice(&[answer, 2, packet[id], packet[id + 1]]);
        }
        at += size;
    }
    at
}

/// Length of the fixed header and of the packet that begins here, once all of it is there.
fn size_of(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut len, mut at) = (0_usize, 1);
    while at <= 4 {
        let byte = usize::from(*bytes.get(at)?);
        len |= (byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte < 0x80 {
            break;
        }
    }
    (bytes.len() >= at + len).then_some((at, at + len))
}
