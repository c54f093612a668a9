//! Retained messages as an administrator sees them: a part of them at a time, and away with those
//! nobody wants (§3.3.1.3). How they are found is `shared::retained`'s business.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::access::rules::Rights;
use crate::broker::publish::Incoming;
use crate::broker::shared::Shared;
pub use crate::broker::shared::retained::RetainedRow;
use crate::broker::shared::retained::{Found, Source};
use crate::mqtt::QoS;
use crate::mqtt::message::Message;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;

impl Shared {
    /// Retained messages whose topic matches a filter, without the first `skip`, `most` at most.
    pub fn retained_part(
        &self,
        filter: &str,
        skip: usize,
        most: usize,
        now: Instant,
    ) -> Vec<RetainedRow> {
        self.retained().part(filter, false, (skip, most), now)
    }
}

/// Expired messages cleared in one turn.
const PURGED_AT_ONCE: usize = 1_000;

/// Until the store is asked again whether it can note that.
const STORE_PAUSE: Duration = Duration::from_secs(1);

impl Broker {
    /// Looks after the expiry of what was just retained, or was there before.
    pub(crate) fn time_retained(&mut self) {
        let next = self.shared.retained().next_expiry();
        self.purge_at = self.purge_at.into_iter().chain(next).min();
    }

    /// Clears retained messages that have expired, some at a time.
    pub(crate) fn purge_retained(&mut self, now: Instant) {
        if self.purge_at.is_none_or(|at| at > now) {
            return;
        }
        if self.store_fails() {
            self.purge_at = Some(now + STORE_PAUSE);
            return;
        }
        let topics = self.shared.retained().expired(PURGED_AT_ONCE, now);
        for topic in &topics {
            self.clear_topic(topic, now);
        }
        self.stats.retained_expired += topics.len() as u64;
        let next = self.shared.retained().next_expiry();
        // A hair later where there is more, so that others have a turn between.
        self.purge_at = next.map(|at| at.max(now + Duration::from_millis(1)));
    }

    /// Clears `most` retained messages whose topic matches a filter; subscribers are not told.
    /// Returns how many there were. `None`: the store cannot note it at present.
    pub fn clear_retained(&mut self, filter: &str, most: usize, now: Instant) -> Option<usize> {
        if self.store_fails() {
            return None;
        }
        let rows = self.shared.retained().part(filter, true, (0, most), now);
        for row in &rows {
            self.clear_topic(row.message.topic(), now);
        }
        Some(rows.len())
    }

    /// Clears what is retained for these topics; subscribers are not told. False: the store cannot
    /// note it at present.
    pub fn clear_topics(&mut self, topics: &[String], now: Instant) -> bool {
        if self.store_fails() {
            return false;
        }
        for topic in topics {
            self.clear_topic(topic, now);
        }
        true
    }

    /// Leaves out what its publisher might not publish any more.
    pub(crate) fn drop_unowned(&self, messages: &mut Vec<Found>) {
        let retained = self.shared.retained();
        // One for each publisher: making them takes longer than asking them.
        let mut known: HashMap<*const Source, Option<Arc<Rights>>> = HashMap::new();
        messages.retain(|found| {
            let Some(source) = retained.source(found) else {
                return true;
            };
            let rights = known.entry(Arc::as_ptr(source)).or_insert_with(|| {
                let rules = self.config.access.of(source.realm).rules.as_ref()?;
                let (id, name) = (&source.client_id, source.user_name.as_ref());
                Some(rules.rights(id, name, source.own.as_ref()))
            });
            let topic = found.message.topic();
            rights
                .as_ref()
                .is_none_or(|rights| rights.may_publish(topic))
        });
    }

    fn clear_topic(&mut self, topic: &str, now: Instant) {
        let nothing = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: true,
            topic,
            packet_id: None,
            properties: Properties::EMPTY,
            payload: &[],
        };
        let message = Message::new(&nothing, now);
        self.retain(&Incoming::of_message(&message, None, now));
    }
}
