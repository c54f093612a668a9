//! CONNECT and AUTH: from a Network Connection to a Session (§3.1, §3.2, §3.15, §4.12).

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use sha2::Digest;
use sha2::Sha256;

use crate::broker::Broker;
use crate::broker::What;
use crate::broker::access::rules::RuleList;
use crate::broker::connection::{About, Cause, Phase};
use crate::broker::ending;
use crate::broker::listener::Listener;
use crate::broker::receive::Step;
use crate::broker::session::{Session, Will};
use crate::broker::shared::SessionKey;
use crate::broker::shared::directory::UNDERWAY;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::Violation;
use crate::mqtt::connack::Connack;
use crate::mqtt::connect::{self, Connect};
use crate::mqtt::delivery::AliasesOut;
use crate::mqtt::frame::{self, Scan};
use crate::mqtt::limits;
use crate::mqtt::limits::SESSION_EXPIRY_NEVER;
use crate::mqtt::message::Message;
use crate::mqtt::property::{PropertiesBuf, PropertyId, Value};
use crate::mqtt::publish::Publish;

/// Version 3.1 (§3.1) knows Client Identifiers of 1 to 23 characters.
const V31_ID_LEN_MAX: usize = 23;

/// Characters of an assigned Client Identifier behind its prefix: sixteen bytes of chance, written
/// as UUIDs are.
const UUID_LEN: usize = 36;

impl Broker {
    /// A CONNECT that does not decode: answered where its sender will understand the answer.
    pub(crate) fn connect_malformed(
        &mut self,
        slot: u32,
        bytes: &[u8],
        violation: Violation,
        now: Instant,
    ) -> Step {
        let body = match frame::scan(bytes, usize::MAX) {
            Ok(Scan::Head(head)) if head.first >> 4 == 1 => &bytes[head.head_len..],
            _ => return self.violate(slot, violation, now),
        };
        let Some(reason) = self.config.profile.answer_to_connect(violation) else {
            return self.violate(slot, violation, now);
        };
        if reason == Reason::UNSUPPORTED_PROTOCOL_VERSION {
            // [MQTT-3.1.2-2 of 3.1.1]: return code 1, which clients of every version know.
            if self.config.profile.unknown_levels_are_v5 {
                self.connections[slot as usize].version = connect::refusal_version(body);
            }
            return self.refuse(
                slot,
                Reason::UNSUPPORTED_PROTOCOL_VERSION,
                violation.what,
                now,
            );
        }
        if connect::version_of(body) == Some(Version::V5) {
            self.connections[slot as usize].version = Version::V5;
            self.stats.violations += 1;
            return self.refuse(slot, reason, violation.what, now);
        }
        self.violate(slot, violation, now)
    }

    pub(crate) fn connect(
        &mut self,
        slot: u32,
        connect: &Connect<'_>,
        bytes: &[u8],
        now: Instant,
    ) -> Step {
        let size_max = connect.properties.four(PropertyId::MaximumPacketSize);
        self.connections[slot as usize].packet_size_max =
            size_max.map_or(usize::MAX, |size| size as usize);
        self.connections[slot as usize].version = connect.version;
        self.connections[slot as usize].problem_information = connect
            .properties
            .byte(PropertyId::RequestProblemInformation)
            != Some(0);
        let (listener, proven) = self.standing(slot);
        let checked = listener.rules.seen(connect, proven.as_deref());
        let checked = checked.and_then(|seen| self.check_connect(slot, &seen).map(|()| seen));
        let connect = &match checked {
            Ok(seen) => seen,
            Err((reason, why)) => {
                self.connections[slot as usize].seldom().named = Some(connect.client_id.into());
                return self.refuse(slot, reason, why, now);
            }
        };
        let owner = self.shared.directory().find(connect.client_id);
        if let Some(owner) = owner.filter(|&owner| self.is_elsewhere(owner)) {
            return Step::Move(owner.worker);
        }
        if let Some(asked) = self.question(slot, connect) {
            let bytes = Zeroizing::new(bytes.into());
            self.ask(slot, asked, connect.client_id, bytes);
            return Step::Done;
        }
        self.accept(slot, connect, &[], None, now)
    }

