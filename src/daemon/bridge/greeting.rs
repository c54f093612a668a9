//! The first packets on both connections of a bridge: CONNECT and its answer, Subscriptions,
//! whether it is connected.

use std::io;
use std::time::Duration;

use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::bridge::door;
use crate::daemon::bridge::pipe::Pipe;
use crate::daemon::bridge::relay::{LOCAL_VERSION, Relay, Takes};
use crate::daemon::bridge::topics::{self, Side};
use crate::daemon::workers::Workers;
use crate::mqtt::Packet;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::connect::{Connect, Will};
use crate::mqtt::limits;
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::{self, RetainHandling, SubscribeOptions};
use crate::mqtt::unsubscribe;
use crate::net::Dial;
use crate::net::address::Address;

/// Time for a CONNACK or a SUBACK.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Filters in one SUBSCRIBE.
const FILTERS_MAX: usize = 64;

/// A connection that was accepted.
pub(crate) struct Greeted {
    pub(crate) pipe: Pipe,
    pub(crate) session_present: bool,
    pub(crate) takes: Takes,
}

/// Why there is none.
pub(crate) enum Refusal {
    /// CONNACK said so.
    Refused(Reason),
    /// There was no CONNACK.
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// How the other broker is spoken to, as far as earlier attempts have taught.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) private: bool,
    pub(crate) retain: bool,
    pub(crate) qos_max: QoS,
}

/// Connects to the core, and subscribes there to what goes out.
pub(crate) async fn greet_local(
    conf: &BridgeConf,
    workers: &Workers,
    replay: RetainHandling,
) -> Result<Greeted, Refusal> {
    let stream = door::open(workers, conf)?;
    let mut pipe = Pipe::new(stream, LOCAL_VERSION, limits::PACKET_SIZE_MAX);
    let mut properties = PropertiesBuf::new();
    if !conf.local_clean {
        properties.push(PropertyId::SessionExpiryInterval, Value::Four(u32::MAX));
    }
    let window = usize::from(conf.receive_max).max(conf.threshold);
    let window = u16::try_from(window).unwrap_or(u16::MAX);
    properties.push(PropertyId::ReceiveMaximum, Value::Two(window));
    let connect = Connect {
        version: LOCAL_VERSION,
        bridge: false,
        clean_start: conf.local_clean,
        keep_alive: 0,
        client_id: &conf.local_id,
        will: None,
        user_name: conf.local_user.as_deref(),
        password: None,
        properties: properties.properties(),
    };
    let mut greeted = greet(&mut pipe, &connect).await?;
    let filters = topics::filters(&conf.topics, Side::Local);
    let options = |qos| SubscribeOptions {
        qos,
        no_local: true,
        retain_as_published: true,
        retain_handling: replay,
    };
    let mut bytes = Vec::new();
    let wanted: Vec<_> = filters
        .iter()
        .map(|(filter, qos)| (filter.as_str(), options(*qos)))
        .collect();
    for part in wanted.chunks(FILTERS_MAX) {
        subscribe::encode(
            own_id(0),
            Properties::EMPTY,
            part,
            LOCAL_VERSION,
            &mut bytes,
        );
    }
    pipe.writer.put(&bytes).await?;
    greeted.pipe = Some(pipe);
    Ok(greeted.into())
}

/// Connects to the other broker.
pub(crate) async fn greet_remote(
    conf: &BridgeConf,
    place: usize,
    manner: Manner,
) -> Result<Greeted, Refusal> {
    let address = &conf.addresses[place];
    let mut dial = Dial::new(Address::tcp(address.host.clone(), address.port));
    dial.bind = conf.bind;
    dial.tls.clone_from(&conf.tls);
    dial.user_timeout = conf.tcp_user_timeout;
    dial.probes = conf
        .tcp_keep_alive
        .as_ref()
        .map(|probes| crate::net::Probes {
            idle: probes.idle,
            interval: probes.interval,
            count: probes.count,
        });
    let stream = dial.connect().await?;
    let size_max = conf
        .packet_size_max
        .map_or(limits::PACKET_SIZE_MAX, |max| max as usize);
    let mut pipe = Pipe::new(stream, conf.version, size_max);
    let will = conf
        .notification
        .as_deref()
        .filter(|_| !conf.notification_local);
    let v5 = conf.version == Version::V5;
    let mut properties = PropertiesBuf::new();
    if v5 {
        let mut four = |id, value| properties.push(id, Value::Four(value));
        if conf.session_expiry > 0 {
            four(PropertyId::SessionExpiryInterval, conf.session_expiry);
        }
        if let Some(max) = conf.packet_size_max {
            four(PropertyId::MaximumPacketSize, max);
        }
        properties.push(PropertyId::ReceiveMaximum, Value::Two(conf.receive_max));
        let aliases = Value::Two(conf.topic_alias_max);
        properties.push(PropertyId::TopicAliasMaximum, aliases);
    }
    let connect = Connect {
        version: conf.version,
        bridge: manner.private && !v5,
        clean_start: conf.clean,
        keep_alive: conf.keep_alive,
        client_id: &conf.remote_id,
        will: will.map(|topic| Will {
            qos: manner.qos_max.min(QoS::AtLeastOnce),
            retain: manner.retain,
            topic,
            payload: b"0",
            properties: Properties::EMPTY,
        }),
        user_name: conf.remote_user.as_deref(),
        password: conf.remote_password.as_deref().map(str::as_bytes),
        properties: properties.properties(),
    };
    let mut greeted = greet(&mut pipe, &connect).await?;
    greeted.takes.qos_max = greeted.takes.qos_max.min(manner.qos_max);
    greeted.takes.retain &= manner.retain;
    if conf.version == Version::V31 {
        // It has no word for that: a Session that was asked for is taken to be there.
        greeted.session_present = !conf.clean;
    }
    greeted.pipe = Some(pipe);
    Ok(greeted.into())
}

