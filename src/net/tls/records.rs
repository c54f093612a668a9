//! The records of a TLS connection once hands are shaken (RFC 8446, §4.6.3, §5 and §6; RFC 5246, §6.2
//! and §7.2). Until then it is rustls that speaks; it hands over the keys, and goes on to make new
//! ones. Its own records would cost two copies of every byte in each direction; here they are opened
//! where they were read, and what was in them comes to lie behind each other by the same step. What is
//! sent is copied once, to where it is sealed and written from, or not at all where it lies in memory
//! that nobody else looks at.
//!
//! What rustls would refuse is refused, too, with the same words, and every fault of the client ends
//! its connection: with an alert, unless it has sent one itself.

use std::ops::Range;

use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::{AlertDescription, ContentType, Error, HandshakeType, InvalidMessage};
use rustls::{PeerMisbehaved, SupportedCipherSuite};

use crate::net::tls::protection::{HEAD_SIZE, Protection};
use crate::net::tls::session::RECORD_MAX;

/// What sealing may add to a record (RFC 8446, §5.2; RFC 5246, §6.2.3).
const ADDED_MAX_13: usize = 256;
const ADDED_MAX_12: usize = 2_048;

/// Records without data that may come between two that have some.
const EMPTY_MAX: u8 = 32;

/// The beginning of a KeyUpdate; a byte follows that says whether one is wanted in return.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];

const DATA: u8 = 23;
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;

const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// See the module.
pub struct Records {
    reading: Protection,
    writing: Protection,
    /// Makes the next keys (TLS 1.3).
    kernel: Option<KernelConnection<ServerConnectionData>>,
    /// Records that one key may seal at most.
    sealed_max: u64,
    /// The size of the largest record that came.
    record: usize,
    /// Of a KeyUpdate that is not whole.
    message: Vec<u8>,
    /// The client wants our key to be updated before we send more.
    update_owed: bool,
    /// Records since the last that had data in it.
    empty: u8,
    /// It was told that there will be no other handshake (TLS 1.2).
    refused: bool,
    /// The client said goodbye.
    closed: bool,
    /// We said goodbye, or why there is none.
    over: bool,
}

/// What [`Records::read`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of plain text, at the front.
    pub filled: usize,
    /// Where what is not a whole record begins.
    pub rest: usize,
}

/// What the client did, and the alert that tells it so.
struct Fault(Option<AlertDescription>, Error);

impl Fault {
    fn new(alert: AlertDescription, error: impl Into<Error>) -> Self {
        Self(Some(alert), error.into())
    }

    fn misplaced(typ: u8) -> Self {
        let error = Error::InappropriateMessage {
            expect_types: vec![ContentType::ApplicationData],
            got_type: typ.into(),
        };
        Self::new(AlertDescription::UnexpectedMessage, error)
    }
}

impl Records {
    /// Goes on where a handshake has ended, with nothing left to send.
    pub fn new(tls: UnbufferedServerConnection) -> Result<Self, Error> {
        let (secrets, kernel) = tls.dangerous_into_kernel_connection()?;
        let (tls_13, sealed_max) = match kernel.negotiated_cipher_suite() {
            SupportedCipherSuite::Tls13(suite) => (true, suite.common.confidentiality_limit),
            SupportedCipherSuite::Tls12(suite) => (false, suite.common.confidentiality_limit),
        };
        let unknown = || Error::General("a cipher without records".to_owned());
        Ok(Self {
            reading: Protection::new(tls_13, secrets.rx).ok_or_else(unknown)?,
            writing: Protection::new(tls_13, secrets.tx).ok_or_else(unknown)?,
            kernel: tls_13.then_some(kernel),
            sealed_max,
            record: 0,
            message: Vec::new(),
            update_owed: false,
            empty: 0,
            refused: false,
            closed: false,
            over: false,
        })
    }