    /// Whose rules a connection follows, and who it proved to be.
    pub(crate) fn standing(&self, slot: u32) -> (Arc<Listener>, Option<Arc<str>>) {
        let connection = &self.connections[slot as usize];
        (
            Arc::clone(&connection.listener),
            connection.proven().cloned(),
        )
    }

    fn check_connect(
        &self,
        slot: u32,
        connect: &Connect<'_>,
    ) -> Result<(), (Reason, &'static str)> {
        let id = connect.client_id;
        if id.is_empty() && connect.version == Version::V31 {
            return Err((
                Reason::CLIENT_ID_NOT_VALID,
                "version 3.1 needs a Client Identifier",
            ));
        }
        let long = id.chars().count() > V31_ID_LEN_MAX;
        if long && connect.version == Version::V31 && !self.config.profile.long_v31_client_ids {
            let why = "version 3.1 allows 23 characters of Client Identifier";
            return Err((Reason::CLIENT_ID_NOT_VALID, why));
        }
        if id.is_empty() && connect.version == Version::V311 && !connect.clean_start {
            // [MQTT-3.1.3-8 of 3.1.1]
            return Err((
                Reason::CLIENT_ID_NOT_VALID,
                "a kept Session needs a Client Identifier",
            ));
        }
        self.check_terms(connect)?;
        if let Some(will) = &connect.will
            && self.too_deep_below(slot, will.topic)
        {
            return Err((
                Reason::TOPIC_NAME_INVALID,
                "the Will Topic has too many levels",
            ));
        }
        if !self.is_prefixed(slot, id) {
            let why = "a Client Identifier with another beginning is needed";
            return Err((Reason::NOT_AUTHORIZED, why));
        }
        let access = self.access(slot);
        if let Some(method) = connect.properties.text(PropertyId::AuthenticationMethod) {
            // [MQTT-4.12.0-1]
            return match access.methods.iter().any(|known| &**known == method) {
                true => Ok(()),
                false => Err((
                    Reason::BAD_AUTHENTICATION_METHOD,
                    "no such Authentication Method",
                )),
            };
        }
        let rules = &self.connections[slot as usize].listener.rules;
        if rules.anonymous.unwrap_or(access.anonymous) {
            return Ok(());
        }
        // A name that nobody checks is as good as none.
        let checked = access.passwords || rules.user_name_proven;
        match connect.user_name {
            Some(_) if checked => Ok(()),
            Some(_) => Err((Reason::NOT_AUTHORIZED, "no user is known here")),
            None => Err((Reason::NOT_AUTHORIZED, "a user name is needed")),
        }
    }

    /// Whether the operator's terms are the client's, too.
    fn check_terms(&self, connect: &Connect<'_>) -> Result<(), (Reason, &'static str)> {
        if connect.will.as_ref().is_some_and(|will| will.retain)
            && !self.config.profile.retain_available
        {
            // [MQTT-3.2.2-13]
            return Err((
                Reason::RETAIN_NOT_SUPPORTED,
                "retained messages are not taken",
            ));
        }
        let will = connect.will.as_ref().map_or(0, |will| will.payload.len());
        if will > self.config.limits.payload_size_max {
            return Err((Reason::PACKET_TOO_LARGE, "a will above payload_size_max"));
        }
        let most = self.config.limits.keep_alive_max;
        if self.config.profile.v3_keep_alive_refused
            && !connect.version.is_v5()
            && (connect.keep_alive > most || (connect.keep_alive == 0 && most < u16::MAX))
        {
            return Err((
                Reason::CLIENT_ID_NOT_VALID,
                "a Keep Alive above keep_alive_max",
            ));
        }
        Ok(())
    }

    pub(crate) fn refuse(
        &mut self,
        slot: u32,
        reason: Reason,
        why: &'static str,
        now: Instant,
    ) -> Step {
        self.refuse_with(slot, reason, why, PropertiesBuf::new(), now)
    }

    pub(crate) fn refuse_with(
        &mut self,
        slot: u32,
        reason: Reason,
        why: &'static str,
        mut properties: PropertiesBuf,
        now: Instant,
    ) -> Step {
        self.stats.connects_refused += 1;
        if self.config.profile.reasons_in_words {
            properties.push(PropertyId::ReasonString, Value::String(why));
        }
        self.put_qos_max(slot, &mut properties);
        self.put_connack(slot, false, reason, &properties);
        self.end_connection(slot, Cause::Refused(reason, why), now);
        Step::Stop
    }

