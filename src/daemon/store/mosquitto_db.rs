//! The chunks of a mosquitto.db, versions 2 to 6, from bytes that may be damaged. Nothing is
//! copied and nothing is taken for granted; what the chunks mean to the broker is `import`'s.
//!
//! ```text
//!   0x00 0xB5 0x00 "mosquitto db" | CRC (always 0) | version | chunk …
//!   chunk, versions 5 and 6: [ kind: 4 | length: 4 | fixed fields | texts … ]
//!   chunk, versions 2 to 4:  [ kind: 2 | length: 4 | fields, texts with their length before them ]
//! ```
//!
//! Numbers are big-endian, except those of eight bytes, which are as the machine had them: little.

const MAGIC: &[u8; 15] = b"\0\xb5\0mosquitto db";

/// The versions that are understood.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 2..=6;

/// What is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From the beginning of the file.
    pub at: usize,
    /// In words.
    pub what: &'static str,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// A file, its head read.
#[derive(Clone, Debug)]
pub struct Db<'a> {
    /// As it is there.
    pub crc: u32,
    /// Of the format.
    pub version: u32,
    bytes: &'a [u8],
}

/// A chunk and its length as the file states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Without its head.
    pub length: u32,
    /// What it says.
    pub what: What<'a>,
}

/// See [`Chunk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// Of the whole file.
    Cfg(Cfg),
    /// A message.
    Base(Base<'a>),
    /// A message of a client.
    ClientMsg(ClientMsg<'a>),
    /// The number of a message that is retained.
    Retain(u64),
    /// A Subscription.
    Sub(Sub<'a>),
    /// A Session.
    Client(Client<'a>),
    /// Something else: its kind.
    Unknown(u32),
}

/// DB_CHUNK_CFG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cfg {
    /// Saved at the end of the broker.
    pub shutdown: u8,
    /// Bytes of a message's number.
    pub dbid_size: u8,
    /// The last of these numbers.
    pub last_db_id: u64,
}

/// DB_CHUNK_BASE_MSG.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base<'a> {
    pub store_id: u64,
    pub expiry_time: i64,
    pub source_id: &'a str,
    pub source_username: &'a str,
    pub source_mid: u16,
    pub source_port: u16,
    pub topic: &'a str,
    pub qos: u8,
    pub retain: u8,
    pub payload: &'a [u8],
    pub properties: &'a [u8],
}

/// DB_CHUNK_CLIENT_MSG.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientMsg<'a> {
    pub client_id: &'a str,
    pub store_id: u64,
    pub mid: u16,
    pub qos: u8,
    pub state: u8,
    pub retain: u8,
    pub dup: u8,
    pub direction: u8,
    pub subscription_id: u32,
}

/// DB_CHUNK_SUB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sub<'a> {
    pub client_id: &'a str,
    pub topic: &'a str,
    pub qos: u8,
    pub options: u8,
    pub identifier: u32,
}

/// DB_CHUNK_CLIENT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client<'a> {
    pub client_id: &'a str,
    pub username: &'a str,
    pub session_expiry_time: i64,
    pub session_expiry_interval: u32,
    pub last_mid: u16,
    pub listener_port: u16,
}

/// The rest of a chunk.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self, len: u16) -> Option<&'a str> {
        std::str::from_utf8(self.take(usize::from(len))?).ok()
    }

    /// A text with its length before it.
    fn string(&mut self) -> Option<&'a str> {
        let len = self.u16()?;
        self.text(len)
    }

    /// Properties with their length before them; none where nothing is left.
    fn properties(&mut self) -> Option<&'a [u8]> {
        let (mut len, mut shift) = (0_usize, 0);
        while !self.0.is_empty() {
            let byte = self.u8()?;
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return self.take(len);
            }
            if shift > 21 {
                return None;
            }
        }
        (shift == 0).then_some(&[])
    }
}

impl<'a> Db<'a> {
    /// Reads the head.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Fault> {
        let fault = |what| Fault { at: 0, what };
        let mut rest = Fields(bytes);
        if rest.take(MAGIC.len()) != Some(MAGIC) {
            return Err(fault("this is no mosquitto.db"));
        }
        let crc = rest.u32().ok_or_else(|| fault("the head ends early"))?;
        let version = rest.u32().ok_or_else(|| fault("the head ends early"))?;
        Ok(Self {
            crc,
            version,
            bytes,
        })
    }

    /// Its chunks; the first fault is the last of them.
    pub fn chunks(&self) -> impl Iterator<Item = Result<Chunk<'a>, Fault>> + use<'a> {
        let (bytes, version) = (self.bytes, self.version);
        let mut at = MAGIC.len() + 8;
        std::iter::from_fn(move || {
            if at >= bytes.len() {
                return None;
            }
            let begun = at;
            let found = chunk(&bytes[begun..], version);
            at = found.as_ref().map_or(bytes.len(), |(_, size)| begun + size);
            Some(
                found
                    .map(|(chunk, _)| chunk)
                    .map_err(|what| Fault { at: begun, what }),
            )
        })
    }
}

