//! What the commands of `$CONTROL/broker/v1` show, as JSON. What is not known or does not apply is
//! left out; times are in seconds.

use serde_json::{Map, Value, json};

use crate::broker::{ClientRow, RetainedRow, Snapshot, SubscriptionRow};
use crate::daemon::conf::{Place, Plugin};
use crate::daemon::listener::Listener;
use crate::mqtt::Version;
use crate::mqtt::subscribe::RetainHandling;

pub(super) fn plugin(plugin: &Plugin) -> Value {
    let mut row = json!({ "name": plugin.name, "version": env!("CARGO_PKG_VERSION") });
    if !plugin.controls.is_empty() {
        row["control-endpoints"] = json!(plugin.controls);
    }
    row
}

pub(super) fn listener(listener: &Listener) -> Value {
    let endpoint = &listener.endpoint;
    let protocol = match &endpoint.websocket {
        Some(_) => "mqtt+websockets",
        None => "mqtt",
    };
    let mut row = Map::new();
    match &listener.place {
        Place::Tcp(address) => {
            row.insert("port".to_owned(), json!(address.port()));
            row.insert("protocol".to_owned(), json!(protocol));
            row.insert("bind-address".to_owned(), json!(address.ip().to_string()));
        }
        Place::Unix(path) => {
            row.insert("port".to_owned(), json!(0));
            row.insert("protocol".to_owned(), json!(protocol));
            let path = path.to_string_lossy();
            row.insert("socket-path".to_owned(), json!(path));
        }
    }
    row.insert("tls".to_owned(), json!(endpoint.tls.is_some()));
    let clients = listener.rules.connections();
    row.insert("connections".to_owned(), json!(clients));
    Value::Object(row)
}

pub(super) fn client(client: &ClientRow, address: Option<String>) -> Value {
    let mut row = json!({
        "clientid": &*client.client_id,
        "connected": client.connection.is_some(),
        "version": version(client.version),
        "subscriptions": client.subscriptions,
        "queued": client.queued,
        "inflight": client.inflight,
        "unreleased": client.unreleased,
        "heldBytes": client.held_bytes,
        // As in the packets: 4294967295 never ends.
        "sessionExpiry": client.session_expiry.unwrap_or(u32::MAX),
    });
    let mut put = |key: &str, value: Value| row[key] = value;
    if let Some(left) = client.expires_in {
        put("expiresIn", json!(left.as_secs()));
    }
    if let Some(topic) = &client.will_topic {
        put("willTopic", json!(topic));
    }
    if let Some(address) = address {
        put("address", json!(address));
    }
    let Some(connection) = &client.connection else {
        return row;
    };
    if let Some(name) = &connection.user_name {
        put("username", json!(name));
    }
    let traffic = &connection.traffic;
    put("cleanStart", json!(connection.clean_start));
    put("keepAlive", json!(connection.keep_alive));
    put("connectedFor", json!(connection.age.as_secs()));
    put("unsentBytes", json!(connection.unsent_bytes));
    put("slow", json!(connection.slow));
    put("messagesReceived", json!(traffic.publish_received));
    put("messagesSent", json!(traffic.publish_sent));
    put("bytesReceived", json!(traffic.bytes_received));
    put("bytesSent", json!(traffic.bytes_sent));
    row
}

fn version(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

pub(super) fn subscription(client_id: &str, held: &SubscriptionRow) -> Value {
    let options = held.options;
    let mut row = json!({
        "clientid": client_id,
        "topic": held.filter,
        "qos": held.qos().bits(),
    });
    if options.no_local {
        row["noLocal"] = json!(true);
    }
    if options.retain_as_published {
        row["retainAsPublished"] = json!(true);
    }
    match options.retain_handling {
        RetainHandling::Send => {}
        RetainHandling::SendIfNew => row["retainHandling"] = json!(1),
        RetainHandling::DoNotSend => row["retainHandling"] = json!(2),
    }
    if held.subscription_id != 0 {
        row["subscriptionId"] = json!(held.subscription_id);
    }
    row
}

pub(super) fn retained(held: &RetainedRow) -> Value {
    let message = &held.message;
    let mut row = json!({
        "topic": message.topic(),
        "bytes": message.payload().len(),
        "qos": message.qos().bits(),
        "age": held.age.as_secs(),
    });
    if let Some(publisher) = &held.publisher {
        row["clientid"] = json!(&**publisher);
    }
    row
}

pub(super) fn stats(snapshot: &Snapshot) -> Value {
    let whole = &snapshot.whole;
    let counters = snapshot.stats.rows();
    let counters: Map<String, Value> = counters
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    json!({
        "connections": snapshot.connections,
        "clients": snapshot.connected,
        "sessions": snapshot.sessions,
        "subscriptions": whole.subscriptions,
        "sharedSubscriptions": whole.shared_subscriptions,
        "retained": whole.retained,
        "retainedBytes": whole.retained_bytes,
        "queued": whole.queued,
        "queuedBytes": whole.queued_bytes,
        "unsent": snapshot.unsent,
        "unsentBytes": snapshot.unsent_bytes,
        "counters": counters,
    })
}
