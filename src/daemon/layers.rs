//! What may lie between a socket and MQTT: TLS, WebSocket, or both. Bytes go in on one side and
//! come out on the other; nothing here reads or writes a socket.
//!
//! ```text
//!   socket ⇄ [ TLS ] ⇄ [ WebSocket ] ⇄ MQTT
//!          out  ← bytes on their way to the socket
//! ```

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::ServerConnection;

use crate::net::frames::{self, Control, Frames};
use crate::net::upgrade::{self, Upgrade};

/// Bytes that wait in here at most before no more are taken from the broker.
const OUT_MAX: usize = 262_144;

/// Bytes of MQTT in one WebSocket frame or one portion for TLS.
const PORTION: usize = 262_144;

pub(crate) struct Layers {
    tls: Option<ServerConnection>,
    websocket: Option<WebSocket>,
    out: Vec<u8>,
    written: usize,
    /// Nothing follows what is in `out`.
    over: bool,
}

enum WebSocket {
    /// The HTTP request, as far as it is here.
    Asking {
        request: Vec<u8>,
        origins: Arc<[String]>,
    },
    Open(Frames),
}

impl Layers {
    pub(crate) fn new(
        tls: Option<&Arc<ServerConfig>>,
        websocket: Option<&Arc<[String]>>,
    ) -> Result<Self, rustls::Error> {
        let tls = tls
            .map(|config| ServerConnection::new(Arc::clone(config)))
            .transpose()?;
        let websocket = websocket.map(|origins| WebSocket::Asking {
            request: Vec::new(),
            origins: Arc::clone(origins),
        });
        let mut layers = Self {
            tls,
            websocket,
            out: Vec::new(),
            written: 0,
            over: false,
        };
        if let Some(tls) = &mut layers.tls {
            // What waits is bounded by OUT_MAX, before it gets there.
            tls.set_buffer_limit(None);
        }
        Ok(layers)
    }

    /// Takes bytes of the socket; appends MQTT to `mqtt`. An error ends the connection, once what
    /// waits is written.
    pub(crate) fn read(&mut self, bytes: &[u8], mqtt: &mut Vec<u8>) -> Result<(), String> {
        let result = self.read_tls(bytes, mqtt);
        self.take_tls_output();
        if result.is_err() {
            self.over = true;
        }
        result
    }

    fn read_tls(&mut self, bytes: &[u8], mqtt: &mut Vec<u8>) -> Result<(), String> {
        let Some(tls) = &mut self.tls else {
            return self.read_websocket(bytes, mqtt);
        };
        let mut rest = bytes;
        let mut plain = Vec::new();
        let mut closed = false;
        while !rest.is_empty() {
            let count = tls.read_tls(&mut rest).map_err(|error| error.to_string())?;
            if count == 0 {
                // Behind its goodbye nothing is read any more.
                break;
            }
            let state = tls
                .process_new_packets()
                .map_err(|error| error.to_string())?;
            closed = state.peer_has_closed();
            let count = state.plaintext_bytes_to_read();
            let target = if self.websocket.is_some() {
                &mut plain
            } else {
                &mut *mqtt
            };
            let before = target.len();
            target.resize(before + count, 0);
            tls.reader()
                .read_exact(&mut target[before..])
                .map_err(|error| error.to_string())?;
        }
        if closed {
            tls.send_close_notify();
        }
        if !plain.is_empty() {
            self.read_websocket(&plain, mqtt)?;
        }
        self.over |= closed;
        Ok(())
    }

    fn read_websocket(&mut self, bytes: &[u8], mqtt: &mut Vec<u8>) -> Result<(), String> {
        match &mut self.websocket {
            None => {
                mqtt.extend_from_slice(bytes);
                Ok(())
            }
            Some(WebSocket::Asking { request, origins }) => {
                request.extend_from_slice(bytes);
                match upgrade::read(request, origins) {
                    Upgrade::More => Ok(()),
                    Upgrade::Granted(answer, size) => {
                        let behind = request.split_off(size);
                        self.websocket = Some(WebSocket::Open(Frames::default()));
                        self.put(&answer);
                        self.read_frames(&behind, mqtt)
                    }
                    Upgrade::Refused(answer, why) => {
                        self.put(&answer);
                        Err(why.to_owned())
                    }
                }
            }
            Some(WebSocket::Open(_)) => self.read_frames(bytes, mqtt),
        }
    }

    fn read_frames(&mut self, bytes: &[u8], mqtt: &mut Vec<u8>) -> Result<(), String> {
        let Some(WebSocket::Open(frames)) = &mut self.websocket else {
            return Ok(());
        };
        let mut controls = Vec::new();
        frames.read(bytes, mqtt, &mut controls)?;
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
            self.over = true;
        }
        Ok(())
    }

    /// Whether MQTT may be given to [`write`](Self::write) now.
    pub(crate) fn takes_more(&self) -> bool {
        let open = !matches!(self.websocket, Some(WebSocket::Asking { .. }));
        open && !self.over && self.waiting() < OUT_MAX
    }

    /// Takes MQTT from the front of `slices`; returns how many bytes.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let count = all.min(PORTION);
        if self.websocket.is_some() {
            let mut head = Vec::with_capacity(10);
            frames::put_binary_head(count, &mut head);
            self.put_plain(&head);
        }
        let mut left = count;
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            self.put_plain(part);
            left -= part.len();
            if left == 0 {
                break;
            }
        }
        self.take_tls_output();
        count
    }

    /// Says goodbye in each layer's words.
    pub(crate) fn close(&mut self) {
        if self.over {
            return;
        }
        if let Some(WebSocket::Open(_)) = self.websocket {
            let mut close = Vec::new();
            frames::put_close(&mut close);
            self.put(&close);
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.take_tls_output();
        self.over = true;
    }

    /// Bytes for the socket.
    pub(crate) fn output(&self) -> &[u8] {
        &self.out[self.written..]
    }

    pub(crate) fn waiting(&self) -> usize {
        self.out.len() - self.written
    }

    /// The socket took `count` bytes of [`output`](Self::output).
    pub(crate) fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written == self.out.len() {
            self.written = 0;
            self.out.clear();
            if self.out.capacity() > OUT_MAX {
                self.out = Vec::new();
            }
        }
    }

    /// The other side, or a fault, ended it: close once everything is written.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    fn put(&mut self, bytes: &[u8]) {
        self.put_plain(bytes);
        self.take_tls_output();
    }

    fn put_plain(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            // Without a limit its buffer takes everything.
            Some(tls) => drop(tls.writer().write_all(bytes)),
            None => self.out.extend_from_slice(bytes),
        }
    }

    fn take_tls_output(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        while tls.wants_write() {
            let written: io::Result<usize> = tls.write_tls(&mut self.out);
            if !written.is_ok_and(|count| count > 0) {
                return;
            }
        }
    }
}
