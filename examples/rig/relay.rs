//! The relay: the limit every broker is held against. It reads sockets and writes the same bytes to their
//! partners, batched, and knows nothing of MQTT: what it costs is what the kernel costs.
//!
//! A connection begins with twelve bytes instead of CONNECT: its side (`P` publishes, `S` subscribes), the
//! number of its group, and the size of one message, because several publishers may only be merged at the
//! seams between messages. One byte answers. Bytes of publishers go to every subscriber of the group; bytes of
//! subscribers (acknowledgements) go back to the publisher where the group has one.
//!
//! ```text
//! P ──┐                 ┌── S        hello: side u8, 3 unused, group u32 LE, message size u32 LE
//! P ──┴── group 7 ──────┴── S
//! ```

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::Result;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

const DOOR: Token = Token(usize::MAX);
const READ_MAX: usize = 256 * 1024;
/// A group stops reading while one of its receivers has this much waiting.
const WAITING_MAX: usize = 512 * 1024;
pub(crate) const HELLO: usize = 12;

/// The twelve bytes a connection begins with.
pub(crate) fn hello(subscribes: bool, group: u32, message: u32) -> [u8; HELLO] {
    let mut out = [0; HELLO];
    out[0] = if subscribes { b'S' } else { b'P' };
    out[4..8].copy_from_slice(&group.to_le_bytes());
    out[8..].copy_from_slice(&message.to_le_bytes());
    out
}

struct Peer {
    stream: TcpStream,
    /// `None` until the hello is complete.
    group: Option<u32>,
    subscribes: bool,
    message: usize,
    hello: Vec<u8>,
    /// The piece of a message behind the last seam, where publishers are merged.
    carry: Vec<u8>,
    waiting: Vec<u8>,
    written: usize,
    /// The socket may still hold bytes nobody has read.
    unread: bool,
    touched: bool,
}

#[derive(Default)]
struct Group {
    publishers: Vec<usize>,
    subscribers: Vec<usize>,
}

struct Relay {
    poll: Poll,
    peers: Vec<Option<Peer>>,
    groups: HashMap<u32, Group>,
    touched: Vec<usize>,
    buffer: Vec<u8>,
    /// Somebody was once not read for the sake of a crowded receiver: from then on it is worth a look.
    held: bool,
}

/// Runs until killed; writes its address to `ready` in the form of `mqttx broker --ready-file`. All of a group is
/// on one thread, so that none has to wake another.
pub(crate) fn run(ready: &Path, threads: u32) -> Result<()> {
    let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.local_addr()?;
    let text = format!("{{\"listeners\":[{{\"protocol\":\"mqtt\",\"address\":\"{address}\"}}]}}");
    let draft = ready.with_extension("draft");
    std::fs::write(&draft, text)?;
    std::fs::rename(&draft, ready)?;
    let mut doors = Vec::new();
    for _ in 0..threads {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), DOOR)?;
        let (door, newcomers) = mpsc::channel();
        std::thread::spawn(move || Relay::new(poll).serve(&newcomers));
        doors.push((door, waker));
    }
    loop {
        let (stream, _) = listener.accept()?;
        let mut hello = [0; HELLO];
        while stream.peek(&mut hello)? < HELLO {}
        let group = u32::from_le_bytes([hello[4], hello[5], hello[6], hello[7]]);
        stream.set_nonblocking(true)?;
        let (door, waker) = &doors[(group % threads) as usize];
        door.send(TcpStream::from_std(stream))?;
        waker.wake()?;
    }
}

impl Relay {
    fn new(poll: Poll) -> Self {
        Self {
            poll,
            peers: Vec::new(),
            groups: HashMap::new(),
            touched: Vec::new(),
            buffer: vec![0; READ_MAX],
            held: false,
        }
    }

