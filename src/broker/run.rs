//! Runs: consecutive QoS 0 PUBLISH packets of one publisher to one topic. Their route is looked
//! up once, and where a subscriber speaks the same version the outgoing bytes are the incoming
//! bytes, so a run costs one copy however many messages it has.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::broker::Broker;
use crate::broker::crossing::{Crossing, Item};
use crate::broker::outbox;
use crate::broker::publish::Incoming;
use crate::broker::receive::{Frame, Step};
use crate::broker::router::{Route, Target};
use crate::broker::shared::SessionKey;
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::mqtt::Violation;
use crate::mqtt::frame::{self, Head, Scan};
use crate::mqtt::property::PropertyId;
use crate::mqtt::publish::Publish;

/// From this size on, and for more than one subscriber, a run is shared instead of copied.
/// Measured: below it, a reference count and one more slice to write cost more than the copy.
const SHARE_FROM: usize = 2_048;

/// A run as it came.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) count: u32,
    pub(crate) version: Version,
    /// The largest of its packets.
    frame_max: usize,
    /// Bytes of payload in all of them.
    payload: usize,
}

/// The forms of a run that were made for somebody, for whoever comes next.
#[derive(Default)]
struct Forms {
    same: Option<Bytes>,
    other: Option<Bytes>,
}

impl Broker {
    /// Takes the run at the front of `bytes`, whose first packet has `head` and is a whole QoS 0
    /// PUBLISH. Returns how many bytes were taken, zero when the publisher has to wait, and how
    /// many packets.
    pub(crate) fn take_run(
        &mut self,
        slot: u32,
        session: u32,
        bytes: &[u8],
        head: Head,
        shared: Option<&Bytes>,
        now: Instant,
    ) -> Result<(usize, u32), Violation> {
        let version = self.connections[slot as usize].version;
        let first = &bytes[..head.total()];
        let publish = Publish::decode(head.first, &first[head.head_len..], version)?;
        let rewritten = |id| {
            matches!(
                id,
                PropertyId::TopicAlias
                    | PropertyId::MessageExpiryInterval
                    | PropertyId::SubscriptionIdentifier
            )
        };
        let simple = publish.properties.is_empty()
            || !publish.properties.iter().any(|(id, _)| rewritten(id));
        let checked = self
            .router
            .last(slot)
            .is_some_and(|route| *route.topic == *publish.topic);
        let part = shared
            .filter(|_| first.len() >= outbox::SHARE_FROM)
            .map(|whole| whole.slice_ref(first));
        let frame = part.as_ref().map_or(Frame::Borrowed(first), Frame::Part);
        let mounted = self.connections[slot as usize].mounted;
        if !simple || mounted || self.singly || publish.topic.starts_with('$') {
            return self.take_one(slot, session, &publish, frame, now);
        }
        if !checked && self.too_deep(publish.topic) {
            let reason = crate::mqtt::Reason::TOPIC_NAME_INVALID;
            return Err(Violation::new(reason, "too many topic levels"));
        }
        let Some(route) = self.route_of(slot, session, publish.topic) else {
            self.note_denied(slot, publish.topic, &publish);
            return Ok((head.total(), 1));
        };
        if route.birth {
            return self.take_one(slot, session, &publish, frame, now);
        }
        if !self.let_pass(slot, &route, now) {
            return Ok((0, 0));
        }
        let run = find_run(
            bytes,
            head,
            publish.payload.len(),
            version,
            self.connections[slot as usize].size_max,
        );
        self.stats.publish_received += u64::from(run.count);
        self.stats.payload_received += run.payload as u64;
        self.connections[slot as usize].traffic.publish_received += u64::from(run.count);
        let from = self.sessions[session as usize].key;
        let whole = shared.filter(|_| run.bytes.len() >= outbox::SHARE_FROM);
        let forms = Forms {
            same: whole.map(|whole| whole.slice_ref(run.bytes)),
            other: None,
        };
        self.deliver_run(&route, &run, forms, from, now);
        Ok((run.bytes.len(), run.count))
    }