    /// Opens what lies at `sealed` in `room`, as far as records are whole; what was in them comes to
    /// the front of `room`. Answers are appended to `out`. An error is the end, and behind what came
    /// before it.
    pub fn read(
        &mut self,
        room: &mut [u8],
        sealed: Range<usize>,
        out: &mut Vec<u8>,
    ) -> (Taken, Result<(), Error>) {
        let (filled, rest) = (0, sealed.start);
        let mut taken = Taken { filled, rest };
        let result = self.read_all(room, sealed, &mut taken, out);
        let result = result.map_err(|Fault(alert, error)| {
            if let Some(alert) = alert {
                self.say(ALERT, &[FATAL, alert.into()], out);
            }
            self.over = true;
            error
        });
        (taken, result)
    }

    fn read_all(
        &mut self,
        room: &mut [u8],
        sealed: Range<usize>,
        taken: &mut Taken,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        while !self.closed
            && let Some(&head) = room[taken.rest..sealed.end].first_chunk()
        {
            let Taken { filled, rest } = *taken;
            let body = rest + HEAD_SIZE;
            let end = body + self.body_size(head)?;
            if end > sealed.end {
                break;
            }
            let opened = self
                .reading
                .open(head[0], &mut room[filled..end], body - filled);
            let mac = || Fault::new(AlertDescription::BadRecordMac, Error::DecryptError);
            let plain = &room[filled..filled + opened.ok_or_else(mac)?];
            self.record = self.record.max(end - rest);
            taken.rest = end;
            let (typ, size) = match self.reading.is_tls_13() {
                true => inner(plain)?,
                false => (head[0], plain.len()),
            };
            if size > RECORD_MAX {
                return Err(oversized());
            }
            match typ {
                DATA if size > 0 && self.message.is_empty() => {
                    self.empty = 0;
                    taken.filled += size;
                }
                _ => self.handle(typ, &plain[..size], out)?,
            }
        }
        Ok(())
    }

    /// How much to read behind `held` for at least `plain` more bytes of plain text, so that it ends
    /// where a record does, if they are as large as those before.
    pub fn reach(&self, held: &[u8], plain: usize) -> usize {
        let begun = match held {
            [_, _, _, high, low, ..] => HEAD_SIZE + usize::from(u16::from_be_bytes([*high, *low])),
            [] => 0,
            _ => self.record,
        };
        let left = plain.saturating_sub(self.reading.plain_size(begun));
        let each = self.reading.plain_size(self.record).max(1);
        let more = left.div_ceil(each).saturating_mul(self.record);
        begun.saturating_sub(held.len()).saturating_add(more)
    }

    /// What a head says of the body behind it.
    fn body_size(&self, head: [u8; HEAD_SIZE]) -> Result<usize, Fault> {
        let [typ, major, _, high, low] = head;
        if major != 3 {
            let error = InvalidMessage::UnknownProtocolVersion;
            return Err(Fault::new(AlertDescription::DecodeError, error));
        }
        let size = usize::from(u16::from_be_bytes([high, low]));
        let added_max = match self.reading.is_tls_13() {
            // Whatever is in it (RFC 8446, §5.2).
            true if typ != DATA => return Err(Fault::misplaced(typ)),
            true => ADDED_MAX_13,
            false => ADDED_MAX_12,
        };
        match size > RECORD_MAX + added_max {
            true => Err(oversized()),
            false => Ok(size),
        }
    }

    /// All that is no data.
    #[cold]
    fn handle(&mut self, typ: u8, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.empty += 1;
        if self.empty > EMPTY_MAX {
            let error = match typ {
                HANDSHAKE => PeerMisbehaved::TooManyKeyUpdateRequests,
                ALERT => PeerMisbehaved::TooManyWarningAlertsReceived,
                _ => PeerMisbehaved::TooManyEmptyFragments,
            };
            return Err(Fault::new(AlertDescription::UnexpectedMessage, error));
        }
        if !self.message.is_empty() && typ != HANDSHAKE {
            let error = PeerMisbehaved::MessageInterleavedWithHandshakeMessage;
            return Err(Fault::new(AlertDescription::UnexpectedMessage, error));
        }
        match typ {
            DATA => Ok(()),
            ALERT => self.hear(plain),
            HANDSHAKE if self.reading.is_tls_13() => self.update(plain),
            HANDSHAKE => self.refuse(plain, out),
            _ => Err(Fault::misplaced(typ)),
        }
    }

