//! What may lie between a socket and MQTT: the header of a proxy, TLS, WebSocket, in this order.
//!
//! ```text
//!   socket ⇄ [ PROXY header ] ⇄ [ TLS ] ⇄ [ WebSocket ] ⇄ MQTT
//! ```
//!
//! Bytes that come in are unwrapped where they were read; bytes that go out are written from where
//! the broker has them, or sealed: there, or into memory that all connections of a worker share. What the
//! layers say themselves (answers, pongs, goodbyes) waits in `out`.

mod apart;

use std::io;
use std::io::IoSlice;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use crate::broker::SLICES_MAX;
use crate::daemon::conf::endpoint::{Endpoint, ProxyRules};
use crate::daemon::socket::Socket;
use crate::daemon::worker::READ_SIZE;
use crate::net::frames::{self, Control, Frames, HEAD_MAX};
use crate::net::proxy_header::{self, Client, HEADER_SIZE_MAX, Header};
use crate::net::tls::session::{Established, RECORD_MAX, Server, Session, sealed_max};
use crate::net::upgrade::{self, Granted, Upgrade, WebSocketRules};

/// Bytes that wait in here at most before no more are taken from the broker.
const OUT_MAX: usize = 262_144;

/// Bytes of MQTT that are sealed at a time. What they come from, what they become, and what the
/// system copies of it have room together in a core's cache.
const PORTION: usize = 131_072;

/// A rest of this size goes along with the portion before it: three messages of 64 KiB are a few bytes
/// more than one and a half, and a call for those costs as much as ten thousand bytes.
const REST_MAX: usize = 69_632;

/// Bytes read from the socket of a TLS connection at a time, for the same reason, and as many at
/// most where a packet ends behind them.
const SEALED: usize = 131_072;
pub(crate) const SEALED_MAX: usize = SEALED + REST_MAX;

/// Bytes that may wait for the rest of a record, or of a message of many records while hands are
/// shaken: a chain of certificates, and what its records add.
const HELD_MAX: usize = 4 * RECORD_MAX;

/// Nothing is written over before it is read, and there always is room to read into.
const _: () = assert!(RECORD_MAX + HELD_MAX + SEALED <= READ_SIZE);

pub(crate) struct Layers {
    proxy: Option<Box<Awaited>>,
    tls: Option<Session>,
    /// Hands are still being shaken.
    greeting: bool,
    websocket: Option<WebSocket>,
    out: Vec<u8>,
    written: usize,
    /// Nothing follows what is in `out`.
    over: bool,
    /// Writing failed: what waits, and what would, goes nowhere.
    lost: bool,
    /// The key of TLS may seal no more (TLS 1.2), which was said.
    used_up: bool,
    news: Option<Box<News>>,
    /// Version and cipher of TLS, until the client has said who it is.
    negotiated: Option<Box<(&'static str, String)>>,
}

/// A header that is not whole.
struct Awaited {
    rules: ProxyRules,
    bytes: Vec<u8>,
}

enum WebSocket {
    /// The HTTP request, as far as it is here.
    Asking {
        request: Vec<u8>,
        rules: Arc<WebSocketRules>,
    },
    Open(Frames, Frame),
}

/// A frame on its way out: the socket took a part of it.
#[derive(Default)]
struct Frame {
    head: [u8; HEAD_MAX],
    head_at: usize,
    head_len: usize,
    left: usize,
}

/// What the layers found out about the client.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Its address, where a proxy stands before it.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: Option<u16>,
    /// How it is encrypted.
    pub(crate) tls: Option<(String, String)>,
    /// Who it proved to be.
    pub(crate) user_name: Option<String>,
}

/// Why a connection ends in a layer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// For the log.
    Said(String),
    /// Nothing is wrong: somebody looked whether we are there.
    Nobody,
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Self::Said(text)
    }
}

impl From<&str> for Fault {
    fn from(text: &str) -> Self {
        Self::Said(text.to_owned())
    }
}

/// How many bytes of MQTT came, and what went wrong behind them.
type Unwrapped = (usize, Option<Fault>);

/// Memory for what goes through TLS, one for all connections of a worker.
#[derive(Default)]
pub(crate) struct Scratch {
    out: Vec<u8>,
    /// What records have around data that is sealed where it lies.
    around: Vec<u8>,
}

