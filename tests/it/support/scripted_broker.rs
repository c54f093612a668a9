//! A broker that does what a test says and nothing else: expect this packet, send those bytes,
//! close, stall. Its script runs on a thread of its own and panics there on the first surprise;
//! [`Script::join`] brings the panic home.
//!
//! ```ignore
//! let script = ScriptedBroker::start(Version::V311, |broker| {
//!     let mut client = broker.accept();
//!     client.expect(PacketType::Subscribe);
//!     client.send(&[0x90, 3, 0, 1, 0]);
//! });
//! // … a client connects to script.port …
//! script.join();
//! ```

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mqttx::mqtt::connack::Connack;
use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;
use mqttx::mqtt::property::{Properties, PropertiesBuf};
use mqttx::mqtt::{Packet, PacketType, Reason, Version};

/// Longer than any step of a test takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running script.
pub(crate) struct Script {
    pub(crate) port: u16,
    thread: JoinHandle<()>,
}

impl Script {
    /// Waits for the script's end, and fails where it failed.
    pub(crate) fn join(self) {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// The listening side.
pub(crate) struct ScriptedBroker {
    listener: TcpListener,
    version: Version,
}

impl ScriptedBroker {
    /// Listens on a free port of 127.0.0.1 and runs `script` on a thread.
    pub(crate) fn start(
        version: Version,
        script: impl FnOnce(&mut Self) + Send + 'static,
    ) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut broker = Self { listener, version };
        let thread = std::thread::spawn(move || script(&mut broker));
        Script { port, thread }
    }

    /// Few bytes find room between a client and us, from the next connection on.
    pub(crate) fn shrink_buffers(&self) {
        let socket = socket2::SockRef::from(&self.listener);
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.set_send_buffer_size(4_096).unwrap();
    }

    /// The next connection, nothing read from it.
    pub(crate) fn accept_raw(&mut self) -> Peer {
        self.listener.set_nonblocking(true).unwrap();
        let start = Instant::now();
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(start.elapsed() < PATIENCE, "no client came");
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => panic!("accept: {error}"),
            }
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer {
            stream,
            version: self.version,
            read: Vec::new(),
        }
    }

    /// The next connection, its CONNECT read and welcomed without a session.
    pub(crate) fn accept(&mut self) -> Peer {
        self.accept_with(false, &PropertiesBuf::new())
    }

    /// The next connection, welcomed with this CONNACK.
    pub(crate) fn accept_with(
        &mut self,
        session_present: bool,
        properties: &PropertiesBuf,
    ) -> Peer {
        let mut peer = self.accept_raw();
        peer.expect(PacketType::Connect);
        peer.connack(session_present, Reason::SUCCESS, properties.properties());
        peer
    }
}

/// One client's connection.
pub(crate) struct Peer {
    stream: TcpStream,
    version: Version,
    read: Vec<u8>,
}

impl Peer {
    /// The next whole packet, fixed header included; none when the client closed.
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
                Ok(0) => {
                    assert!(
                        self.read.is_empty(),
                        "closed within a packet: {:02x?}",
                        self.read
                    );
                    return None;
                }
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("waiting for a packet: {error}"),
            }
        }
    }

    /// The same, for a client that may have ended in any way.
    pub(crate) fn read_or_reset(&mut self) -> Option<usize> {
        let mut chunk = [0; 4_096];
        match self.stream.read(&mut chunk) {
            Ok(0) => None,
            Ok(count) => Some(count),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("waiting for the client's end: {error}"),
        }
    }

    /// The next packet, which must be of this kind; its bytes.
    #[track_caller]
    pub(crate) fn expect(&mut self, kind: PacketType) -> Vec<u8> {
        match self.next_frame() {
            None => panic!("{kind} expected, but the client closed"),
            Some(frame) => {
                let came = PacketType::from_first(frame[0]);
                assert_eq!(came, Some(kind), "{kind} expected, but {frame:02x?} came");
                frame
            }
        }
    }

    /// The next packet, which must be these bytes.
    #[track_caller]
    pub(crate) fn expect_bytes(&mut self, expected: &[u8]) {
        match self.next_frame() {
            None => panic!("{expected:02x?} expected, but the client closed"),
            Some(frame) => assert_eq!(frame, expected, "{frame:02x?} is not {expected:02x?}"),
        }
    }

    /// The client closes now, without another packet.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) {
        if let Some(frame) = self.next_frame() {
            panic!("a close expected, but {frame:02x?} came");
        }
    }

    /// DISCONNECT without a reason, then the close.
    #[track_caller]
    pub(crate) fn expect_goodbye(&mut self) {
        self.expect_bytes(&[0xe0, 0]);
        self.expect_close();
    }

    /// Reads no more than this; the client's bytes pile up in the sockets.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// As `send`, to a client that may be gone by now.
    pub(crate) fn send_if_there(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends `bytes` again and again until the client takes no more, or `most` bytes are gone.
    pub(crate) fn send_until_stuck(&mut self, bytes: &[u8], most: usize) -> usize {
        self.stream
            .set_write_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let mut taken = 0;
        while taken < most {
            match self.stream.write(&bytes[taken % bytes.len()..]) {
                Ok(count) => taken += count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(error) => panic!("send: {error}"),
            }
        }
        taken
    }

    /// So many bytes, whatever they are.
    pub(crate) fn read_exactly(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.read);
        let held = bytes.len();
        bytes.resize(len, 0);
        self.stream.read_exact(&mut bytes[held..]).unwrap();
        bytes
    }

    /// No more bytes from us, while the client's are still read.
    pub(crate) fn close_writing(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub(crate) fn send_packet(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        self.send(&bytes);
    }

    pub(crate) fn connack(
        &mut self,
        session_present: bool,
        reason: Reason,
        properties: Properties<'_>,
    ) {
        self.send_packet(&Packet::Connack(Connack {
            session_present,
            reason,
            properties,
        }));
    }

    /// Drops the connection, with a reset when the client's bytes were not all read.
    pub(crate) fn close(self) {}

    /// Whether the client sends nothing for so long: for rules about silence.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        assert!(
            self.read.is_empty(),
            "the client has sent already: {:02x?}",
            self.read
        );
        self.stream.set_read_timeout(Some(time)).unwrap();
        let came = self.stream.read(&mut [0; 1]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(came, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}