/// The chunk at the front of `bytes`, and how far it goes.
fn chunk(bytes: &[u8], version: u32) -> Result<(Chunk<'_>, usize), &'static str> {
    let mut rest = Fields(bytes);
    let kind = match version {
        ..=4 => rest.u16().map(u32::from),
        _ => rest.u32(),
    };
    let early = "a chunk that ends early";
    let (Some(kind), Some(length)) = (kind, rest.u32()) else {
        return Err(early);
    };
    let Some(body) = rest.take(length as usize) else {
        return Err(early);
    };
    let mut fields = Fields(body);
    let what = match version {
        ..=4 => old(kind, &mut fields, version),
        _ => new(kind, &mut fields, version),
    };
    let what = what.ok_or("a chunk whose fields do not fit")?;
    Ok((Chunk { length, what }, bytes.len() - rest.0.len()))
}

/// Versions 5 and 6: fields of fixed size first.
fn new<'a>(kind: u32, of: &mut Fields<'a>, version: u32) -> Option<What<'a>> {
    Some(match kind {
        1 => {
            let last_db_id = of.u64()?;
            let (shutdown, dbid_size) = (of.u8()?, of.u8()?);
            What::Cfg(Cfg {
                shutdown,
                dbid_size,
                last_db_id,
            })
        }
        2 => What::Base(new_base(of)?),
        3 => {
            let (store_id, mid, id) = (of.u64()?, of.u16()?, of.u16()?);
            let (qos, state, retain_dup, direction) = (of.u8()?, of.u8()?, of.u8()?, of.u8()?);
            let client_id = of.text(id)?;
            What::ClientMsg(ClientMsg {
                client_id,
                store_id,
                mid,
                qos,
                state,
                direction,
                retain: retain_dup >> 4,
                dup: retain_dup & 0xf,
                subscription_id: subscription_id(of.properties()?),
            })
        }
        4 => What::Retain(of.u64()?),
        5 => {
            let (identifier, id, topic) = (of.u32()?, of.u16()?, of.u16()?);
            let (qos, options) = (of.u8()?, of.u8()?);
            of.take(2)?;
            What::Sub(Sub {
                identifier,
                qos,
                options,
                client_id: of.text(id)?,
                topic: of.text(topic)?,
            })
        }
        6 => What::Client(new_client(of, version)?),
        other => What::Unknown(other),
    })
}

fn new_base<'a>(of: &mut Fields<'a>) -> Option<Base<'a>> {
    let (store_id, expiry_time) = (of.u64()?, of.u64()?.cast_signed());
    let (payload, source_mid) = (of.u32()?, of.u16()?);
    let (id, username, topic) = (of.u16()?, of.u16()?, of.u16()?);
    let source_port = of.u16()?;
    let (qos, retain) = (of.u8()?, of.u8()?);
    Some(Base {
        store_id,
        expiry_time,
        source_mid,
        source_port,
        qos,
        retain,
        source_id: of.text(id)?,
        source_username: of.text(username)?,
        topic: of.text(topic)?,
        payload: of.take(payload as usize)?,
        properties: of.properties()?,
    })
}

fn new_client<'a>(of: &mut Fields<'a>, version: u32) -> Option<Client<'a>> {
    let session_expiry_time = of.u64()?.cast_signed();
    let (session_expiry_interval, last_mid, id) = (of.u32()?, of.u16()?, of.u16()?);
    let (mut listener_port, mut username) = (0, 0);
    if version >= 6 {
        (listener_port, username) = (of.u16()?, of.u16()?);
        of.take(4)?;
    }
    Some(Client {
        session_expiry_time,
        session_expiry_interval,
        last_mid,
        listener_port,
        client_id: of.text(id)?,
        username: of.text(username)?,
    })
}

/// Versions 2 to 4: field by field.
fn old<'a>(kind: u32, of: &mut Fields<'a>, version: u32) -> Option<What<'a>> {
    Some(match kind {
        1 => {
            let (shutdown, dbid_size) = (of.u8()?, of.u8()?);
            let last_db_id = of.u64()?;
            What::Cfg(Cfg {
                shutdown,
                dbid_size,
                last_db_id,
            })
        }
        2 => What::Base(old_base(of, version)?),
        3 => {
            let (client_id, store_id, mid) = (of.string()?, of.u64()?, of.u16()?);
            let (qos, retain, direction) = (of.u8()?, of.u8()?, of.u8()?);
            let (state, dup) = (of.u8()?, of.u8()?);
            What::ClientMsg(ClientMsg {
                client_id,
                store_id,
                mid,
                qos,
                state,
                retain,
                dup,
                direction,
                subscription_id: 0,
            })
        }
        4 => What::Retain(of.u64()?),
        5 => What::Sub(Sub {
            client_id: of.string()?,
            topic: of.string()?,
            qos: of.u8()?,
            options: 0,
            identifier: 0,
        }),
        6 => {
            let (client_id, last_mid) = (of.string()?, of.u16()?);
            if version > 2 {
                of.u64()?;
            }
            What::Client(Client {
                client_id,
                last_mid,
                session_expiry_interval: u32::MAX,
                ..Client::default()
            })
        }
        other => What::Unknown(other),
    })
}

fn old_base<'a>(of: &mut Fields<'a>, version: u32) -> Option<Base<'a>> {
    let (store_id, source_id) = (of.u64()?, of.string()?);
    let (mut source_username, mut source_port) = ("", 0);
    if version == 4 {
        (source_username, source_port) = (of.string()?, of.u16()?);
    }
    let (source_mid, _) = (of.u16()?, of.u16()?);
    let (topic, qos, retain) = (of.string()?, of.u8()?, of.u8()?);
    let payload = of.u32()?;
    Some(Base {
        store_id,
        expiry_time: 0,
        source_id,
        source_username,
        source_mid,
        source_port,
        topic,
        qos,
        retain,
        payload: of.take(payload as usize)?,
        properties: &[],
    })
}

/// The first Subscription Identifier among properties; zero where there is none.
fn subscription_id(properties: &[u8]) -> u32 {
    let Some((0x0b, rest)) = properties.split_first() else {
        return 0;
    };
    let mut value = 0;
    for (place, byte) in rest.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            return value;
        }
    }
    0
}
