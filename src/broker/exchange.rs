//! Questions about a CONNECT, and the exchanges of an Authentication Method (§4.12): while one goes
//! on, the connection waits for a verdict or for the client's next AUTH, and for nothing else.

use std::time::Instant;

use zeroize::Zeroizing;

use crate::broker::Broker;
use crate::broker::access::{Asked, Question, Verdict};
use crate::broker::connection::{Cause, Connection, ConnectionId, Phase};
use crate::broker::receive::Step;
use crate::mqtt::Packet;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::Violation;
use crate::mqtt::auth::Auth;
use crate::mqtt::connect::Connect;
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};

/// The Authentication Method of a connection, and how far it is.
pub(crate) struct Exchange {
    method: Box<str>,
    stage: Stage,
}

/// Whose turn it is in an exchange on an open connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody's: none is under way.
    Rest,
    Verdict,
    Client,
}

/// A CONNECT: there may be a password in it.
type Secret = Zeroizing<Box<[u8]>>;

impl Broker {
    /// What must be known before this CONNECT can be accepted.
    pub(crate) fn question(&self, slot: u32, connect: &Connect<'_>) -> Option<Asked> {
        if let Some(method) = connect.properties.text(PropertyId::AuthenticationMethod) {
            return Some(exchange(method, &connect.properties));
        }
        // Who proved to be somebody is not asked for a password too.
        let rules = &self.connections[slot as usize].listener.rules;
        let passwords = self.access(slot).passwords && !rules.user_name_proven;
        let user_name = connect.user_name.filter(|_| passwords)?;
        Some(Asked::Password {
            user_name: user_name.into(),
            password: Zeroizing::new(connect.password.unwrap_or_default().into()),
        })
    }

    /// Puts a question about the CONNECT in `bytes`.
    pub(crate) fn ask(&mut self, slot: u32, asked: Asked, client_id: &str, bytes: Secret) {
        let connection = &mut self.connections[slot as usize];
        if let Asked::Exchange { method, .. } = &asked {
            connection.exchange = Some(Box::new(Exchange {
                method: method.clone(),
                stage: Stage::Rest,
            }));
        }
        connection.phase = Phase::Asking(bytes);
        self.put_question(slot, client_id.into(), asked);
    }

    fn put_question(&mut self, slot: u32, client_id: Box<str>, asked: Asked) {
        let connection = &self.connections[slot as usize];
        self.effects.questions.push(Question {
            connection: connection.id,
            client_id,
            realm: connection.listener.rules.realm,
            asked,
        });
    }

    /// The answer to a [`Question`]; one for a connection that is gone is ignored.
    pub fn answer(&mut self, id: ConnectionId, verdict: &Verdict, now: Instant) {
        let Some(connection) = self.connection_mut(id) else {
            return;
        };
        match std::mem::replace(&mut connection.phase, Phase::Waiting) {
            Phase::Asking(bytes) => self.answer_connect(id.slot, bytes, verdict, now),
            Phase::Open(session) => {
                connection.phase = Phase::Open(session);
                self.answer_again(id.slot, verdict, now);
            }
            other => connection.phase = other,
        }
        if self.connection(id).is_some_and(Connection::is_read) {
            self.effects.resumed.push(id);
        }
    }

