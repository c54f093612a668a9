//! What goes from one worker to another: messages for Sessions that live there, gathered over a
//! turn and handed over as one batch, and news about subscribers that cannot keep up.

use std::sync::Arc;

use bytes::Bytes;

use crate::broker::Broker;
use crate::broker::publish::{Incoming, Plain};
use crate::broker::router::{Remote, Target};
use crate::broker::shared::SessionKey;
use crate::broker::shared::subscriptions::ShareGroup;
use crate::mqtt::Version;
use crate::mqtt::message::Message;

/// Small packets of one publisher are gathered into one item up to this size.
const FRAMES_MAX: usize = 65_536;

/// Packets up to this size are copied for another worker; larger ones are shared.
const COPIED_MAX: usize = 4_096;

/// One thing for another worker; opaque to whoever carries it.
pub struct Crossing(pub(crate) Item);

pub(crate) enum Item {
    /// One message.
    Message {
        message: Message,
        from: Option<SessionKey>,
        targets: Arc<[Target]>,
        share: Option<Arc<ShareGroup>>,
        /// The number of its record; zero: there is none.
        crossing: u64,
    },
    /// Consecutive QoS 0 PUBLISH packets of one publisher to one topic, as they came.
    Run {
        bytes: Bytes,
        count: u32,
        version: Version,
        from: Option<SessionKey>,
        targets: Arc<[Target]>,
    },
    /// PUBLISH packets of one publisher to the same targets, as they came, one behind the other.
    Frames {
        bytes: Vec<u8>,
        version: Version,
        from: SessionKey,
        targets: Arc<[Target]>,
    },
    /// A connected subscriber is above its limit (true) or well again (false).
    Pressed { session: SessionKey, pressed: bool },
    /// A publisher elsewhere waited its whole pause for this subscriber.
    Slow { session: SessionKey },
}

impl Crossing {
    /// Bytes that wait with it, for the bound on what waits for a worker.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.0 {
                Item::Message { message, .. } => message.size(),
                Item::Run { bytes, .. } => bytes.len(),
                Item::Frames { bytes, .. } => bytes.len(),
                Item::Pressed { .. } | Item::Slow { .. } => 0,
            }
    }
}

impl Broker {
    pub(crate) fn cross(&mut self, worker: u16, crossing: Crossing) {
        self.effects.crossings[usize::from(worker)].push(crossing);
    }

    /// A message to the Sessions of another worker.
    pub(crate) fn cross_message(&mut self, remote: &Remote, incoming: &Incoming<'_>) {
        let crossing = self.note_crossed(&remote.targets, None, incoming);
        if let (Some(plain), Some(from), 0) = (&incoming.plain, incoming.from, crossing)
            && plain.frame.len() <= COPIED_MAX
        {
            return self.cross_frame(remote, plain, from);
        }
        let item = Item::Message {
            message: incoming.message().clone(),
            from: incoming.from,
            targets: Arc::clone(&remote.targets),
            share: None,
            crossing,
        };
        self.cross(remote.worker, Crossing(item));
    }

    /// Behind the packet before it, where that came from the same publisher and goes to the same
    /// Sessions: then nothing is allocated for it.
    fn cross_frame(&mut self, remote: &Remote, plain: &Plain<'_>, publisher: SessionKey) {
        let batch = &mut self.effects.crossings[usize::from(remote.worker)];
        if let Some(Crossing(Item::Frames {
            bytes,
            version,
            from,
            targets,
        })) = batch.last_mut()
            && *from == publisher
            && *version == plain.version
            && Arc::ptr_eq(targets, &remote.targets)
            && bytes.len() < FRAMES_MAX
        {
            bytes.extend_from_slice(plain.frame);
            return;
        }
        let mut bytes = Vec::with_capacity(4 * plain.frame.len());
        bytes.extend_from_slice(plain.frame);
        batch.push(Crossing(Item::Frames {
            bytes,
            version: plain.version,
            from: publisher,
            targets: Arc::clone(&remote.targets),
        }));
    }
}
