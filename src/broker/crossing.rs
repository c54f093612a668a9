//! What goes from one worker to another: messages for Sessions that live there, gathered over a
//! turn and handed over as one batch, and news about subscribers that cannot keep up.

use std::sync::Arc;

use bytes::Bytes;

use crate::broker::router::Target;
use crate::broker::shared::SessionKey;
use crate::broker::shared::subscriptions::ShareGroup;
use crate::mqtt::Version;
use crate::mqtt::message::Message;

/// One thing for another worker; opaque to whoever carries it.
pub struct Crossing(pub(crate) Item);

pub(crate) enum Item {
    /// One message.
    Message {
        message: Message,
        from: Option<SessionKey>,
        targets: Vec<Target>,
        share: Option<Arc<ShareGroup>>,
    },
    /// Consecutive QoS 0 PUBLISH packets of one publisher to one topic, as they came.
    Run {
        bytes: Bytes,
        count: u32,
        version: Version,
        from: Option<SessionKey>,
        targets: Vec<Target>,
    },
    /// A connected subscriber is above its limit (true) or well again (false).
    Pressed { session: SessionKey, pressed: bool },
    /// A publisher elsewhere waited its whole pause for this subscriber.
    Slow { session: SessionKey },
}
