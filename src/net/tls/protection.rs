//! What protects the records of one direction: a key, a nonce for each record, and what of it must
//! arrive unaltered (RFC 8446, §5.2 and §5.3; RFC 5246, §6.2.3.3; RFC 5288, §3; RFC 7905, §2). The
//! ciphers are ring's; what is in the records, `records` knows.
//!
//! ```text
//!   TLS 1.3            [head][ plain text, type ][tag]   nonce: iv ⊕ number of the record
//!   TLS 1.2, GCM       [head][nonce][ plain text ][tag]  nonce: salt, and what the record says
//!   TLS 1.2, ChaCha20  [head][ plain text ][tag]         nonce: iv ⊕ number of the record
//! ```

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305};
use ring::aead::{LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};
use rustls::crypto::cipher::{Iv, Nonce as Numbered, make_tls12_aad, make_tls13_aad};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion};

/// Type, version, length.
pub(super) const HEAD_SIZE: usize = 5;

/// In TLS 1.2 with GCM: the part of the nonce that is in the record.
const SPOKEN_NONCE_SIZE: usize = NONCE_LEN - SALT_SIZE;

/// And the part that is not.
const SALT_SIZE: usize = 4;

const TAG_SIZE: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Tls13,
    Tls12Gcm,
    Tls12Chacha,
}

/// See the module.
pub(super) struct Protection {
    key: LessSafeKey,
    iv: Iv,
    layout: Layout,
    /// The next record's.
    number: u64,
}

impl Protection {
    /// As rustls agreed on it: the number of the next record, and the secrets. `None` for a cipher
    /// that is not known here.
    pub(super) fn new(tls_13: bool, agreed: (u64, ConnectionTrafficSecrets)) -> Option<Self> {
        use ConnectionTrafficSecrets as Secrets;
        let (number, secrets) = agreed;
        let (algorithm, key, iv) = match secrets {
            Secrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            Secrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            Secrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return None,
        };
        let layout = match tls_13 {
            true => Layout::Tls13,
            false if *algorithm == CHACHA20_POLY1305 => Layout::Tls12Chacha,
            false => Layout::Tls12Gcm,
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).ok()?;
        Some(Self {
            key: LessSafeKey::new(key),
            iv,
            layout,
            number,
        })
    }

    pub(super) fn is_tls_13(&self) -> bool {
        self.layout == Layout::Tls13
    }

