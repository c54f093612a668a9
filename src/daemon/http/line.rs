//! A connection to the broker in a visitor's name, so that what a visitor does follows the very
//! rules that clients follow. No publisher ever waits for it: what it does not read in time it
//! loses.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::broker::listener::{Listener, ListenerRules};
use crate::daemon::bridge::pipe::{Pipe, Reader, Writer};
use crate::daemon::http::answer::{Fault, Kind};
use crate::daemon::http::app::App;
use crate::daemon::http::inside;
use crate::daemon::http::login::Visitor;
use crate::daemon::http::serve::Arrival;
use crate::mqtt::Packet;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::connect::Connect;
use crate::mqtt::disconnect::Disconnect;
use crate::mqtt::limits::PACKET_SIZE_MAX;
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use crate::mqtt::subscribe::{self, SubscribeOptions};

/// Spoken inside.
pub(super) const VERSION: Version = Version::V5;

/// Bytes of a packet it takes; larger messages are not for here.
const SIZE_MAX: u32 = 1_048_576;

/// QoS 1 and 2 messages on their way to it.
const INFLIGHT_MAX: u16 = 256;

/// Time for an answer of the broker.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Line {
    /// As the broker assigned it.
    pub(super) client_id: Arc<str>,
    pub(super) reader: Reader,
    pub(super) writer: Writer,
}

impl Line {
    /// As somebody who came in at `arrival`.
    pub(super) async fn of(app: &App, visitor: &Visitor, arrival: &Arrival) -> Result<Self, Fault> {
        let door = &arrival.door.endpoint.rules;
        let rules = ListenerRules {
            realm: if visitor.by_token {
                TRUSTED
            } else {
                door.realm
            },
            mount_point: door.mount_point.clone(),
            qos_max: door.qos_max,
            ..Self::rules(app, visitor.user.is_none())
        };
        Self::connect(
            app,
            rules,
            visitor.user.as_deref(),
            visitor.password.as_deref(),
        )
        .await
    }

    /// As the broker itself.
    pub(super) async fn trusted(app: &App) -> Result<Self, Fault> {
        let rules = ListenerRules {
            realm: TRUSTED,
            ..Self::rules(app, true)
        };
        Self::connect(app, rules, None, None).await
    }

    fn rules(app: &App, anonymous: bool) -> ListenerRules {
        let asked = app.asked();
        let prefix = asked.id_prefix.as_deref().unwrap_or_default();
        ListenerRules {
            anonymous: Some(anonymous),
            assigned_id_prefix: format!("{prefix}http-").into(),
            waited_for: false,
            ..ListenerRules::default()
        }
    }

    async fn connect(
        app: &App,
        rules: ListenerRules,
        user: Option<&str>,
        password: Option<&[u8]>,
    ) -> Result<Self, Fault> {
        let listener = Arc::new(Listener::new(rules));
        let stream = inside::open(app.workers(), listener).map_err(broken)?;
        let Pipe {
            mut reader,
            mut writer,
        } = Pipe::new(stream, VERSION, PACKET_SIZE_MAX);
        let mut properties = PropertiesBuf::new();
        properties.push(PropertyId::MaximumPacketSize, Value::Four(SIZE_MAX));
        properties.push(PropertyId::ReceiveMaximum, Value::Two(INFLIGHT_MAX));
        let connect = Connect {
            version: VERSION,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: "",
            will: None,
            user_name: user,
            password,
            properties: properties.properties(),
        };
        let mut bytes = Vec::new();
        connect.encode(VERSION, &mut bytes);
        writer.put(&bytes).await.map_err(broken)?;
        let answer = reader.next(|packet| match packet {
            Packet::Connack(connack) => {
                let id = connack
                    .properties
                    .text(PropertyId::AssignedClientIdentifier);
                Some((connack.reason, Arc::from(id.unwrap_or_default())))
            }
            _ => None,
        });
        let answer = timeout(ANSWER_TIME, answer)
            .await
            .map_err(|_| Fault::busy())?;
        match answer.map_err(broken)? {
            Some((Reason::SUCCESS, client_id)) => Ok(Self {
                client_id,
                reader,
                writer,
            }),
            Some((reason, _)) => Err(refused(reason)),
            None => Err(Fault::busy()),
        }
    }

    /// Asks for Subscriptions; what each of them led to.
    pub(super) async fn subscribe(
        &mut self,
        filters: &[(&str, SubscribeOptions)],
    ) -> Result<Vec<Reason>, Fault> {
        let mut bytes = Vec::new();
        subscribe::encode(own_id(), Properties::EMPTY, filters, VERSION, &mut bytes);
        self.writer.put(&bytes).await.map_err(broken)?;
        let answer = async {
            loop {
                let reasons = self.reader.next(|packet| match packet {
                    Packet::Suback(suback) => Some(
                        suback
                            .reasons
                            .iter()
                            .map(|&reason| Reason(reason))
                            .collect(),
                    ),
                    // A retained message may come before.
                    _ => None,
                });
                if let Some(reasons) = reasons.await? {
                    return Ok::<Vec<Reason>, io::Error>(reasons);
                }
            }
        };
        let answer = timeout(ANSWER_TIME, answer).await;
        answer.map_err(|_| Fault::busy())?.map_err(broken)
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) {
        let mut bytes = Vec::new();
        let goodbye = Disconnect {
            reason: Reason::NORMAL_DISCONNECTION,
            properties: Properties::EMPTY,
        };
        goodbye.encode(VERSION, &mut bytes);
        self.writer.close(&bytes).await;
    }
}

/// The realm of the broker's own.
const TRUSTED: u16 = crate::broker::access::TRUSTED;

/// There is one thing at a time to acknowledge.
pub(super) fn own_id() -> PacketId {
    PacketId::new(1).expect("one is a Packet Identifier")
}

/// The connection broke: the broker stops, or ended it.
pub(super) fn broken(_: io::Error) -> Fault {
    Fault::busy()
}

/// The broker said no.
pub(super) fn refused(reason: Reason) -> Fault {
    Fault::new(Kind::Refused, reason.name())
}

/// A QoS by its number.
pub(super) fn qos(number: u8) -> QoS {
    QoS::from_bits(number).unwrap_or_default()
}