    fn serve(mut self, newcomers: &Receiver<TcpStream>) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut open: Vec<usize> = Vec::new();
        loop {
            let wait = if open.is_empty() {
                None
            } else {
                Some(Duration::ZERO)
            };
            self.poll.poll(&mut events, wait)?;
            for event in &events {
                if event.token() == DOOR {
                    while let Ok(stream) = newcomers.try_recv() {
                        self.welcome(stream)?;
                    }
                    continue;
                }
                let at = event.token().0;
                if event.is_readable() {
                    open.push(at);
                }
                if event.is_writable() {
                    self.flush(at);
                    open.extend(self.freed(at));
                }
            }
            for at in std::mem::take(&mut open) {
                self.read(at);
            }
            while let Some(at) = self.touched.pop() {
                if let Some(Some(peer)) = self.peers.get_mut(at) {
                    peer.touched = false;
                }
                self.flush(at);
                if self.held {
                    open.extend(self.freed(at));
                }
            }
        }
    }

    fn welcome(&mut self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(self.peers.len()), interest)?;
        self.peers.push(Some(Peer {
            stream,
            group: None,
            subscribes: false,
            message: 1,
            hello: Vec::new(),
            carry: Vec::new(),
            waiting: Vec::new(),
            written: 0,
            unread: false,
            touched: false,
        }));
        Ok(())
    }

    /// Reads until the socket is empty or a receiver has enough waiting.
    fn read(&mut self, at: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let crowded = self.crowded(at);
            let Some(Some(peer)) = self.peers.get_mut(at) else {
                break;
            };
            peer.unread = true;
            if crowded {
                self.held = true;
                break;
            }
            match peer.stream.read(&mut buffer) {
                Ok(0) => {
                    self.farewell(at);
                    break;
                }
                Ok(size) => {
                    // Less than asked for: the socket is empty, and what comes later is a new event.
                    let last = size < buffer.len();
                    peer.unread = !last;
                    self.pass(at, &buffer[..size]);
                    if last {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    peer.unread = false;
                    break;
                }
                Err(_) => {
                    self.farewell(at);
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    fn pass(&mut self, at: usize, mut bytes: &[u8]) {
        let Some(Some(peer)) = self.peers.get_mut(at) else {
            return;
        };
        if peer.group.is_none() {
            let take = bytes.len().min(HELLO - peer.hello.len());
            peer.hello.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if peer.hello.len() < HELLO {
                return;
            }
            let word = |from: usize| {
                let four = [0, 1, 2, 3].map(|at| peer.hello[from + at]);
                u32::from_le_bytes(four)
            };
            let (group, message) = (word(4), word(8));
            peer.group = Some(group);
            peer.message = message as usize;
            peer.subscribes = peer.hello[0] == b'S';
            peer.waiting.push(b'!');
            let members = self.groups.entry(group).or_default();
            if peer.subscribes {
                members.subscribers.push(at);
            } else {
                members.publishers.push(at);
            }
            self.flush(at);
        }
        if !bytes.is_empty() {
            self.forward(at, bytes);
        }
    }

    fn forward(&mut self, at: usize, bytes: &[u8]) {
        let Some(Some(peer)) = self.peers.get_mut(at) else {
            return;
        };
        let Some(group) = peer.group.and_then(|number| self.groups.get(&number)) else {
            return;
        };
        if peer.subscribes {
            if let [publisher] = group.publishers[..] {
                self.write(publisher, bytes);
            }
            return;
        }
        if group.publishers.len() > 1 {
            let mut whole = std::mem::take(&mut peer.carry);
            whole.extend_from_slice(bytes);
            let seam = whole.len() - whole.len() % peer.message;
            peer.carry.extend_from_slice(&whole[seam..]);
            for at in group.subscribers.clone() {
                self.append(at, &whole[..seam]);
            }
        } else if let [subscriber] = group.subscribers[..] {
            self.write(subscriber, bytes);
        } else {
            for at in group.subscribers.clone() {
                self.write(at, bytes);
            }
        }
    }

    /// Writes past the queue where nothing waits: one read, one write, no copy.
    fn write(&mut self, at: usize, mut bytes: &[u8]) {
        let Some(Some(peer)) = self.peers.get_mut(at) else {
            return;
        };
        if peer.waiting.is_empty()
            && let Ok(size) = peer.stream.write(bytes)
        {
            bytes = &bytes[size..];
        }
        peer.waiting.extend_from_slice(bytes);
    }

    fn append(&mut self, at: usize, bytes: &[u8]) {
        let Some(Some(peer)) = self.peers.get_mut(at) else {
            return;
        };
        peer.waiting.extend_from_slice(bytes);
        if !peer.touched {
            peer.touched = true;
            self.touched.push(at);
        }
    }

    fn flush(&mut self, at: usize) {
        let Some(Some(peer)) = self.peers.get_mut(at) else {
            return;
        };
        while peer.written < peer.waiting.len() {
            match peer.stream.write(&peer.waiting[peer.written..]) {
                Ok(size) => peer.written += size,
                Err(_) => return,
            }
        }
        peer.waiting.clear();
        peer.written = 0;
    }

    /// Whether a receiver of this peer's bytes has enough waiting.
    fn crowded(&self, at: usize) -> bool {
        let Some(Some(peer)) = self.peers.get(at) else {
            return true;
        };
        let Some(group) = peer.group.and_then(|number| self.groups.get(&number)) else {
            return false;
        };
        let receivers = if peer.subscribes {
            &group.publishers
        } else {
            &group.subscribers
        };
        receivers.iter().any(|&at| {
            matches!(self.peers.get(at), Some(Some(peer)) if peer.waiting.len() - peer.written > WAITING_MAX)
        })
    }

    /// The peers that may be read again now that `at` has room.
    fn freed(&self, at: usize) -> Vec<usize> {
        let Some(Some(peer)) = self.peers.get(at) else {
            return Vec::new();
        };
        let Some(group) = peer.group.and_then(|number| self.groups.get(&number)) else {
            return Vec::new();
        };
        if peer.waiting.len() - peer.written > WAITING_MAX {
            return Vec::new();
        }
        let senders = if peer.subscribes {
            &group.publishers
        } else {
            &group.subscribers
        };
        let unread = |at: &usize| matches!(self.peers.get(*at), Some(Some(peer)) if peer.unread);
        senders.iter().copied().filter(unread).collect()
    }

    fn farewell(&mut self, at: usize) {
        let Some(peer) = self.peers[at].take() else {
            return;
        };
        if let Some(group) = peer.group.and_then(|number| self.groups.get_mut(&number)) {
            group.publishers.retain(|&other| other != at);
            group.subscribers.retain(|&other| other != at);
        }
    }
}
