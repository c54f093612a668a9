//! Numbers, texts and messages as bytes of a row. Whatever is read may be damaged: reading gives
//! `None`, never a panic, and takes no memory for what is not there.

use crate::broker::durable::record::Kept;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::message::Message;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;

/// Appends to a value.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A time that may be absent, in milliseconds since 1970.
    pub(crate) fn time(self, value: Option<u64>) -> Self {
        self.u64(value.map_or(0, |at| at.saturating_add(1)))
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.0
            .extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn message(self, message: &Message) -> Self {
        self.u8(message.qos().bits() << 1 | u8::from(message.retain()))
            .text(message.topic())
            .bytes(message.properties().raw())
            .bytes(message.payload())
    }

    pub(crate) fn kept(self, kept: &Kept) -> Self {
        self.time(kept.expires).message(&kept.message)
    }
}

/// Takes from a key or a value.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        Some(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.array()?))
    }

    /// See [`Writer::time`].
    pub(crate) fn time(&mut self) -> Option<Option<u64>> {
        Some(self.u64()?.checked_sub(1))
    }

    pub(crate) fn packet_id(&mut self) -> Option<PacketId> {
        PacketId::new(self.u16()?)
    }

    pub(crate) fn qos(&mut self) -> Option<QoS> {
        QoS::from_bits(self.u8()?)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A message; when it expires is told apart.
    pub(crate) fn message(&mut self) -> Option<Message> {
        let flags = self.u8()?;
        let topic = self.text()?;
        let properties = Properties::restored(self.bytes()?).ok()?;
        let payload = self.bytes()?;
        let publish = Publish {
            dup: false,
            qos: QoS::from_bits(flags >> 1)?,
            retain: flags & 1 != 0,
            topic,
            packet_id: None,
            properties,
            payload,
        };
        Some(Message::restored(&publish, None))
    }

    pub(crate) fn kept(&mut self) -> Option<Kept> {
        let expires = self.time()?;
        let message = self.message()?;
        Some(Kept { message, expires })
    }
}
