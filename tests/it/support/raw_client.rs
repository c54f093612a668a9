//! A client whose every byte is in a test's hand, over TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;
use mqttx::mqtt::{Packet, Version};

use socket2::{Domain, Socket, Type};

use crate::support::broker_process::PATIENCE;
use crate::support::packets::{self, Hello};

pub(crate) struct RawClient {
    pub(crate) stream: TcpStream,
    version: Version,
    read: Vec<u8>,
}

impl RawClient {
    /// A Network Connection, nothing said on it.
    pub(crate) fn open(port: u16, version: Version) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).unwrap(), version)
    }

    /// A client for whom the system keeps a few kilobytes at most, where it would take tens of
    /// megabytes for others.
    pub(crate) fn narrow(port: u16, hello: &Hello) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        socket.connect(&address.into()).unwrap();
        let mut client = Self::over(socket.into(), hello.version);
        client.send(&hello.bytes());
        client.expect("CONNACK Success");
        client
    }

    fn over(stream: TcpStream, version: Version) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            version,
            read: Vec::new(),
        }
    }

    /// A client that is connected.
    #[track_caller]
    pub(crate) fn connect(port: u16, hello: &Hello) -> Self {
        let mut client = Self::open(port, hello.version);
        client.send(&hello.bytes());
        let answer = client.expect("CONNACK");
        assert!(answer.starts_with("CONNACK Success"), "{answer}");
        client
    }

    /// A new client with subscriptions.
    #[track_caller]
    pub(crate) fn subscriber(port: u16, hello: &Hello, filter: &str, qos: u8) -> Self {
        let mut client = Self::connect(port, hello);
        client.send(&packets::subscribe(hello.version, 1, filter, qos, &[]));
        assert_eq!(client.expect("SUBACK"), format!("SUBACK #1 [{qos}]"));
        client
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// As `send`, to a broker that may have closed by now.
    pub(crate) fn send_if_there(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// No more bytes from us.
    pub(crate) fn close_writing(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next whole packet; none when the broker closed.
    pub(crate) fn next_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Scan::Head(head) = scan(&self.read, PACKET_SIZE_MAX).unwrap()
                && self.read.len() >= head.total()
            {
                let rest = self.read.split_off(head.total());
                return Some(std::mem::replace(&mut self.read, rest));
            }
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("waiting for a packet: {error}"),
            }
        }
    }

    /// The next packet in words; none when the broker closed.
    pub(crate) fn next(&mut self) -> Option<String> {
        let frame = self.next_frame()?;
        let packet = Packet::decode(&frame, self.version).unwrap();
        Some(packets::render(&packet))
    }

    /// The next packet, which must begin so.
    #[track_caller]
    pub(crate) fn expect(&mut self, start: &str) -> String {
        let next = self.next();
        match next {
            Some(packet) if packet.starts_with(start) => packet,
            other => panic!("{start:?} expected, {other:?} came"),
        }
    }

    /// All packets until the broker closes.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// A PINGREQ is answered: the connection stands, and all before it was handled.
    #[track_caller]
    pub(crate) fn ping(&mut self) {
        self.send(&packets::PINGREQ);
        self.expect("PINGRESP");
    }
}
