//! What waits for one client, message by message, and what is retained, a page at a time: for those
//! who look from outside. Nothing here changes anything.

use std::time::Duration;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::session::Body;
use crate::broker::shared::Shared;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::delivery::Pending;
use crate::mqtt::message::Message;
use crate::mqtt::topic;

/// Places of the retained messages looked at while they are locked: some hundredths of a millisecond.
const LOOKED_AT_MAX: u32 = 512;

/// Messages that wait for a client.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Those that were not sent yet, the first ones.
    pub queue: Vec<QueuedRow>,
    /// Those that were sent and not acknowledged, the first ones.
    pub inflight: Vec<InflightRow>,
}

/// A message that was not sent yet.
#[derive(Clone, Debug)]
pub struct QueuedRow {
    /// `None`: it is only in the store.
    pub message: Option<Message>,
    /// What it costs to keep.
    pub size: usize,
    /// The QoS it will be sent with.
    pub qos: QoS,
    /// It will be sent with RETAIN.
    pub retain: bool,
}

/// A message that was sent and not acknowledged.
#[derive(Clone, Debug)]
pub struct InflightRow {
    /// Its Packet Identifier.
    pub packet_id: PacketId,
    /// `None`: PUBREL was sent, PUBCOMP is awaited.
    pub qos: Option<QoS>,
    /// `None`: it is not kept, as its Session ends with the connection.
    pub message: Option<Message>,
}

/// Some of the retained messages.
#[derive(Clone, Debug, Default)]
pub struct RetainedPage {
    /// Each with its age.
    pub rows: Vec<(Message, Duration)>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<u32>,
}

impl Broker {
    /// What waits for a client, `most` of each kind at most. `None`: its Session does not live here.
    pub fn waiting_for(&self, client_id: &str, most: usize) -> Option<Waiting> {
        let state = self.session_of(client_id)?;
        let queue = state.queue.iter().take(most).map(|queued| {
            let (message, size) = match &queued.body {
                Body::Here(message) => (Some(message.clone()), message.size()),
                Body::Away(away) => (None, away.size as usize),
            };
            QueuedRow {
                message,
                size,
                qos: queued.qos,
                retain: queued.retain,
            }
        });
        let inflight = state.sender.resend().take(most);
        let inflight = inflight.map(|(packet_id, pending)| match pending {
            Pending::Publish(qos, kept) => InflightRow {
                packet_id,
                qos: Some(qos),
                message: kept.message.clone(),
            },
            Pending::Pubrel => InflightRow {
                packet_id,
                qos: None,
                message: None,
            },
        });
        Some(Waiting {
            queue: queue.collect(),
            inflight: inflight.collect(),
        })
    }

    /// Whether a client's rules let it publish to a topic. `None`: its Session does not live here.
    pub fn client_may_publish(&self, client_id: &str, topic: &str) -> Option<bool> {
        let rights = self.session_of(client_id)?.rights.as_ref();
        Some(rights.is_none_or(|rights| rights.may_publish(topic)))
    }

    /// Messages that a client did not get because it read too slowly. `None`: it is not connected
    /// here.
    pub fn lost_by(&self, client_id: &str) -> Option<u64> {
        let row = self.client(client_id, self.epoch)?;
        Some(row.connection?.traffic.dropped)
    }
}

impl Shared {
    /// Retained messages that match `filter`, from place `from` on, `most` at most. Also a page
    /// without rows may have another behind it.
    pub fn retained_page(
        &self,
        filter: &str,
        from: u32,
        most: usize,
        now: Instant,
    ) -> RetainedPage {
        let retained = self.retained();
        let mut page = RetainedPage::default();
        if !filter.contains(['+', '#']) {
            page.rows.extend(retained.at_topic(filter, now));
            return page;
        }
        let end = from.saturating_add(LOOKED_AT_MAX);
        for place in from..end {
            if place >= retained.places() {
                return page;
            }
            if page.rows.len() >= most {
                page.next = Some(place);
                return page;
            }
            let wants = |topic: &str| topic::matches(filter, topic);
            page.rows.extend(retained.at_place(place, wants, now));
        }
        page.next = Some(end);
        page
    }

    /// The numbers of retained messages and of their bytes.
    pub fn retained_totals(&self) -> (usize, usize) {
        let retained = self.retained();
        (retained.len(), retained.bytes())
    }
}