    /// An alert. In TLS 1.3 all but two end the connection, whatever level they have (§6).
    fn hear(&mut self, plain: &[u8]) -> Result<(), Fault> {
        let &[level, what] = plain else {
            let error = InvalidMessage::MissingData("AlertMessagePayload");
            return Err(Fault::new(AlertDescription::DecodeError, error));
        };
        let received = Error::AlertReceived(what.into());
        match (AlertDescription::from(what), level) {
            (AlertDescription::CloseNotify, _) => {
                self.closed = true;
                Ok(())
            }
            (AlertDescription::UserCanceled, WARNING) => Ok(()),
            (_, WARNING) if !self.reading.is_tls_13() => Ok(()),
            (_, WARNING | FATAL) => Err(Fault(None, received)),
            _ => Err(Fault::new(AlertDescription::IllegalParameter, received)),
        }
    }

    /// The client's next records are under its next key. Only this message comes behind the
    /// handshake, and nothing behind it under the same key (RFC 8446, §5.1).
    fn update(&mut self, part: &[u8]) -> Result<(), Fault> {
        let unexpected = |error| Fault::new(AlertDescription::UnexpectedMessage, error);
        let begun = self.message.len();
        let size = begun + part.len();
        let known = KEY_UPDATE[begun..].iter().zip(part).all(|(a, b)| a == b);
        if !known || part.is_empty() {
            return Err(unexpected(Error::InappropriateHandshakeMessage {
                expect_types: vec![HandshakeType::KeyUpdate],
                got_type: part.first().copied().unwrap_or_default().into(),
            }));
        }
        if size > KEY_UPDATE.len() + 1 {
            return Err(unexpected(
                PeerMisbehaved::KeyEpochWithPendingFragment.into(),
            ));
        }
        if size <= KEY_UPDATE.len() {
            self.message.extend_from_slice(part);
            return Ok(());
        }
        self.message = Vec::new();
        match part.last() {
            Some(0) => {}
            Some(1) => self.update_owed = true,
            _ => {
                let error = InvalidMessage::InvalidKeyUpdate;
                return Err(Fault::new(AlertDescription::IllegalParameter, error));
            }
        }
        let failed = |error| Fault::new(AlertDescription::InternalError, error);
        let kernel = self.kernel.as_mut().ok_or(Error::HandshakeNotComplete);
        let next = kernel.and_then(|kernel| kernel.update_rx_secret());
        let next = Protection::new(true, next.map_err(failed)?);
        self.reading = next.ok_or_else(|| failed(Error::DecryptError))?;
        Ok(())
    }

    /// There is no other handshake (RFC 5246, §7.2.2); who insists on it goes.
    fn refuse(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let typ = plain.first().copied().unwrap_or_default();
        if HandshakeType::from(typ) != HandshakeType::ClientHello {
            return Err(Fault::misplaced(HANDSHAKE));
        }
        if self.refused {
            let error = PeerMisbehaved::TooManyRenegotiationRequests;
            return Err(Fault::new(AlertDescription::UnexpectedMessage, error));
        }
        self.refused = true;
        let answer = [WARNING, AlertDescription::NoRenegotiation.into()];
        self.say(ALERT, &answer, out);
        Ok(())
    }

