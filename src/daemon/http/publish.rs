//! A message for the broker, in a visitor's name, and what became of it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::daemon::http::answer::{Answer, Fault, Json};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::body;
use crate::daemon::http::line::{ANSWER_TIME, Line, VERSION, broken, own_id, qos, refused};
use crate::daemon::http::login::Visitor;
use crate::daemon::http::refusals::Refusals;
use crate::daemon::http::serve::Arrival;
use crate::mqtt::Packet;
use crate::mqtt::PacketType;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::ack;
use crate::mqtt::property::{PropertiesBuf, PropertyId};
use crate::mqtt::publish::Publish;
use crate::mqtt::topic;

/// Properties of one user.
const USER_PROPERTIES_MAX: usize = 256;

/// What is to be published.
struct Order {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    properties: PropertiesBuf,
}

pub(super) async fn publish(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Extension(visitor): Extension<Visitor>,
    request: Request<Body>,
) -> Answer {
    let body = body::object(request, app.asked().limits.http_body_max).await;
    if body.as_ref().is_err_and(Fault::is_about_size) {
        Refusals::note(&app, |stats| stats.http_bodies_refused += 1);
    }
    let order = Order::read(&mut body?)?;
    let mut line = Line::of(&app, &visitor, &arrival).await?;
    let carried = timeout(ANSWER_TIME, order.carry_out(&app, &mut line, &arrival)).await;
    let reason = carried.map_err(|_| Fault::busy())??;
    line.close().await;
    if reason.is_error() {
        return Err(refused(reason));
    }
    let matched = (order.qos != QoS::AtMostOnce).then_some(reason == Reason::SUCCESS);
    Ok(Json(
        json!({ "published": true, "reason": reason.name(), "matched": matched }),
    ))
}

impl Order {
    fn read(object: &mut Map<String, Value>) -> Result<Self, Fault> {
        let topic = text(object, "topic")?.ok_or_else(|| Fault::bad("topic is wanted"))?;
        topic::check_name(&topic).map_err(|what| Fault::bad(format!("topic: {what}")))?;
        let payload = payload(object)?;
        let asked = match object.remove("qos") {
            None => 0,
            Some(number) => whole(&number)
                .filter(|&number| number <= 2)
                .ok_or_else(|| Fault::bad("qos: 0, 1 or 2 is wanted"))?,
        };
        let retain = match object.remove("retain") {
            None => false,
            Some(Value::Bool(retain)) => retain,
            Some(_) => return Err(Fault::bad("retain: true or false is wanted")),
        };
        let properties = match object.remove("properties") {
            None => PropertiesBuf::new(),
            Some(Value::Object(mut object)) => properties(&mut object)?,
            Some(_) => return Err(Fault::bad("properties: an object is wanted")),
        };
        nothing_left(object)?;
        Ok(Self {
            topic,
            payload,
            qos: qos(asked as u8),
            retain,
            properties,
        })
    }

    /// Publishes, and waits until the broker has said what it has to say.
    async fn carry_out(
        &self,
        app: &App,
        line: &mut Line,
        arrival: &Arrival,
    ) -> Result<Reason, Fault> {
        if self.qos == QoS::AtMostOnce && !self.is_allowed(app, line, arrival).await? {
            return Ok(Reason::NOT_AUTHORIZED);
        }
        let publish = Publish {
            dup: false,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: (self.qos != QoS::AtMostOnce).then(own_id),
            properties: self.properties.properties(),
            payload: &self.payload,
        };
        let mut bytes = Vec::new();
        publish.encode(VERSION, &mut bytes);
        if self.qos == QoS::AtMostOnce {
            // Its answer comes behind what the message led to.
            Packet::Pingreq.encode(VERSION, &mut bytes);
        }
        line.writer.put(&bytes).await.map_err(broken)?;
        let reason = loop {
            let answer = line.reader.next(|packet| match packet {
                Packet::Pingresp => Some(Reason::SUCCESS),
                Packet::Puback(ack) | Packet::Pubrec(ack) => Some(ack.reason),
                Packet::Disconnect(disconnect) => Some(disconnect.reason),
                _ => None,
            });
            if let Some(reason) = answer.await.map_err(broken)? {
                break reason;
            }
        };
        if self.qos == QoS::ExactlyOnce && !reason.is_error() {
            let mut bytes = Vec::new();
            ack::put_ack(PacketType::Pubrel, own_id(), &mut bytes);
            line.writer.put(&bytes).await.map_err(broken)?;
            let done = |packet: &Packet<'_>| matches!(packet, Packet::Pubcomp(_));
            while !line.reader.next(done).await.map_err(broken)? {}
        }
        Ok(reason)
    }

