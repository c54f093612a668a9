//! An Application Message, free of who sent it and of who gets it.
//!
//! It keeps the bytes of the PUBLISH it came in, so that a body is copied once however many
//! Sessions hold the message, and a large one never:
//!
//! ```text
//!   frame:  [ fixed header | len | topic | id? | len | properties | payload ]
//!                                  topic               properties   payload    (ranges into it)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::mqtt::QoS;
use crate::mqtt::property::{Properties, PropertyId};
use crate::mqtt::publish::Publish;

/// An Application Message, cheap to clone.
#[derive(Clone, Debug)]
pub struct Message(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    frame: Bytes,
    topic: (u32, u32),
    properties: (u32, u32),
    payload: u32,
    qos: QoS,
    retain: bool,
    expires: Option<Instant>,
    /// What whoever keeps it has entered; zero is nothing.
    mark: AtomicU64,
}

impl Message {
    /// The message of a PUBLISH that was decoded from `frame`, which is kept, not copied.
    ///
    /// `publish` must borrow from `frame`: its parts are found again by their addresses.
    pub fn from_frame(frame: Bytes, publish: &Publish<'_>, now: Instant) -> Self {
        let range = |part: &[u8]| {
            let start = (part.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize);
            if part.is_empty() {
                return (0, 0);
            }
            assert!(start + part.len() <= frame.len(), "a part of this frame");
            (start as u32, (start + part.len()) as u32)
        };
        let topic = range(publish.topic.as_bytes());
        let properties = range(publish.properties.raw());
        let payload = (frame.len() - publish.payload.len()) as u32;
        let expires = expiry(&publish.properties, now);
        let (qos, retain) = (publish.qos, publish.retain);
        Self(Arc::new(Parts {
            frame,
            topic,
            properties,
            payload,
            qos,
            retain,
            expires,
            mark: AtomicU64::new(0),
        }))
    }

    /// The message of a PUBLISH, its bytes copied.
    pub fn new(publish: &Publish<'_>, now: Instant) -> Self {
        Self::restored(publish, expiry(&publish.properties, now))
    }

    /// The same with an end of its own: a message that was kept has used up some of its Message
    /// Expiry Interval.
    pub fn restored(publish: &Publish<'_>, expires: Option<Instant>) -> Self {
        let (topic, properties) = (publish.topic.as_bytes(), publish.properties.raw());
        let mut frame = Vec::with_capacity(topic.len() + properties.len() + publish.payload.len());
        frame.extend_from_slice(topic);
        let topic = (0, frame.len() as u32);
        frame.extend_from_slice(properties);
        let properties = (topic.1, frame.len() as u32);
        frame.extend_from_slice(publish.payload);
        Self(Arc::new(Parts {
            frame: frame.into(),
            topic,
            properties,
            payload: properties.1,
            qos: publish.qos,
            retain: publish.retain,
            expires,
            mark: AtomicU64::new(0),
        }))
    }

    /// The Topic Name.
    pub fn topic(&self) -> &str {
        let (start, end) = self.0.topic;
        // Valid by construction; checked again because `unsafe` is not worth what it saves here.
        std::str::from_utf8(&self.0.frame[start as usize..end as usize]).unwrap_or_default()
    }

    /// The properties as they came, Topic Alias and Message Expiry Interval included.
    pub fn properties(&self) -> Properties<'_> {
        let (start, end) = self.0.properties;
        Properties::from_validated(&self.0.frame[start as usize..end as usize])
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.0.frame[self.0.payload as usize..]
    }

    /// The payload, shared with this message.
    pub fn shared_payload(&self) -> Bytes {
        self.0.frame.slice(self.0.payload as usize..)
    }

    /// The QoS it was published with.
    pub fn qos(&self) -> QoS {
        self.0.qos
    }

    /// Whether it was published with RETAIN.
    pub fn retain(&self) -> bool {
        self.0.retain
    }

    /// What it costs to keep, in bytes, bookkeeping included.
    pub fn size(&self) -> usize {
        self.0.frame.len() + size_of::<Parts>() + 32
    }

    /// Whether its Message Expiry Interval has passed [MQTT-3.3.2-5].
    pub fn is_expired(&self, now: Instant) -> bool {
        self.0.expires.is_some_and(|expires| expires <= now)
    }

    /// When it expires.
    pub fn expires(&self) -> Option<Instant> {
        self.0.expires
    }

    /// The Message Expiry Interval that is left, in seconds [MQTT-3.3.2-6].
    pub fn expiry_left(&self, now: Instant) -> Option<u32> {
        let left = self.0.expires?.saturating_duration_since(now);
        // Rounded up: a message sent on at once keeps its interval.
        Some(left.as_secs() as u32 + u32::from(left.subsec_nanos() > 0))
    }

    /// What [`set_mark`](Self::set_mark) entered; zero is nothing.
    pub fn mark(&self) -> u64 {
        self.0.mark.load(Ordering::Acquire)
    }

    /// Marks a message that has no mark yet. False: it has one.
    pub fn set_mark(&self, mark: u64) -> bool {
        let set = self
            .0
            .mark
            .compare_exchange(0, mark, Ordering::AcqRel, Ordering::Acquire);
        set.is_ok()
    }

    /// Takes the mark away.
    pub fn clear_mark(&self) {
        self.0.mark.store(0, Ordering::Release);
    }

    /// The same message under another mark; the bytes are shared.
    pub fn with_mark(&self, mark: u64) -> Self {
        let parts = &self.0;
        Self(Arc::new(Parts {
            frame: parts.frame.clone(),
            mark: AtomicU64::new(mark),
            ..**parts
        }))
    }

    /// The same message with another end and no mark; the bytes are shared.
    pub fn with_expiry(&self, expires: Option<Instant>) -> Self {
        let parts = &self.0;
        Self(Arc::new(Parts {
            frame: parts.frame.clone(),
            mark: AtomicU64::new(0),
            expires,
            ..**parts
        }))
    }

    /// Whether both are one message, not merely equal.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn expiry(properties: &Properties<'_>, now: Instant) -> Option<Instant> {
    let seconds = properties.four(PropertyId::MessageExpiryInterval)?;
    now.checked_add(Duration::from_secs(u64::from(seconds)))
}