    /// The first packet alone.
    fn take_one(
        &mut self,
        slot: u32,
        session: u32,
        publish: &Publish<'_>,
        frame: Frame<'_>,
        now: Instant,
    ) -> Result<(usize, u32), Violation> {
        let bytes = frame.bytes();
        Ok(match self.publish(slot, session, publish, frame, now)? {
            Step::Pause => (0, 0),
            _ => {
                self.trace_received(slot, bytes);
                (bytes.len(), 1)
            }
        })
    }

    fn deliver_run(
        &mut self,
        route: &Route,
        run: &Run<'_>,
        mut forms: Forms,
        from: SessionKey,
        now: Instant,
    ) {
        let many = route.local.len() > 1;
        for target in &route.local {
            self.deliver_run_to(target, run, Some(from), many, &mut forms, now);
        }
        for remote in &route.remote {
            let bytes = forms
                .same
                .get_or_insert_with(|| Bytes::copy_from_slice(run.bytes));
            let item = Item::Run {
                bytes: bytes.clone(),
                count: run.count,
                version: run.version,
                from: Some(from),
                targets: Arc::clone(&remote.targets),
            };
            self.cross(remote.worker, Crossing(item));
        }
        for group in &route.shares {
            self.each_message(run, Some(from), now, |broker, incoming| {
                broker.deliver_share(group, incoming);
            });
        }
    }

    /// A run that came from another worker.
    pub(crate) fn deliver_crossed_run(
        &mut self,
        bytes: &Bytes,
        count: u32,
        version: Version,
        from: Option<SessionKey>,
        targets: &[Target],
        now: Instant,
    ) {
        let (mut frame_max, mut payload) = (0, 0);
        for (head, frame) in frames(bytes) {
            frame_max = frame_max.max(frame.len());
            let publish = Publish::decode(head.first, &frame[head.head_len..], version);
            payload += publish.map_or(0, |publish| publish.payload.len());
        }
        let run = Run {
            bytes,
            count,
            version,
            frame_max,
            payload,
        };
        let mut forms = Forms {
            same: Some(bytes.clone()),
            other: None,
        };
        for target in targets {
            let key = target.session;
            if self
                .sessions
                .get(key.slot as usize)
                .is_some_and(|session| session.key == key)
            {
                self.deliver_run_to(target, &run, from, targets.len() > 1, &mut forms, now);
            }
        }
    }

    /// Packets of one publisher that came from another worker.
    pub(crate) fn deliver_crossed_frames(
        &mut self,
        bytes: &[u8],
        version: Version,
        from: SessionKey,
        targets: &[Target],
        now: Instant,
    ) {
        for (head, frame) in frames(bytes) {
            let Ok(publish) = Publish::decode(head.first, &frame[head.head_len..], version) else {
                continue;
            };
            let (topic, frame) = (publish.topic, Frame::Borrowed(frame));
            let incoming = Incoming::of_publish(&publish, topic, frame, version, from, now);
            for target in targets {
                self.deliver(target, incoming.qos, &incoming);
            }
        }
    }

    fn deliver_run_to(
        &mut self,
        target: &Target,
        run: &Run<'_>,
        from: Option<SessionKey>,
        many: bool,
        forms: &mut Forms,
        now: Instant,
    ) {
        let Some(target) = target.seen_by(from) else {
            return;
        };
        let session = &self.sessions[target.session.slot as usize];
        let Some(slot) = session.connection else {
            if self.config.profile.qos0_queued {
                self.each_message(run, from, now, |broker, incoming| {
                    broker.deliver(target, QoS::AtMostOnce, incoming);
                });
            } else {
                self.stats.dropped_offline += u64::from(run.count);
            }
            return;
        };
        let connection = &mut self.connections[slot as usize];
        let simple = session.queue.is_empty()
            && target.subscription_ids.is_none()
            && connection.unaltered
            // One byte more when the other version adds its Property Length.
            && run.frame_max < connection.packet_size_max;
        if !simple {
            self.each_message(run, from, now, |broker, incoming| {
                broker.deliver(target, QoS::AtMostOnce, incoming);
            });
            return;
        }
        if connection.slow {
            self.stats.dropped_slow += u64::from(run.count);
            connection.traffic.dropped += u64::from(run.count);
            return;
        }
        self.stats.publish_sent += u64::from(run.count);
        self.stats.payload_sent += run.payload as u64;
        connection.traffic.publish_sent += u64::from(run.count);
        let same = session.version.is_v5() == run.version.is_v5();
        if same && forms.same.is_none() && !(many && run.bytes.len() >= SHARE_FROM) {
            connection.outbox.append(&mut self.spare, run.bytes);
        } else if same {
            let bytes = forms
                .same
                .get_or_insert_with(|| Bytes::copy_from_slice(run.bytes));
            connection.outbox.share(bytes.clone());
        } else {
            let bytes = forms
                .other
                .get_or_insert_with(|| run.in_other_version().into());
            if many && bytes.len() >= SHARE_FROM {
                connection.outbox.share(bytes.clone());
            } else {
                connection.outbox.append(&mut self.spare, bytes);
            }
        }
        self.touch(slot);
    }

