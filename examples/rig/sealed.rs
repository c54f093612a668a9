//! TLS 1.3 with AES-128-GCM once hands are shaken: opened where it was read, sealed where it is written from, by ring
//! itself. Through rustls' buffers the generator would need more for a message than the broker, which then waits for
//! it again and again, takes in what there is of a message, and is measured doing that (RFC 8446, §5.2 and §5.3).

use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice, Write};

use anyhow::{Result, anyhow, bail};
use mio::net::TcpStream;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::{ClientConnection, ConnectionTrafficSecrets};

use crate::link;

/// Plain text in a record.
const RECORD: usize = 16 * 1024;
const HEAD: usize = 5;
/// The type of what is inside, and the tag.
const TAIL: usize = 17;
/// Sealed bytes read at a time, and plain ones sealed at a time.
const READ_MAX: usize = 192 * 1024;
const WRITE_MAX: usize = 192 * 1024;

const DATA: u8 = 23;
const HANDSHAKE: u8 = 22;

thread_local! {
    /// One place for all connections to be sealed in: it stays in the cache.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct Tls {
    reading: Direction,
    writing: Direction,
    /// Of a record that is not whole.
    held: Vec<u8>,
    /// Sealed bytes that the socket did not take yet.
    out: Vec<u8>,
    written: usize,
}

struct Direction {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    number: u64,
}

impl Direction {
    fn new((number, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self> {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            bail!("a broker chose another cipher");
        };
        let key =
            UnboundKey::new(&AES_128_GCM, key.as_ref()).map_err(|_| anyhow!("no such key"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            iv: iv.as_ref().try_into()?,
            number,
        })
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, of_number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= of_number;
        }
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Tls {
    /// Goes on behind a handshake.
    pub(crate) fn new(connection: ClientConnection) -> Result<Self> {
        let secrets = connection.dangerous_extract_secrets()?;
        Ok(Self {
            reading: Direction::new(secrets.rx)?,
            writing: Direction::new(secrets.tx)?,
            held: Vec::new(),
            out: Vec::new(),
            written: 0,
        })
    }

    /// Puts plain text in front of `buffer`: how much, and whether the socket is empty now.
    pub(crate) fn read(
        &mut self,
        stream: &mut TcpStream,
        buffer: &mut [u8],
    ) -> Result<(usize, bool)> {
        // Far enough behind what comes to lie in front.
        let from = RECORD + self.held.len();
        let end = buffer.len().min(from + READ_MAX);
        let Some(size) = link::read(stream, &mut buffer[from..end])? else {
            return Ok((0, true));
        };
        buffer[RECORD..from].copy_from_slice(&self.held);
        let is_empty = from + size < end;
        let end = from + size;
        let (mut at, mut filled) = (RECORD, 0);
        while let Some(&[typ, _, _, high, low]) = buffer[at..end].first_chunk() {
            let body = at + HEAD;
            let next = body + usize::from(u16::from_be_bytes([high, low]));
            if next > end {
                break;
            }
            let head = Aad::from([typ, 3, 3, high, low]);
            let nonce = self.reading.nonce();
            let key = &self.reading.key;
            let plain = key
                .open_within(nonce, head, &mut buffer[filled..next], body - filled..)
                .map_err(|_| anyhow!("a record was altered"))?;
            match plain.split_last() {
                Some((&DATA, data)) => filled += data.len(),
                // Tickets for another time.
                Some((&HANDSHAKE, _)) => {}
                other => bail!("the broker said {other:02x?}"),
            }
            at = next;
        }
        self.held.clear();
        self.held.extend_from_slice(&buffer[at..end]);
        Ok((filled, is_empty))
    }

    /// Whether sealed bytes wait for the socket.
    pub(crate) fn holds_back(&self) -> bool {
        self.written < self.out.len()
    }

    /// Writes what waits, or seals the front of `slices` and writes that: how much of them is done with, and whether
    /// the socket takes more.
    pub(crate) fn write(
        &mut self,
        stream: &mut TcpStream,
        slices: &[IoSlice<'_>],
    ) -> Result<(usize, bool)> {
        if self.holds_back() {
            let taken = written(stream, &self.out[self.written..])?;
            self.written += taken.unwrap_or(0);
            if !self.holds_back() {
                self.out.clear();
                self.written = 0;
            }
            return Ok((0, taken.is_some()));
        }
        ROOM.with_borrow_mut(|room| {
            room.resize((WRITE_MAX / RECORD + 1) * (HEAD + RECORD + TAIL), 0);
            let (sealed, done) = self.seal(slices, room)?;
            let taken = written(stream, &room[..sealed])?;
            self.out
                .extend_from_slice(&room[taken.unwrap_or(0)..sealed]);
            Ok((done, taken.is_some()))
        })
    }

    /// Seals the front of `slices` into `room`: how much that gave, and of how much.
    fn seal(&mut self, slices: &[IoSlice<'_>], room: &mut [u8]) -> Result<(usize, usize)> {
        let mut parts = slices.iter().map(|slice| &slice[..]);
        let (mut part, mut at, mut done) = (&[][..], 0, 0);
        while done < WRITE_MAX {
            let begin = at + HEAD;
            let mut end = begin;
            while end < begin + RECORD {
                if part.is_empty() {
                    let Some(next) = parts.next() else { break };
                    part = next;
                }
                let (now, later) = part.split_at(part.len().min(begin + RECORD - end));
                room[end..end + now.len()].copy_from_slice(now);
                (part, end) = (later, end + now.len());
            }
            if end == begin {
                break;
            }
            done += end - begin;
            room[end] = DATA;
            let [high, low] = u16::try_from(end - begin + TAIL)?.to_be_bytes();
            let head = [DATA, 3, 3, high, low];
            let nonce = self.writing.nonce();
            let key = &self.writing.key;
            let tag = key
                .seal_in_place_separate_tag(nonce, Aad::from(head), &mut room[begin..=end])
                .map_err(|_| anyhow!("not sealed"))?;
            room[at..begin].copy_from_slice(&head);
            at = end + TAIL;
            room[end + 1..at].copy_from_slice(tag.as_ref());
        }
        Ok((at, done))
    }
}

/// `None` when the socket takes no more now.
fn written(stream: &mut TcpStream, bytes: &[u8]) -> Result<Option<usize>> {
    match stream.write(bytes) {
        Ok(size) => Ok(Some(size)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