    /// Seals all of `parts` into `room`, which has place for them; returns how many bytes that gave.
    pub fn write<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>, room: &mut [u8]) -> usize {
        let (mut at, mut size) = (0, 0);
        for mut part in parts {
            while !part.is_empty() {
                if size == 0 {
                    at += self.prepare(&mut room[at..]);
                    if self.over {
                        return at;
                    }
                }
                let begin = at + self.writing.plain_at() + size;
                let (now, later) = part.split_at(part.len().min(RECORD_MAX - size));
                room[begin..begin + now.len()].copy_from_slice(now);
                (part, size) = (later, size + now.len());
                if size == RECORD_MAX {
                    at += self.writing.seal(DATA, &mut room[at..], size).unwrap_or(0);
                    size = 0;
                }
            }
        }
        if size > 0 {
            at += self.writing.seal(DATA, &mut room[at..], size).unwrap_or(0);
        }
        at
    }

    /// Seals the `size` bytes at the front of `room` where they are, with at least one behind them, and
    /// puts what belongs around them into `around`. False: they have to be given to
    /// [`write`](Self::write), which may have something to say first.
    pub fn seal_apart(&mut self, room: &mut [u8], size: usize, around: &mut Vec<u8>) -> bool {
        around.clear();
        let count = size.div_ceil(RECORD_MAX) as u64;
        let number = self.writing.number().saturating_add(count);
        if self.over || self.update_owed || number >= self.sealed_max || room.len() <= size {
            return false;
        }
        let mut at = 0;
        while at < size {
            let part = RECORD_MAX.min(size - at);
            let sealed = self.writing.seal_apart(DATA, &mut room[at..], part, around);
            // Half of it is sealed, so there is no way back.
            assert!(sealed.is_some(), "the key is not used up");
            at += part;
        }
        true
    }

    /// How much a record has in front of its data, and behind.
    pub fn around(&self) -> (usize, usize) {
        (self.writing.plain_at(), self.writing.tail_size())
    }

    /// What must be sent before the next record of data: an update of a key that is wanted, or that
    /// is used up (RFC 8446, §5.5).
    fn prepare(&mut self, room: &mut [u8]) -> usize {
        if self.over {
            return 0;
        }
        let used_up = self.writing.number().saturating_add(1) >= self.sealed_max;
        if !used_up && !self.update_owed {
            return 0;
        }
        let mut out = Vec::new();
        match &mut self.kernel {
            None => self.close(&mut out),
            Some(kernel) => {
                let next = kernel.update_tx_secret().ok();
                let next = next.and_then(|secrets| Protection::new(true, secrets));
                let [a, b, c, d] = KEY_UPDATE;
                // What we have used up, the client has, too.
                self.say(HANDSHAKE, &[a, b, c, d, used_up.into()], &mut out);
                self.update_owed = false;
                match next {
                    Some(next) => self.writing = next,
                    None => self.over = true,
                }
            }
        }
        room[..out.len()].copy_from_slice(&out);
        out.len()
    }

    /// Says goodbye.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if !self.over {
            let goodbye = [WARNING, AlertDescription::CloseNotify.into()];
            self.say(ALERT, &goodbye, out);
            self.over = true;
        }
    }

    /// The client said goodbye.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing can be sent any more: we said goodbye, or why there is none.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn say(&mut self, typ: u8, plain: &[u8], out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        let (start, begin) = (out.len(), self.writing.plain_at());
        out.resize(start + begin, 0);
        out.extend_from_slice(plain);
        // A type and a tag.
        out.resize(out.len() + 32, 0);
        let size = self.writing.seal(typ, &mut out[start..], plain.len());
        out.truncate(start + size.unwrap_or(0));
    }
}

/// The type of what was sealed in TLS 1.3, and its size without the padding (§5.4).
fn inner(plain: &[u8]) -> Result<(u8, usize), Fault> {
    if plain.len() > RECORD_MAX + 1 {
        return Err(oversized());
    }
    let Some(size) = plain.iter().rposition(|&byte| byte != 0) else {
        let error = PeerMisbehaved::IllegalTlsInnerPlaintext;
        return Err(Fault::new(AlertDescription::UnexpectedMessage, error));
    };
    Ok((plain[size], size))
}

fn oversized() -> Fault {
    Fault::new(
        AlertDescription::RecordOverflow,
        Error::PeerSentOversizedRecord,
    )
}