impl Layers {
    /// `None` where MQTT is all there is.
    pub(crate) fn of(endpoint: &Endpoint) -> Result<Option<Box<Self>>, String> {
        if endpoint.proxy.is_none() && endpoint.tls.is_none() && endpoint.websocket.is_none() {
            return Ok(None);
        }
        let websocket = endpoint.websocket.as_ref().map(|rules| WebSocket::Asking {
            request: Vec::new(),
            rules: Arc::clone(rules),
        });
        let proxy = endpoint.proxy.map(|rules| {
            let bytes = Vec::new();
            Box::new(Awaited { rules, bytes })
        });
        Ok(Some(Box::new(Self {
            proxy,
            tls: endpoint.tls.as_ref().map(Session::new).transpose()?,
            greeting: endpoint.tls.is_some(),
            websocket,
            out: Vec::new(),
            written: 0,
            over: false,
            lost: false,
            used_up: false,
            news: None,
            negotiated: None,
        })))
    }

    /// Reads once from the socket and unwraps what came, [`READ_SIZE`] at most. Gives how many bytes
    /// that were, whether there may be more, and how many of `buffer` are MQTT. A fault ends the
    /// connection behind these, once what waits is written. So many bytes of MQTT are `wished` for, if
    /// any number: what TLS opens behind them would be part of a packet, to be moved twice.
    pub(crate) fn read(
        &mut self,
        socket: &mut Socket,
        buffer: &mut [u8],
        wished: Option<usize>,
    ) -> io::Result<(usize, bool, Unwrapped)> {
        let (from, room) = match &self.tls {
            None => (0, READ_SIZE),
            Some(tls) => {
                let held = tls.held();
                if held.len() > HELD_MAX {
                    self.over = true;
                    let fault = "a TLS message that is too long".into();
                    return Ok((1, false, (0, Some(fault))));
                }
                let from = RECORD_MAX + held.len();
                buffer[RECORD_MAX..from].copy_from_slice(held);
                let most = SEALED_MAX.min(READ_SIZE - from);
                let reach = wished.map(|plain| tls.reach(plain).clamp(1, most));
                (from, reach.unwrap_or(SEALED))
            }
        };
        let count = read_once(socket, &mut buffer[from..from + room])?;
        let unwrapped = self.unwrap(buffer, from, count);
        self.over |= unwrapped.1.is_some();
        Ok((count, count == room, unwrapped))
    }

    /// Takes the `count` bytes of the socket that lie at `from`: at the front of `buffer`, or behind
    /// what TLS had held.
    fn unwrap(&mut self, buffer: &mut [u8], from: usize, mut count: usize) -> Unwrapped {
        let (mut fault, mut behind) = (None, None);
        if self.proxy.is_some() {
            match self.read_proxy(&mut buffer[from..from + count]) {
                Ok(left) => count = left,
                Err(fault) => return (0, Some(fault)),
            }
        }
        if self.tls.is_some() {
            (count, fault) = self.read_tls(buffer, RECORD_MAX..from + count);
        }
        if self.websocket.is_some() {
            (count, behind) = self.read_websocket(&mut buffer[..count]);
        }
        (count, fault.or(behind))
    }

    /// Leaves in front of `bytes` what is behind the header.
    fn read_proxy(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        let Some(awaited) = &mut self.proxy else {
            return Ok(bytes.len());
        };
        let before = awaited.bytes.len();
        // Enough for any header.
        let more = bytes
            .len()
            .min(HEADER_SIZE_MAX + 1 - before.min(HEADER_SIZE_MAX));
        awaited.bytes.extend_from_slice(&bytes[..more]);
        let rules = awaited.rules;
        let read = proxy_header::read(rules.version, &awaited.bytes);
        let (client, size) = match read.map_err(|why| format!("corrupt PROXY header: {why}"))? {
            Header::More => return Ok(0),
            Header::Nobody => return Err(Fault::Nobody),
            Header::Client(client, size) => (client, size),
        };
        self.proxy = None;
        self.take_client(rules, *client)?;
        bytes.copy_within(size - before.., 0);
        Ok(bytes.len() - (size - before))
    }

    fn take_client(&mut self, rules: ProxyRules, client: Client) -> Result<(), Fault> {
        let news = self.news.get_or_insert_default();
        news.address = client.address.map(|address| address.ip());
        news.port = client.address.map(|address| address.port());
        let verified = client.tls.as_ref().is_some_and(|tls| tls.verified);
        if rules.tls_required && client.tls.is_none() {
            return Err("rejected, client did not connect using TLS".into());
        }
        if rules.certificate_required && !verified {
            return Err("rejected, client did not provide a certificate".into());
        }
        if let Some(tls) = client.tls {
            // An unverified name is anybody's.
            news.user_name = tls.common_name.filter(|_| verified);
            news.tls = Some((
                tls.version.unwrap_or_default(),
                tls.cipher.unwrap_or_default(),
            ));
        }
        Ok(())
    }