    /// Message by message, where the run cannot go as it is.
    fn each_message(
        &mut self,
        run: &Run<'_>,
        from: Option<SessionKey>,
        now: Instant,
        mut deliver: impl FnMut(&mut Self, &Incoming<'_>),
    ) {
        for (head, frame) in frames(run.bytes) {
            let decoded = Publish::decode(head.first, &frame[head.head_len..], run.version);
            let Ok(publish) = decoded else { continue };
            let Some(from) = from else { continue };
            let topic = publish.topic;
            let frame = Frame::Borrowed(frame);
            let incoming = Incoming::of_publish(&publish, topic, frame, run.version, from, now);
            deliver(self, &incoming);
        }
    }
}

impl Run<'_> {
    /// The same messages for clients of the other version: with a Property Length that was not
    /// there, or without the properties that v3 clients do not know.
    fn in_other_version(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 2 * self.count as usize);
        for (head, frame) in frames(self.bytes) {
            let decoded = Publish::decode(head.first, &frame[head.head_len..], self.version);
            let Ok(mut publish) = decoded else { continue };
            publish.dup = false;
            let version = if self.version.is_v5() {
                Version::V311
            } else {
                Version::V5
            };
            publish.encode(version, &mut out);
        }
        out
    }
}

/// The packets of a run.
fn frames(bytes: &[u8]) -> impl Iterator<Item = (Head, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let Ok(Scan::Head(head)) = frame::scan(rest, usize::MAX) else {
            return None;
        };
        let (frame, behind) = rest.split_at_checked(head.total())?;
        rest = behind;
        Some((head, frame))
    })
}

/// How far the run goes: as long as packets begin with the very bytes the first begins with, from
/// its type to the end of its properties, they are as valid as the first. Packets of another
/// length are compared from the topic on.
fn find_run(
    bytes: &[u8],
    head: Head,
    payload: usize,
    version: Version,
    size_max: usize,
) -> Run<'_> {
    let total = head.total();
    let start = &bytes[..total - payload];
    let (first, same_body) = (start[0], &start[head.head_len..]);
    let (mut at, mut count, mut frame_max) = (total, 1, total);
    // Of packets that are not as long as the first: how many, and their bytes of payload.
    let (mut others, mut others_payload) = (0, 0);
    loop {
        let rest = &bytes[at..];
        if rest.len() >= total && rest.starts_with(start) {
            at += total;
            count += 1;
            continue;
        }
        if rest.first() != Some(&first) {
            break;
        }
        let Ok(Scan::Head(other)) = frame::scan(rest, size_max) else {
            break;
        };
        let whole = rest.get(other.head_len..other.total());
        if !whole.is_some_and(|body| body.starts_with(same_body)) {
            break;
        }
        at += other.total();
        count += 1;
        others += 1;
        others_payload += other.body_len - same_body.len();
        frame_max = frame_max.max(other.total());
    }
    Run {
        bytes: &bytes[..at],
        count,
        version,
        frame_max,
        payload: payload * (count - others) as usize + others_payload,
    }
}