    /// How many records were protected so far.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Opens the record whose head said `outer`. Its body is at the end of `room`, from `body` on;
    /// what was in it lies at the front afterwards. Returns how much that is, or `None` when it was
    /// sealed by somebody else or altered.
    pub(super) fn open(&mut self, outer: u8, room: &mut [u8], body: usize) -> Option<usize> {
        let sealed = body + self.spoken_nonce_size();
        let size = room.len().checked_sub(sealed + TAG_SIZE)?;
        let nonce = match self.layout {
            Layout::Tls12Gcm => {
                let mut nonce = [0; NONCE_LEN];
                nonce[..SALT_SIZE].copy_from_slice(&self.iv.as_ref()[..SALT_SIZE]);
                nonce[SALT_SIZE..].copy_from_slice(&room[body..sealed]);
                nonce
            }
            Layout::Tls13 | Layout::Tls12Chacha => self.numbered(),
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = match self.layout {
            Layout::Tls13 => {
                let aad = Aad::from(make_tls13_aad(size + TAG_SIZE));
                self.key.open_within(nonce, aad, room, sealed..)
            }
            Layout::Tls12Gcm | Layout::Tls12Chacha => {
                let aad = Aad::from(self.aad_12(outer, size));
                self.key.open_within(nonce, aad, room, sealed..)
            }
        };
        let size = opened.ok()?.len();
        self.number = self.number.checked_add(1)?;
        Some(size)
    }

    /// Where in a record its plain text begins.
    pub(super) fn plain_at(&self) -> usize {
        HEAD_SIZE + self.spoken_nonce_size()
    }

    /// Makes a record of the `size` bytes that lie [`plain_at`](Self::plain_at) in `room`, which has
    /// place for what that adds. Returns its size, or `None` when the key is used up.
    pub(super) fn seal(&mut self, inner: u8, room: &mut [u8], size: usize) -> Option<usize> {
        let (front, rest) = room.split_at_mut(self.plain_at());
        let all = front.len() + size + self.tail_size();
        let tag_at = size + self.tail_size() - TAG_SIZE;
        let tag = self.protect(inner, front, rest, size)?;
        rest[tag_at..tag_at + TAG_SIZE].copy_from_slice(tag.as_ref());
        Some(all)
    }

    /// Makes a record of the `size` bytes at the front of `room`, where they are. What belongs in
    /// front of them and behind is appended to `around`; a byte behind them is only borrowed.
    pub(super) fn seal_apart(
        &mut self,
        inner: u8,
        room: &mut [u8],
        size: usize,
        around: &mut Vec<u8>,
    ) -> Option<()> {
        let mut front = [0; HEAD_SIZE + SPOKEN_NONCE_SIZE];
        let front = &mut front[..self.plain_at()];
        let behind = room.get(size).copied()?;
        let tag = self.protect(inner, front, room, size)?;
        around.extend_from_slice(front);
        if self.is_tls_13() {
            around.push(std::mem::replace(&mut room[size], behind));
        }
        around.extend_from_slice(tag.as_ref());
        Some(())
    }

    /// Seals the `size` bytes at the front of `plain`, in TLS 1.3 with their type behind them, and
    /// sets the `front` of their record.
    fn protect(
        &mut self,
        inner: u8,
        front: &mut [u8],
        plain: &mut [u8],
        size: usize,
    ) -> Option<Tag> {
        let next = self.number.checked_add(1)?;
        let nonce = self.numbered();
        let (mut end, mut outer) = (size, inner);
        if self.is_tls_13() {
            plain[end] = inner;
            outer = ContentType::ApplicationData.into();
            end += 1;
        }
        // The same construction, so that what the record says of its nonce is unique.
        let spoken = front.len() - HEAD_SIZE;
        front[HEAD_SIZE..].copy_from_slice(&nonce[NONCE_LEN - spoken..]);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = &mut plain[..end];
        let sealed = match self.layout {
            Layout::Tls13 => {
                let aad = Aad::from(make_tls13_aad(plain.len() + TAG_SIZE));
                self.key.seal_in_place_separate_tag(nonce, aad, plain)
            }
            Layout::Tls12Gcm | Layout::Tls12Chacha => {
                let aad = Aad::from(self.aad_12(inner, size));
                self.key.seal_in_place_separate_tag(nonce, aad, plain)
            }
        };
        let tag = sealed.ok()?;
        self.number = next;
        let [high, low] = u16::try_from(spoken + end + TAG_SIZE).ok()?.to_be_bytes();
        front[..HEAD_SIZE].copy_from_slice(&[outer, 3, 3, high, low]);
        Some(tag)
    }

    /// What is behind the plain text in a record.
    pub(super) fn tail_size(&self) -> usize {
        usize::from(self.is_tls_13()) + TAG_SIZE
    }

    /// What a record of this size has in it, padding aside.
    pub(super) fn plain_size(&self, record: usize) -> usize {
        record.saturating_sub(self.plain_at() + self.tail_size())
    }

    fn spoken_nonce_size(&self) -> usize {
        match self.layout {
            Layout::Tls12Gcm => SPOKEN_NONCE_SIZE,
            Layout::Tls13 | Layout::Tls12Chacha => 0,
        }
    }

    fn numbered(&self) -> [u8; NONCE_LEN] {
        Numbered::new(&self.iv, self.number).0
    }

    fn aad_12(&self, typ: u8, size: usize) -> [u8; 13] {
        make_tls12_aad(self.number, typ.into(), ProtocolVersion::TLSv1_2, size)
    }
}