    fn put_connack(
        &mut self,
        slot: u32,
        session_present: bool,
        reason: Reason,
        properties: &PropertiesBuf,
    ) -> bool {
        let connection = &mut self.connections[slot as usize];
        let v5 = connection.version.is_v5();
        let reason = if v5 {
            reason
        } else {
            Reason(reason.v3_connect_code())
        };
        let mut properties = if v5 {
            properties.clone()
        } else {
            PropertiesBuf::new()
        };
        let (version, max) = (connection.version, connection.packet_size_max);
        let added = connection.outbox.encode(&mut self.spare, |out| {
            ending::encode_within(max, &mut properties, out, |properties, out| {
                let properties = properties.properties();
                Connack {
                    session_present,
                    reason,
                    properties,
                }
                .encode(version, out);
            });
        });
        self.stats.answers_sent += u64::from(added > 0);
        self.touch(slot);
        added > 0
    }

    /// Everything is in order: the Session is found or made, CONNACK goes out, and what waited.
    pub(crate) fn accept(
        &mut self,
        slot: u32,
        connect: &Connect<'_>,
        auth_data: &[u8],
        own: Option<&Arc<RuleList>>,
        now: Instant,
    ) -> Step {
        let client_id: Arc<str> = match connect.client_id {
            "" => self.assign_id(slot),
            id => id.into(),
        };
        let (session, session_present) = match self.session_for(slot, &client_id, connect, now) {
            Ok(found) => found,
            Err(step) => return step,
        };
        self.identify(slot, session, connect.user_name, own);
        let keep_alive = self.open_connection(slot, session, connect, now);
        self.open_session(slot, session, connect, now);
        let properties = self.connack_properties(slot, connect, keep_alive, session, auth_data);
        if !self.put_connack(slot, session_present, Reason::SUCCESS, &properties) {
            let why = "no CONNACK fits into the client's Maximum Packet Size";
            self.end_connection(slot, Cause::Dropped(Reason::PACKET_TOO_LARGE, why), now);
            return Step::Stop;
        }
        self.note_session(session);
        if self.keeps(session) && !self.store_fails() {
            self.bar(slot);
        }
        self.stats.sessions_connected += 1;
        self.event(
            slot,
            What::Connected {
                version: connect.version,
                clean_start: connect.clean_start,
                keep_alive,
                user_name: connect.user_name.map(Into::into),
                session_present,
                bridge: connect.bridge,
            },
        );
        self.resume(session, now);
        Step::Done
    }

    /// Whether a Session is not here: another worker's, or on its way here. Then the mailbox it
    /// comes by is the place to wait for it.
    fn is_elsewhere(&self, key: SessionKey) -> bool {
        key.worker != self.config.worker || key.slot == UNDERWAY
    }

