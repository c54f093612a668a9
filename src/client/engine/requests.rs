//! SUBSCRIBE and UNSUBSCRIBE: asked for, answered, and asked for again when the broker has lost the
//! session.

use crate::client::engine::message::Refused;
use crate::client::engine::{Engine, Phase};
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId};
use crate::mqtt::subscribe::SubscribeOptions;
use crate::mqtt::topic::check_filter;
use crate::mqtt::{PacketId, frame};

/// A SUBSCRIBE or UNSUBSCRIBE: repeated when it was not answered, or when the session is lost.
#[derive(Debug)]
pub(super) struct Request {
    /// While it is unanswered.
    pub(super) packet_id: Option<PacketId>,
    pub(super) what: Requested,
    pub(super) properties: PropertiesBuf,
}

#[derive(Debug)]
pub(super) enum Requested {
    Subscribe(Vec<(Box<str>, SubscribeOptions)>),
    Unsubscribe(Vec<Box<str>>),
}

impl Engine {
    /// Asks for subscriptions; they are asked for again when the broker has lost the session.
    pub fn subscribe(
        &mut self,
        filters: &[(&str, SubscribeOptions)],
        properties: Properties<'_>,
    ) -> Result<PacketId, Refused> {
        // The Subscription Options are one byte behind each filter.
        let names = filters.iter().map(|(filter, _)| *filter);
        self.check_filters(names, filters.len(), properties)?;
        let what = filters
            .iter()
            .map(|(filter, options)| ((*filter).into(), *options))
            .collect();
        self.request(Requested::Subscribe(what), properties)
    }

    /// Ends subscriptions.
    pub fn unsubscribe(
        &mut self,
        filters: &[&str],
        properties: Properties<'_>,
    ) -> Result<PacketId, Refused> {
        self.check_filters(filters.iter().copied(), 0, properties)?;
        for request in &mut self.requests {
            if let Requested::Subscribe(held) = &mut request.what {
                held.retain(|(filter, _)| !filters.contains(&&**filter));
            }
        }
        let is_void = |what: &Requested| matches!(what, Requested::Subscribe(f) if f.is_empty());
        self.requests
            .retain(|request| request.packet_id.is_some() || !is_void(&request.what));
        let what = filters.iter().map(|filter| (*filter).into()).collect();
        self.request(Requested::Unsubscribe(what), properties)
    }

    fn check_filters<'f>(
        &self,
        filters: impl Iterator<Item = &'f str> + Clone,
        options: usize,
        properties: Properties<'_>,
    ) -> Result<(), Refused> {
        if self.phase != Phase::Up {
            return Err(Refused::NotConnected);
        }
        let mut len = 2 + options;
        if self.options.version.is_v5() {
            let bytes = properties.raw().len();
            // A Variable Byte Integer is as long as the Remaining Length of that value would be.
            len += frame::head_len(bytes) - 1 + bytes;
        }
        for filter in filters.clone() {
            check_filter(filter).map_err(Refused::Topic)?;
            len += 2 + filter.len();
            if !self.broker.wildcards_available && filter.contains(['+', '#']) {
                return Err(Refused::NotAvailable(
                    "the broker knows no wildcard subscriptions",
                ));
            }
            if !self.broker.shares_available && filter.starts_with("$share/") {
                return Err(Refused::NotAvailable(
                    "the broker knows no shared subscriptions",
                ));
            }
        }
        if filters.count() == 0 {
            return Err(Refused::Topic("at least one topic filter is needed"));
        }
        if !self.broker.subscription_ids_available
            && properties
                .find(PropertyId::SubscriptionIdentifier)
                .is_some()
        {
            return Err(Refused::NotAvailable(
                "the broker knows no subscription identifiers",
            ));
        }
        if frame::head_len(len) + len > self.broker.packet_size_max {
            return Err(Refused::TooLarge);
        }
        Ok(())
    }

    fn request(
        &mut self,
        what: Requested,
        properties: Properties<'_>,
    ) -> Result<PacketId, Refused> {
        let mut request = Request {
            packet_id: None,
            what,
            properties: properties.into(),
        };
        let packet_id = self.put_request(&mut request).ok_or(Refused::Full)?;
        self.requests.push(request);
        Ok(packet_id)
    }

    /// None: all 65,535 identifiers are taken.
    pub(super) fn put_request(&mut self, request: &mut Request) -> Option<PacketId> {
        let packet_id = self.sender.claim()?;
        request.packet_id = Some(packet_id);
        let start = self.out.len();
        let properties = request.properties.properties();
        match &request.what {
            Requested::Subscribe(filters) => {
                let filters: Vec<_> = filters.iter().map(|(name, how)| (&**name, *how)).collect();
                self.encoder
                    .subscribe(packet_id, &filters, properties, &mut self.out);
            }
            Requested::Unsubscribe(filters) => {
                let filters: Vec<_> = filters.iter().map(|name| &**name).collect();
                self.encoder
                    .unsubscribe(packet_id, &filters, properties, &mut self.out);
            }
        }
        self.note_sent(start);
        Some(packet_id)
    }

    /// SUBACK or UNSUBACK; false when nobody asked.
    pub(super) fn is_answer(&mut self, packet_id: PacketId) -> bool {
        if !self.sender.free(packet_id) {
            return false;
        }
        if let Some(place) = self
            .requests
            .iter()
            .position(|r| r.packet_id == Some(packet_id))
        {
            let request = &mut self.requests[place];
            request.packet_id = None;
            let is_over = match &request.what {
                Requested::Subscribe(filters) => filters.is_empty(),
                Requested::Unsubscribe(_) => true,
            };
            if is_over {
                self.requests.remove(place);
            }
        }
        true
    }
}
