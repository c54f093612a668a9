//! Lines for programs: one JSON object each, with the time, the level, what happened, to whom, and
//! the sentence a person would read.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::broker::Cause;
use crate::broker::Event;
use crate::broker::What;
use crate::daemon::conf::log_words::LogType;
use crate::daemon::log::own;
use crate::daemon::socket::From;

/// A line that is about no client.
pub(crate) fn plain(kind: LogType, text: &str) -> String {
    let mut object = start(kind);
    object.insert("message".to_owned(), text.into());
    Value::Object(object).to_string()
}

/// The line of an event; none of packets, whose messages are told of with `published`.
pub(crate) fn render(kind: LogType, address: Option<From>, event: &Event) -> Option<String> {
    let mut object = start(kind);
    let fields = fields(&event.what)?;
    object.insert("event".to_owned(), name(&event.what).into());
    if !event.client_id.is_empty() {
        object.insert("client".to_owned(), Value::from(&*event.client_id));
    }
    if let Some(address) = address {
        object.insert("address".to_owned(), address.to_string().into());
    }
    object.extend(fields);
    let sentence = own::render(address, event);
    object.insert("message".to_owned(), sentence.into());
    Some(Value::Object(object).to_string())
}

fn start(kind: LogType) -> Map<String, Value> {
    let level = match kind {
        LogType::Error => "error",
        LogType::Warning => "warning",
        LogType::Notice => "notice",
        LogType::Information => "information",
        LogType::Subscribe => "subscribe",
        LogType::Unsubscribe => "unsubscribe",
        LogType::Websockets => "websockets",
        LogType::Debug => "debug",
        LogType::Internal => "internal",
    };
    let mut object = Map::new();
    let time = jiff::Timestamp::now();
    object.insert("time".to_owned(), format!("{time:.3}").into());
    object.insert("level".to_owned(), level.into());
    object
}

fn name(what: &What) -> &'static str {
    match what {
        What::Connected { .. } => "connected",
        What::Closed(_) => "disconnected",
        What::Expired => "expired",
        What::Denied(_) => "denied",
        What::HeldBack => "held_back",
        What::Subscribed { .. } => "subscribed",
        What::Unsubscribed { .. } => "unsubscribed",
        What::Published { .. } => "published",
        What::Packet { .. } => "packet",
    }
}

fn fields(what: &What) -> Option<Map<String, Value>> {
    let fields = match what {
        What::Connected {
            version,
            clean_start,
            keep_alive,
            user_name,
            session_present,
            bridge,
        } => json!({
            "version": version.to_string(),
            "clean_start": clean_start,
            "keep_alive": keep_alive,
            "user": user_name,
            "session_present": session_present,
            "bridge": bridge,
        }),
        What::Closed(cause) => {
            let reason = match cause {
                Cause::Disconnected(reason)
                | Cause::Violation(reason, _)
                | Cause::Refused(reason, _)
                | Cause::Dropped(reason, _) => Some(reason.value()),
                _ => None,
            };
            json!({ "reason_code": reason, "clean": matches!(cause, Cause::Disconnected(_)) })
        }
        What::Expired | What::HeldBack => json!({}),
        What::Denied(denied) => json!({
            "topic": denied.topic,
            "qos": denied.qos.bits(),
            "retain": denied.retain,
            "payload_bytes": denied.payload,
        }),
        What::Subscribed { filter, reason } => json!({ "filter": filter, "reason_code": reason }),
        What::Unsubscribed { filter } => json!({ "filter": filter }),
        What::Published {
            topic,
            qos,
            retain,
            payload,
        } => json!({
            "topic": topic,
            "qos": qos.bits(),
            "retain": retain,
            "payload_bytes": payload,
        }),
        What::Packet { .. } => return None,
    };
    match fields {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}