    fn assign_id(&mut self, slot: u32) -> Arc<str> {
        self.assigned_ids += 1;
        let mut hasher = Sha256::new();
        hasher.update(self.config.seed);
        hasher.update(self.config.worker.to_be_bytes());
        hasher.update(self.assigned_ids.to_be_bytes());
        let rules = &self.connections[slot as usize].listener.rules;
        let mut id = String::with_capacity(rules.assigned_id_prefix.len() + UUID_LEN);
        id.push_str(&rules.assigned_id_prefix);
        for (place, byte) in hasher.finalize().iter().take(16).enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                id.push('-');
            }
            id.push_str(&format!("{byte:02X}"));
        }
        id.into()
    }

    /// The Session of this Client Identifier: an existing one, taken over from its connection, or
    /// a new one. Tells whether there was Session State [MQTT-3.2.2-2].
    fn session_for(
        &mut self,
        slot: u32,
        client_id: &Arc<str>,
        connect: &Connect<'_>,
        now: Instant,
    ) -> Result<(u32, bool), Step> {
        let found = self.shared.directory().find(client_id);
        if let Some(key) = found {
            if self.is_elsewhere(key) {
                // Another worker was quicker since the directory was asked.
                return Err(Step::Move(key.worker));
            }
            if let Some(old) = self.sessions[key.slot as usize].connection {
                // [MQTT-3.1.4-3]
                self.put_disconnect(old, Reason::SESSION_TAKEN_OVER, None);
                self.end_connection(old, Cause::TakenOver, now);
            }
            // Ending the connection may have ended the Session.
            let still = self
                .sessions
                .get(key.slot as usize)
                .is_some_and(|held| held.key == key);
            if still && !connect.clean_start {
                return Ok((key.slot, true));
            }
            if still {
                // [MQTT-3.1.2-4]
                self.end_session(key.slot, now);
            }
        }
        let kept = self.session_expiry(connect) > 0;
        if kept && self.store_fails() {
            let why = "no Session can be stored at present";
            return Err(self.refuse(slot, Reason::SERVER_UNAVAILABLE, why, now));
        }
        if self.shared.directory().len() >= self.config.limits.sessions_max {
            return Err(self.refuse(slot, Reason::QUOTA_EXCEEDED, "sessions_max is reached", now));
        }
        let serial = self.shared.next_serial();
        let entry = self.sessions.vacant_entry();
        let key = SessionKey {
            worker: self.config.worker,
            kept,
            slot: entry.key() as u32,
            serial,
        };
        if let Err(other) = self.shared.directory().enter(Arc::clone(client_id), key) {
            return Err(Step::Move(other.worker));
        }
        entry.insert(Session::new(key, Arc::clone(client_id), connect.version));
        Ok((key.slot, false))
    }

    /// What the connection must know of the client. Returns the Keep Alive in force, in seconds.
    fn open_connection(
        &mut self,
        slot: u32,
        session: u32,
        connect: &Connect<'_>,
        now: Instant,
    ) -> u16 {
        let properties = &connect.properties;
        let most = self.config.limits.keep_alive_max;
        let keep_alive = match connect.keep_alive {
            0 if most < u16::MAX => most,
            asked if connect.version.is_v5() => asked.min(most),
            asked => asked,
        };
        let alias_max = properties.two(PropertyId::TopicAliasMaximum).unwrap_or(0);
        let ticks = self.ticks(now);
        let connection = &mut self.connections[slot as usize];
        let own = connection.listener.rules.topic_alias_out_max;
        let alias_max = alias_max.min(own.unwrap_or(self.config.limits.topic_alias_out_max));
        connection.phase = Phase::Open(session);
        connection.is_bridge = connect.bridge;
        connection.about = Some(About {
            user_name: connect.user_name.map(Into::into),
            clean_start: connect.clean_start,
            keep_alive,
            since: ticks,
        });
        // A verdict may have taken longer than the Keep Alive.
        connection.last_received = ticks;
        // One and a half times the Keep Alive, in tenths of a second [MQTT-3.1.2-22].
        connection.grace = u32::from(keep_alive) * 15;
        connection.aliases_out = (alias_max > 0).then(|| Box::new(AliasesOut::new(alias_max)));
        connection.unaltered = alias_max == 0 && !connection.mounted;
        let ticks = u64::from(connection.last_received + connection.grace);
        if connection.grace > 0 {
            let at = self.at(ticks);
            self.check_by(at);
        }
        keep_alive
    }

    fn open_session(&mut self, slot: u32, session: u32, connect: &Connect<'_>, now: Instant) {
        let receive_max = connect.properties.two(PropertyId::ReceiveMaximum);
        let quota = match receive_max {
            Some(told) if self.config.profile.receive_max_alone => told,
            told => told
                .unwrap_or(u16::MAX)
                .min(self.config.limits.inflight_max),
        };
        let expiry = self.session_expiry(connect);
        let mount = &self.connections[slot as usize].listener.rules.mount_point;
        let will = connect.will.as_ref().map(|will| {
            let publish = Publish {
                dup: false,
                qos: will.qos,
                retain: will.retain,
                topic: &[mount, will.topic].concat(),
                packet_id: None,
                properties: will.properties,
                payload: will.payload,
            };
            let delay = will
                .properties
                .four(PropertyId::WillDelayInterval)
                .unwrap_or(0);
            // The Message Expiry Interval of a will counts from its publication (§3.1.3.2.4): the
            // message is made anew then.
            Box::new(Will {
                message: Message::new(&publish, now),
                delay,
                due: None,
            })
        });
        self.connected += 1;
        let state = &mut self.sessions[session as usize];
        state.version = connect.version;
        state.connection = Some(slot);
        if let Some(absence) = &mut state.absence {
            absence.lost = None;
            absence.expires_at = None;
        }
        state.expiry = expiry;
        state.sender.set_quota(quota);
        // [MQTT-3.1.3-9]: a will that waited for its delay is not sent any more.
        state.will = will;
        self.set_online(session, true);
    }

    /// The Session Expiry Interval in force, in seconds; before version 5 it is all or nothing.
    fn session_expiry(&self, connect: &Connect<'_>) -> u32 {
        let asked = match (connect.version.is_v5(), connect.clean_start) {
            (true, _) => connect
                .properties
                .four(PropertyId::SessionExpiryInterval)
                .unwrap_or(0),
            (false, true) => 0,
            (false, false) => SESSION_EXPIRY_NEVER,
        };
        asked.min(self.config.limits.session_expiry_max)
    }

    /// What v5 clients are told of the choices made here, each only where it departs from what
    /// its absence means (§3.2.2.3).
    fn connack_properties(
        &self,
        slot: u32,
        connect: &Connect<'_>,
        keep_alive: u16,
        session: u32,
        auth_data: &[u8],
    ) -> PropertiesBuf {
        let mut properties = PropertiesBuf::new();
        let limits = &self.config.limits;
        let connection = &self.connections[slot as usize];
        let rules = &connection.listener.rules;
        if keep_alive != connect.keep_alive {
            // [MQTT-3.1.2-21]
            properties.push(PropertyId::ServerKeepAlive, Value::Two(keep_alive));
        }
        let alias_max = rules.topic_alias_max.unwrap_or(limits.topic_alias_max);
        if alias_max > 0 {
            properties.push(PropertyId::TopicAliasMaximum, Value::Two(alias_max));
        }
        let state = &self.sessions[session as usize];
        if connect.client_id.is_empty() {
            // [MQTT-3.1.3-7]
            let assigned = Value::String(&state.client_id);
            properties.push(PropertyId::AssignedClientIdentifier, assigned);
        }
        put_exchange(connect, auth_data, &mut properties);
        let asked = connect.properties.four(PropertyId::SessionExpiryInterval);
        if self.config.profile.session_expiry_told
            && connect.version.is_v5()
            && asked.unwrap_or(0) != state.expiry
        {
            let expiry = Value::Four(state.expiry);
            properties.push(PropertyId::SessionExpiryInterval, expiry);
        }
        let wanted = connect
            .properties
            .byte(PropertyId::RequestResponseInformation);
        if let Some(information) = &self.config.access.response_information
            && wanted == Some(1)
        {
            // [MQTT-3.1.2-28]
            properties.push(PropertyId::ResponseInformation, Value::String(information));
        }
        if !self.config.profile.retain_available {
            properties.push(PropertyId::RetainAvailable, Value::Byte(0));
        }
        if connection.size_max < limits::PACKET_SIZE_MAX {
            let max = Value::Four(connection.size_max as u32);
            properties.push(PropertyId::MaximumPacketSize, max);
        }
        if limits.receive_max < limits::RECEIVE_MAX_DEFAULT {
            properties.push(PropertyId::ReceiveMaximum, Value::Two(limits.receive_max));
        }
        self.put_qos_max(slot, &mut properties);
        properties
    }

    /// A client is told the Maximum QoS even where it is refused: it may be why.
    fn put_qos_max(&self, slot: u32, properties: &mut PropertiesBuf) {
        let max = self.connections[slot as usize].qos_max;
        if max < QoS::ExactlyOnce {
            // [MQTT-3.2.2-9]
            properties.push(PropertyId::MaximumQos, Value::Byte(max.bits()));
        }
    }
}

/// The end of an exchange of an Authentication Method (§4.12).
fn put_exchange(connect: &Connect<'_>, data: &[u8], properties: &mut PropertiesBuf) {
    if let Some(method) = connect.properties.text(PropertyId::AuthenticationMethod) {
        properties.push(PropertyId::AuthenticationMethod, Value::String(method));
        if !data.is_empty() {
            properties.push(PropertyId::AuthenticationData, Value::Binary(data));
        }
    }
}
