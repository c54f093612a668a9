//! A client whose every byte is ours, over blocking TCP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mqttx::mqtt::Version;
use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;

use crate::support::packets::{self, Hello};

pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    bytes: Vec<u8>,
}

impl Wire {
    /// A connection, nothing said on it.
    pub(crate) fn open(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_nodelay(true).ok()?;
        stream
            .set_write_timeout(Some(Duration::from_secs(2)))
            .ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .ok()?;
        Some(Self {
            stream,
            bytes: Vec::new(),
        })
    }

    pub(crate) fn connect(port: u16, hello: &Hello) -> Option<Self> {
        let mut wire = Self::open(port)?;
        wire.send(&hello.bytes())?;
        let connack = wire.next()?;
        (connack[0] == 0x20).then_some(wire)
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Option<()> {
        self.send(&packets::subscribe(Version::V5, 1, filter, qos, &[]))?;
        self.next().map(|_| ())
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str, qos: u8, id: u16) -> Option<()> {
        let bytes = packets::publish(Version::V5, topic, payload, qos, id, &[]);
        self.send(&bytes)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    /// Reads and forgets what comes until the broker closes.
    pub(crate) fn drain(&mut self) {
        let mut block = [0; 16_384];
        while self.stream.read(&mut block).is_ok_and(|count| count > 0) {}
    }

    /// The next packet; `None`: the broker closed, or says nothing for ten seconds.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Ok(Scan::Head(head)) = scan(&self.bytes, PACKET_SIZE_MAX)
                && self.bytes.len() >= head.total()
            {
                let rest = self.bytes.split_off(head.total());
                return Some(std::mem::replace(&mut self.bytes, rest));
            }
            let mut block = [0; 16_384];
            match self.stream.read(&mut block) {
                Ok(count) if count > 0 => self.bytes.extend_from_slice(&block[..count]),
                _ => return None,
            }
        }
    }
}