    fn read_tls(&mut self, room: &mut [u8], sealed: Range<usize>) -> Unwrapped {
        let Some(tls) = &mut self.tls else {
            return (0, None);
        };
        let (count, result) = tls.read(room, sealed, &mut self.out);
        if let Some(established) = tls.established() {
            self.greeting = false;
            let Established {
                version,
                cipher,
                user_name,
            } = established;
            let news = self.news.get_or_insert_default();
            news.tls = Some((version.to_owned(), cipher.clone()));
            self.negotiated = Some(Box::new((version, cipher)));
            if user_name.is_some() {
                news.user_name = user_name;
            }
        }
        if tls.is_closed() {
            tls.close(&mut self.out);
            self.over = true;
        }
        (count, result.err().map(Fault::from))
    }

    /// Leaves in front of `bytes` what is in frames.
    fn read_websocket(&mut self, bytes: &mut [u8]) -> Unwrapped {
        let Some(WebSocket::Asking { request, rules }) = &mut self.websocket else {
            return self.read_frames(bytes);
        };
        let before = request.len();
        request.extend_from_slice(bytes);
        match upgrade::read(request, rules) {
            Upgrade::More => (0, None),
            Upgrade::Granted(granted) => {
                let Granted {
                    answer,
                    size,
                    forwarded_for,
                } = granted;
                self.websocket = Some(WebSocket::Open(Frames::default(), Frame::default()));
                self.put(&answer);
                if forwarded_for.is_some() {
                    self.news.get_or_insert_default().address = forwarded_for;
                }
                bytes.copy_within(size - before.., 0);
                let behind = bytes.len() - (size - before);
                self.read_frames(&mut bytes[..behind])
            }
            Upgrade::Refused(answer, why) => {
                self.put(&answer);
                self.say_goodbye();
                (0, Some(why.into()))
            }
        }
    }

    fn read_frames(&mut self, bytes: &mut [u8]) -> Unwrapped {
        let Some(WebSocket::Open(frames, _)) = &mut self.websocket else {
            return (0, None);
        };
        let mut controls = Vec::new();
        let (count, result) = frames.read(bytes, &mut controls);
        let fault = result.err().map(Fault::from);
        if controls.is_empty() {
            return (count, fault);
        }
        let mut answers = Vec::new();
        // Who sends pings and does not read gets no more pongs (RFC 6455, §5.5.3).
        let heard = self.waiting() < OUT_MAX;
        for control in &controls {
            if heard || *control == Control::Close {
                frames::put_control(control, &mut answers);
            }
        }
        if !answers.is_empty() {
            self.put(&answers);
        }
        if controls.contains(&Control::Close) {
            self.say_goodbye();
        }
        (count, fault)
    }

    /// Whether MQTT may be given to [`write`](Self::write) now.
    pub(crate) fn takes_more(&self) -> bool {
        match &self.websocket {
            Some(WebSocket::Asking { .. }) => false,
            // A frame that was begun is finished.
            Some(WebSocket::Open(_, frame)) if frame.is_begun() => true,
            _ => !self.over && self.proxy.is_none() && self.out.is_empty(),
        }
    }

    /// Takes MQTT from the front of `slices` and writes. Returns how many bytes it took, and
    /// whether the socket took all that it was given.
    pub(crate) fn write(
        &mut self,
        socket: &mut Socket,
        slices: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<(usize, bool)> {
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let Some(tls) = &mut self.tls else {
            let Some(WebSocket::Open(_, frame)) = &mut self.websocket else {
                let count = write_once(socket, slices)?;
                return Ok((count, count == all));
            };
            return frame.write(socket, slices, all);
        };
        let count = match all <= PORTION + REST_MAX {
            true => all,
            false => PORTION,
        };
        let room = sealed_max(PORTION + REST_MAX + HEAD_MAX);
        scratch.out.resize(room, 0);
        let (head, head_len) = match self.websocket {
            Some(_) => frames::binary_head(count),
            None => ([0; HEAD_MAX], 0),
        };
        let mut left = count;
        let parts = slices.iter().map(|slice| {
            let part = &slice[..slice.len().min(left)];
            left -= part.len();
            part
        });
        let parts = std::iter::once(&head[..head_len]).chain(parts);
        let parts = parts.filter(|part| !part.is_empty());
        let size = tls.write(parts, &mut scratch.out);
        self.used_up = tls.is_over();
        self.over |= self.used_up;
        let sealed = &scratch.out[..size];
        let written = match write_once(socket, &[IoSlice::new(sealed)]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            result => result?,
        };
        self.out.extend_from_slice(&sealed[written..]);
        Ok((count, written == size))
    }

    /// Writes what waits. False: the socket takes no more now.
    pub(crate) fn flush(&mut self, socket: &mut Socket) -> io::Result<bool> {
        if self.lost {
            (self.out, self.written) = (Vec::new(), 0);
        }
        if self.is_in_frame() {
            return Ok(true);
        }
        while self.written < self.out.len() {
            match write_once(socket, &[IoSlice::new(&self.out[self.written..])]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        if self.written > 0 {
            self.written = 0;
            self.out = Vec::new();
        }
        Ok(true)
    }

    fn is_in_frame(&self) -> bool {
        matches!(&self.websocket, Some(WebSocket::Open(_, frame)) if frame.is_begun())
    }

    /// Says goodbye in each layer's words.
    pub(crate) fn close(&mut self) {
        if self.over {
            return;
        }
        if let Some(WebSocket::Open(..)) = self.websocket {
            let mut close = Vec::new();
            frames::put_close(&mut close);
            self.put(&close);
        }
        self.say_goodbye();
    }

    /// The goodbye of TLS, which is the last.
    fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.out);
        }
        self.over = true;
    }