    /// Nobody answers to QoS 0, so the rules are asked before.
    async fn is_allowed(&self, app: &App, line: &Line, arrival: &Arrival) -> Result<bool, Fault> {
        if self.topic.starts_with("$SYS/") {
            return Ok(false);
        }
        let mount = &arrival.door.endpoint.rules.mount_point;
        let topic: Arc<str> = format!("{mount}{}", self.topic).into();
        let id = Arc::clone(&line.client_id);
        let answers = asking::ask_all(app.workers(), move |worker| {
            worker.broker.client_may_publish(&id, &topic)
        });
        Ok(answers.await?.into_iter().flatten().all(|may| may))
    }
}

/// At most one of the ways to say it.
fn payload(object: &mut Map<String, Value>) -> Result<Vec<u8>, Fault> {
    let plain = text(object, "payload")?.map(String::into_bytes);
    let json = object
        .remove("payload_json")
        .map(|json| json.to_string().into_bytes());
    let base64 = decoded(object, "payload_base64")?;
    let mut given = [plain, json, base64].into_iter().flatten();
    let first = given.next().unwrap_or_default();
    match given.next() {
        None => Ok(first),
        Some(_) => Err(Fault::bad(
            "one of payload, payload_json and payload_base64 is wanted",
        )),
    }
}

fn properties(object: &mut Map<String, Value>) -> Result<PropertiesBuf, Fault> {
    use crate::mqtt::property::Value as Given;
    let mut all = PropertiesBuf::new();
    match object.remove("payload_format_utf8") {
        None => {}
        Some(Value::Bool(utf8)) => {
            all.push(
                PropertyId::PayloadFormatIndicator,
                Given::Byte(u8::from(utf8)),
            );
        }
        Some(_) => return Err(Fault::bad("payload_format_utf8: true or false is wanted")),
    }
    if let Some(seconds) = object.remove("message_expiry_s") {
        let seconds = whole(&seconds).and_then(|seconds| u32::try_from(seconds).ok());
        let what = "message_expiry_s: a number of seconds is wanted";
        let seconds = seconds.ok_or_else(|| Fault::bad(what))?;
        all.push(PropertyId::MessageExpiryInterval, Given::Four(seconds));
    }
    if let Some(kind) = text(object, "content_type")? {
        all.push(PropertyId::ContentType, Given::String(&kind));
    }
    if let Some(topic) = text(object, "response_topic")? {
        topic::check_name(&topic).map_err(|what| Fault::bad(format!("response_topic: {what}")))?;
        all.push(PropertyId::ResponseTopic, Given::String(&topic));
    }
    if let Some(data) = decoded(object, "correlation_data_base64")? {
        if data.len() > TEXT_MAX {
            return Err(Fault::bad("correlation_data_base64: it is too long"));
        }
        all.push(PropertyId::CorrelationData, Given::Binary(&data));
    }
    if let Some(pairs) = object.remove("user_properties") {
        let what = "user_properties: a list of pairs of texts is wanted";
        let pairs = pairs
            .as_array()
            .filter(|pairs| pairs.len() <= USER_PROPERTIES_MAX);
        for pair in pairs.ok_or_else(|| Fault::bad(what))? {
            let pair = pair.as_array().map(Vec::as_slice);
            let Some([Value::String(name), Value::String(value)]) = pair else {
                return Err(Fault::bad(what));
            };
            checked(name, "user_properties")?;
            checked(value, "user_properties")?;
            all.push(PropertyId::UserProperty, Given::Pair(name, value));
        }
    }
    nothing_left(object)?;
    Ok(all)
}

/// A number without a fraction: for JSON, 1.0 is one.
fn whole(number: &Value) -> Option<u64> {
    let float = || {
        let number = number.as_f64()?;
        let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        is_whole.then_some(number as u64)
    };
    number.as_u64().or_else(float)
}

/// Bytes of a text in a packet.
const TEXT_MAX: usize = crate::mqtt::limits::STRING_MAX;

fn text(object: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Fault> {
    match object.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) if name == "payload" => Ok(Some(text)),
        Some(Value::String(text)) => {
            checked(&text, name)?;
            Ok(Some(text))
        }
        Some(_) => Err(Fault::bad(format!("{name}: a text is wanted"))),
    }
}

/// What a packet can carry as text.
fn checked(text: &str, name: &str) -> Result<(), Fault> {
    match text.len() <= TEXT_MAX && !text.contains('\0') {
        true => Ok(()),
        false => Err(Fault::bad(format!(
            "{name}: it is too long, or has a zero in it"
        ))),
    }
}

fn decoded(object: &mut Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    let wanted = || Fault::bad(format!("{name}: base64 is wanted"));
    match object.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => {
            let bytes = BASE64_STANDARD.decode(text).map_err(|_| wanted())?;
            Ok(Some(bytes))
        }
        Some(_) => Err(wanted()),
    }
}

fn nothing_left(object: &Map<String, Value>) -> Result<(), Fault> {
    match object.keys().next() {
        None => Ok(()),
        Some(name) => Err(Fault::bad(format!("nothing is called {name:?} here"))),
    }
}