/// What a CONNACK told.
struct Answer {
    pipe: Option<Pipe>,
    session_present: bool,
    takes: Takes,
}

impl From<Answer> for Greeted {
    fn from(answer: Answer) -> Self {
        Self {
            pipe: answer.pipe.expect("put there after the answer"),
            session_present: answer.session_present,
            takes: answer.takes,
        }
    }
}

async fn greet(pipe: &mut Pipe, connect: &Connect<'_>) -> Result<Answer, Refusal> {
    let mut bytes = Vec::new();
    connect.encode(connect.version, &mut bytes);
    pipe.writer.put(&bytes).await?;
    let answer = tokio::time::timeout(ANSWER_TIME, pipe.reader.next(answer)).await;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer to CONNECT");
    let answer = answer.map_err(late)?;
    if answer.is_err() && connect.version.is_v5() && pipe.reader.is_older_refusal() {
        return Err(Refusal::Refused(Reason::UNSUPPORTED_PROTOCOL_VERSION));
    }
    match answer? {
        Some((Reason::SUCCESS, session_present, takes)) => Ok(Answer {
            pipe: None,
            session_present,
            takes,
        }),
        Some((reason, ..)) => Err(Refusal::Refused(reason)),
        None => Err(io::Error::other("the answer to CONNECT is no CONNACK").into()),
    }
}

fn answer(packet: &Packet<'_>) -> Option<(Reason, bool, Takes)> {
    let Packet::Connack(connack) = packet else {
        return None;
    };
    let properties = connack.properties;
    let qos_max = properties.byte(PropertyId::MaximumQos);
    let size_max = properties.four(PropertyId::MaximumPacketSize);
    let takes = Takes {
        qos_max: qos_max.and_then(QoS::from_bits).unwrap_or(QoS::ExactlyOnce),
        retain: properties.byte(PropertyId::RetainAvailable) != Some(0),
        packet_size_max: size_max.map_or(limits::PACKET_SIZE_MAX, |max| max as usize),
    };
    Some((connack.reason, connack.session_present, takes))
}

/// Packet Identifiers of our own requests: the other end of those that the core gives away.
fn own_id(number: usize) -> PacketId {
    let id = u16::MAX - (number % 4_096) as u16;
    PacketId::new(id).expect("far from zero")
}

/// What is said there first: Subscriptions, and that the bridge is there.
pub(crate) fn introduce(conf: &BridgeConf, takes: Takes, relay: &mut Relay) {
    let (version, mut number) = (conf.version, 0);
    let mut next = |relay: &mut Relay| {
        let id = own_id(number);
        number += 1;
        relay.own.insert(id);
        id
    };
    let gone = topics::only_out(&conf.topics);
    if conf.attempt_unsubscribe {
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        for part in gone.chunks(FILTERS_MAX) {
            let id = next(relay);
            unsubscribe::encode(id, Properties::EMPTY, part, version, &mut relay.to_remote);
        }
    }
    let filters = topics::filters(&conf.topics, Side::Remote);
    let wanted: Vec<_> = filters
        .iter()
        .map(|(filter, qos)| {
            let options = SubscribeOptions {
                qos: *qos,
                no_local: true,
                retain_as_published: true,
                retain_handling: RetainHandling::Send,
            };
            (filter.as_str(), options)
        })
        .collect();
    for part in wanted.chunks(FILTERS_MAX) {
        let id = next(relay);
        subscribe::encode(id, Properties::EMPTY, part, version, &mut relay.to_remote);
    }
    if let Some(topic) = conf
        .notification
        .as_deref()
        .filter(|_| !conf.notification_local)
    {
        let qos = takes.qos_max.min(QoS::AtLeastOnce);
        let packet_id = (qos != QoS::AtMostOnce).then(|| next(relay));
        state(topic, b"1", qos, takes.retain, packet_id).encode(version, &mut relay.to_remote);
    }
}

/// The last word there: that the bridge is gone, as its will would say.
pub(crate) fn farewell(conf: &BridgeConf, takes: Takes, out: &mut Vec<u8>) {
    if let Some(topic) = conf
        .notification
        .as_deref()
        .filter(|_| !conf.notification_local)
    {
        state(topic, b"0", QoS::AtMostOnce, takes.retain, None).encode(conf.version, out);
    }
    goodbye(conf.version, out);
}

/// DISCONNECT.
pub(crate) fn goodbye(version: Version, out: &mut Vec<u8>) {
    let disconnect = crate::mqtt::disconnect::Disconnect {
        reason: Reason::NORMAL_DISCONNECTION,
        properties: Properties::EMPTY,
    };
    disconnect.encode(version, out);
}

fn state<'a>(
    topic: &'a str,
    payload: &'a [u8],
    qos: QoS,
    retain: bool,
    packet_id: Option<PacketId>,
) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain,
        topic,
        packet_id,
        properties: Properties::EMPTY,
        payload,
    }
}