    /// Writing failed: nothing goes out any more, what has come may still be read.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Bytes that wait for the socket, those of the broker aside.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len() - self.written
    }

    /// The other side, or a fault, ended it: close once everything is written.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// TLS can send no more, though nobody said goodbye.
    pub(crate) fn is_used_up(&self) -> bool {
        self.used_up
    }

    /// The handshake of TLS goes on, which costs the processor much and the client little.
    pub(crate) fn is_greeting(&self) -> bool {
        self.greeting
    }

    /// Nothing is left to do: what comes from now on is MQTT.
    pub(crate) fn is_through(&self) -> bool {
        self.proxy.is_none() && self.tls.is_none() && self.websocket.is_none()
    }

    /// How TLS protects it: once.
    pub(crate) fn negotiated(&mut self) -> Option<Box<(&'static str, String)>> {
        self.negotiated.take()
    }

    /// What was found out about the client since the last call.
    pub(crate) fn news(&mut self) -> Option<Box<News>> {
        self.news.take()
    }

    /// Whether the client's certificate or key would do for `server`, too. Without TLS there is
    /// none to look at.
    pub(crate) fn would_be_taken(&self, server: &Server) -> bool {
        let tls = self.tls.as_ref();
        tls.is_none_or(|tls| tls.would_be_taken(server))
    }

    fn put(&mut self, bytes: &[u8]) {
        let Some(tls) = &mut self.tls else {
            self.out.extend_from_slice(bytes);
            return;
        };
        let start = self.out.len();
        self.out.resize(start + sealed_max(bytes.len()), 0);
        let parts = std::iter::once(bytes);
        let size = tls.write(parts, &mut self.out[start..]);
        self.out.truncate(start + size);
    }
}

impl Frame {
    fn is_begun(&self) -> bool {
        self.head_at < self.head_len || self.left > 0
    }

    /// Writes one frame, or what is left of it, around the front of `slices`.
    fn write(
        &mut self,
        socket: &mut Socket,
        slices: &[IoSlice<'_>],
        all: usize,
    ) -> io::Result<(usize, bool)> {
        if !self.is_begun() {
            (self.head, self.head_len) = frames::binary_head(all);
            (self.head_at, self.left) = (0, all);
        }
        let head = &self.head[self.head_at..self.head_len];
        let mut parts = [IoSlice::new(&[]); SLICES_MAX + 1];
        parts[0] = IoSlice::new(head);
        let (mut left, mut count) = (self.left, 1);
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            if part.is_empty() {
                break;
            }
            left -= part.len();
            parts[count] = IoSlice::new(part);
            count += 1;
        }
        let offered = head.len() + self.left - left;
        let count = match write_once(socket, &parts[..count]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            result => result?,
        };
        let of_head = count.min(head.len());
        self.head_at += of_head;
        self.left -= count - of_head;
        Ok((count - of_head, count == offered))
    }
}

fn read_once(socket: &mut Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn write_once(socket: &mut Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let result = match slices {
            [one] => socket.write(one),
            many => socket.write_vectored(many),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The whole address of a client whose proxy told of it.
impl News {
    pub(crate) fn address(&self, port: u16) -> Option<SocketAddr> {
        let port = self.port.unwrap_or(port);
        self.address.map(|ip| SocketAddr::new(ip, port))
    }
}