    fn answer_connect(&mut self, slot: u32, bytes: Secret, verdict: &Verdict, now: Instant) {
        let version = self.connections[slot as usize].version;
        let Ok(Packet::Connect(connect)) = Packet::decode(&bytes, version) else {
            unreachable!("it was a CONNECT before the question")
        };
        let (listener, proven) = self.standing(slot);
        let Ok(mut connect) = listener.rules.seen(&connect, proven.as_deref()) else {
            unreachable!("it was within the rules before the question")
        };
        let accept = |broker: &mut Self, connect: &Connect<'_>, data, own| {
            if let Step::Move(_) = broker.accept(slot, connect, data, own, now) {
                // Another worker owns the Session by now: it has the right of way.
                let why = "connected elsewhere meanwhile";
                broker.refuse(slot, Reason::SERVER_BUSY, why, now);
            }
        };
        match verdict {
            Verdict::Accept(data) => {
                accept(self, &connect, data, None);
                self.trace_connect(slot, &connect);
            }
            Verdict::AcceptAs(identity) => {
                if let Some(name) = &identity.user_name {
                    connect.user_name = Some(name);
                    if listener.rules.user_name_as_client_id {
                        connect.client_id = name;
                    }
                }
                accept(self, &connect, &identity.data, identity.rules.as_ref());
                self.trace_connect(slot, &connect);
            }
            Verdict::Continue(data) => {
                // [MQTT-4.12.0-2]
                self.put_auth(slot, Reason::CONTINUE_AUTHENTICATION, data);
                self.connections[slot as usize].phase = Phase::Answering(bytes);
            }
            Verdict::Refuse {
                reason,
                server_reference,
                data,
            } => {
                self.connections[slot as usize].seldom().named = Some(connect.client_id.into());
                let mut properties = PropertiesBuf::new();
                let method = connect.properties.text(PropertyId::AuthenticationMethod);
                if let Some(method) = method.filter(|_| !data.is_empty()) {
                    properties.push(PropertyId::AuthenticationMethod, Value::String(method));
                    properties.push(PropertyId::AuthenticationData, Value::Binary(data));
                }
                if let Some(reference) = server_reference {
                    properties.push(PropertyId::ServerReference, Value::String(reference));
                }
                let reason = match *reason {
                    Reason::BAD_USER_NAME_OR_PASSWORD => self.config.profile.wrong_password,
                    reason => reason,
                };
                self.refuse_with(slot, reason, "refused by authentication", properties, now);
            }
        }
    }

    /// A packet between CONNECT and CONNACK: AUTH goes on with the exchange, DISCONNECT ends it,
    /// everything else is refused [MQTT-3.1.2-30], by CONNACK since nothing may come before it.
    pub(crate) fn exchange_step(
        &mut self,
        slot: u32,
        packet: Result<Packet<'_>, Violation>,
        now: Instant,
    ) -> Step {
        let Violation { reason, what } = match packet {
            Ok(Packet::Auth(auth)) if self.goes_on(slot, &auth) => {
                let connection = &mut self.connections[slot as usize];
                let phase = std::mem::replace(&mut connection.phase, Phase::Waiting);
                if let Phase::Answering(bytes) = phase {
                    let method = auth.properties.text(PropertyId::AuthenticationMethod);
                    let asked = exchange(method.unwrap_or_default(), &auth.properties);
                    self.ask(slot, asked, "", bytes);
                }
                return Step::Done;
            }
            Ok(Packet::Disconnect(disconnect)) => {
                self.end_connection(slot, Cause::Disconnected(disconnect.reason), now);
                return Step::Stop;
            }
            Ok(_) => Violation::protocol_error("not the AUTH that was awaited before CONNACK"),
            Err(violation) => violation,
        };
        self.stats.violations += 1;
        self.refuse(slot, reason, what, now)
    }

    /// Whether this AUTH is the next step of the connection's own exchange.
    fn goes_on(&self, slot: u32, auth: &Auth<'_>) -> bool {
        auth.reason == Reason::CONTINUE_AUTHENTICATION && self.is_own_method(slot, auth)
    }

    /// [MQTT-4.12.0-5]
    fn is_own_method(&self, slot: u32, auth: &Auth<'_>) -> bool {
        let exchange = self.connections[slot as usize].exchange.as_ref();
        let method = auth.properties.text(PropertyId::AuthenticationMethod);
        exchange.is_some_and(|exchange| method == Some(&*exchange.method))
    }

    /// AUTH on an open connection: the client authenticates anew (§4.12.1), with the method of its
    /// CONNECT and step by step.
    pub(crate) fn auth(&mut self, slot: u32, auth: &Auth<'_>, now: Instant) -> Step {
        if !self.is_own_method(slot, auth) {
            // [MQTT-4.12.0-7] [MQTT-4.12.1-1]
            return self.break_rule(
                slot,
                "AUTH without the Authentication Method of CONNECT",
                now,
            );
        }
        let Some(exchange) = &mut self.connections[slot as usize].exchange else {
            return Step::Done;
        };
        let awaited = match exchange.stage {
            Stage::Rest => auth.reason == Reason::REAUTHENTICATE,
            Stage::Client => auth.reason == Reason::CONTINUE_AUTHENTICATION,
            Stage::Verdict => false,
        };
        if !awaited {
            return self.break_rule(slot, "AUTH out of its turn", now);
        }
        exchange.stage = Stage::Verdict;
        let mut asked = self::exchange(&exchange.method, &auth.properties);
        if let Asked::Exchange {
            again, user_name, ..
        } = &mut asked
        {
            let session = self.connections[slot as usize].session();
            let state = session.map(|session| &self.sessions[session as usize]);
            *again = true;
            *user_name = state.and_then(|state| state.user_name.as_deref().map(Into::into));
        }
        let client_id = self.client_id(slot);
        self.put_question(slot, (*client_id).into(), asked);
        Step::Done
    }

    fn answer_again(&mut self, slot: u32, verdict: &Verdict, now: Instant) {
        let (reason, data, stage) = match verdict {
            Verdict::Accept(data) => (Reason::SUCCESS, data, Stage::Rest),
            Verdict::AcceptAs(identity) => (Reason::SUCCESS, &identity.data, Stage::Rest),
            Verdict::Continue(data) => (Reason::CONTINUE_AUTHENTICATION, data, Stage::Client),
            Verdict::Refuse { reason, .. } => {
                self.put_disconnect(slot, *reason, None);
                let cause = Cause::Dropped(*reason, "not authenticated anew");
                return self.end_connection(slot, cause, now);
            }
        };
        let exchange = self.connections[slot as usize].exchange.as_mut();
        // An answer that nobody asked for changes nothing.
        if let Some(exchange) = exchange.filter(|exchange| exchange.stage == Stage::Verdict) {
            exchange.stage = stage;
            self.put_auth(slot, reason, data);
        }
    }

    fn put_auth(&mut self, slot: u32, reason: Reason, data: &[u8]) {
        let connection = &mut self.connections[slot as usize];
        let mut properties = PropertiesBuf::new();
        if let Some(exchange) = &connection.exchange {
            let method = Value::String(&exchange.method);
            properties.push(PropertyId::AuthenticationMethod, method);
        }
        if !data.is_empty() {
            properties.push(PropertyId::AuthenticationData, Value::Binary(data));
        }
        let auth = Auth {
            reason,
            properties: properties.properties(),
        };
        connection
            .outbox
            .encode(&mut self.spare, |out| auth.encode(Version::V5, out));
        self.stats.answers_sent += 1;
        self.touch(slot);
    }
}

fn exchange(method: &str, properties: &Properties<'_>) -> Asked {
    let data = properties.binary(PropertyId::AuthenticationData);
    Asked::Exchange {
        method: method.into(),
        data: data.unwrap_or_default().into(),
        again: false,
        user_name: None,
    }
}
