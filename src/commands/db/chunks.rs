//! The chunks of a mosquitto.db as mosquitto_db_dump prints them, as text and as JSON.

use std::fmt::Write as _;

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::daemon::store::mosquitto_db::{Base, Chunk, Client, ClientMsg, Db, Sub, What};
use crate::mqtt::property::{Properties, PropertyId, Value as Held};

/// Longer payloads are not printed.
const PAYLOAD_SHOWN_MAX: usize = 255;

/// All of it as text; with a fault, what comes before it, and the fault.
pub(crate) fn render(db: &Db<'_>) -> Result<String, (String, String)> {
    let mut out = format!(
        "Mosquitto DB dump\nCRC: {}\nDB version: {}\n",
        db.crc, db.version
    );
    for chunk in db.chunks() {
        match chunk {
            Ok(Chunk { length, what }) => put(length, &what, &mut out),
            Err(fault) => return Err((out, fault.to_string())),
        }
    }
    Ok(out)
}

fn put(length: u32, what: &What<'_>, out: &mut String) {
    let mut head = |name: &str| {
        let _ = write!(out, "DB_CHUNK_{name}:\n\tLength: {length}\n");
    };
    let _ = match what {
        What::Cfg(cfg) => {
            head("CFG");
            write!(
                out,
                "\tShutdown: {}\n\tDB ID size: {}\n\tLast DB ID: {}\n",
                cfg.shutdown, cfg.dbid_size, cfg.last_db_id
            )
        }
        What::Base(base) => {
            head("BASE_MSG");
            put_base(base, out);
            Ok(())
        }
        What::ClientMsg(message) => {
            head("CLIENT_MSG");
            put_client_msg(message, out);
            Ok(())
        }
        What::Retain(number) => {
            head("RETAIN");
            writeln!(out, "\tStore ID: {number}")
        }
        What::Sub(sub) => {
            head("SUB");
            write!(
                out,
                "\tClient ID: {}\n\tTopic: {}\n\tQoS: {}\n\tSubscription ID: {}\n\tOptions: 0x{:02X}\n",
                sub.client_id, sub.topic, sub.qos, sub.identifier, sub.options
            )
        }
        What::Client(client) => {
            head("CLIENT");
            put_client(client, out);
            Ok(())
        }
        What::Unknown(_) => Ok(()),
    };
}

fn put_client(client: &Client<'_>, out: &mut String) {
    let _ = writeln!(out, "\tClient ID: {}", client.client_id);
    if !client.username.is_empty() {
        let _ = writeln!(out, "\tUsername: {}", client.username);
    }
    if client.listener_port > 0 {
        let _ = writeln!(out, "\tListener port: {}", client.listener_port);
    }
    let _ = write!(
        out,
        "\tLast MID: {}\n\tSession expiry time: {}\n\tSession expiry interval: {}\n",
        client.last_mid, client.session_expiry_time, client.session_expiry_interval
    );
}

fn put_client_msg(of: &ClientMsg<'_>, out: &mut String) {
    let _ = write!(
        out,
        "\tClient ID: {}\n\tStore ID: {}\n\tMID: {}\n\tQoS: {}\n\tRetain: {}\n\tDirection: {}\n\
         \tState: {}\n\tDup: {}\n",
        of.client_id, of.store_id, of.mid, of.qos, of.retain, of.direction, of.state, of.dup
    );
    if of.subscription_id != 0 {
        let _ = writeln!(out, "\tSubscription identifier: {}", of.subscription_id);
    }
}

fn put_base(base: &Base<'_>, out: &mut String) {
    let _ = write!(
        out,
        "\tStore ID: {}\n\tSource Port: {}\n\tSource MID: {}\n\tTopic: {}\n\tQoS: {}\n\tRetain: {}\n\
         \tPayload Length: {}\n\tExpiry Time: {}\n",
        base.store_id,
        base.source_port,
        base.source_mid,
        base.topic,
        base.qos,
        base.retain,
        base.payload.len(),
        base.expiry_time
    );
    if base.payload.len() <= PAYLOAD_SHOWN_MAX
        && let Ok(text) = std::str::from_utf8(base.payload)
    {
        let _ = writeln!(out, "\tPayload: {text}");
    }
    let Ok(properties) = Properties::restored(base.properties) else {
        return;
    };
    if !properties.is_empty() {
        out.push_str("\tProperties:\n");
    }
    for (id, held) in properties.iter() {
        let line = match (id, held) {
            (PropertyId::PayloadFormatIndicator, Held::Byte(value)) => {
                format!("Payload format indicator: {value}")
            }
            (PropertyId::ContentType, Held::String(value)) => format!("Content type: {value}"),
            (PropertyId::ResponseTopic, Held::String(value)) => format!("Response topic: {value}"),
            (PropertyId::CorrelationData, Held::Binary(value)) => {
                let digits: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
                format!("Correlation data: {digits}")
            }
            (PropertyId::UserProperty, Held::Pair(name, value)) => {
                format!("User property: {name} , {value}")
            }
            (id, _) => format!("Invalid property type: {}", id as u8),
        };
        let _ = writeln!(out, "\t\t{line}");
    }
}

/// All of it as JSON.
pub(crate) fn render_json(db: &Db<'_>) -> Result<String, String> {
    let kinds = [
        "base-messages",
        "clients",
        "client-messages",
        "retained-messages",
        "subscriptions",
    ];
    let mut arrays: [Vec<Value>; 5] = Default::default();
    for chunk in db.chunks() {
        let chunk = chunk.map_err(|fault| fault.to_string())?;
        match chunk.what {
            What::Base(base) => arrays[0].push(json_base(&base)),
            What::Client(client) => arrays[1].push(json_client(&client)),
            What::ClientMsg(of) => arrays[2].push(json!({
                "clientid": of.client_id, "storeid": of.store_id, "mid": of.mid, "qos": of.qos,
                "state": of.state, "retain-dup": of.retain << 4 | of.dup, "direction": of.direction,
                "subscription-identifier": of.subscription_id,
            })),
            What::Retain(number) => arrays[3].push(json!({ "storeid": number })),
            What::Sub(sub) => arrays[4].push(json_sub(&sub)),
            What::Cfg(_) | What::Unknown(_) => {}
        }
    }
    let arrays = arrays.into_iter().map(Value::from);
    let tree: Map<String, Value> = kinds.into_iter().map(str::to_owned).zip(arrays).collect();
    Ok(format!("{:#}\n", Value::from(tree)))
}

fn json_base(base: &Base<'_>) -> Value {
    let mut object = json!({
        "storeid": base.store_id, "expiry-time": base.expiry_time, "source-mid": base.source_mid,
        "source-port": base.source_port, "qos": base.qos, "retain": base.retain, "topic": base.topic,
    });
    if !base.source_id.is_empty() {
        object["clientid"] = base.source_id.into();
    }
    if !base.source_username.is_empty() {
        object["username"] = base.source_username.into();
    }
    if !base.payload.is_empty() {
        let payload = base64::prelude::BASE64_STANDARD.encode(base.payload);
        object["payload"] = payload.into();
    }
    object
}

fn json_client(client: &Client<'_>) -> Value {
    let mut object = json!({ "clientid": client.client_id });
    if !client.username.is_empty() {
        object["username"] = client.username.into();
    }
    object["session-expiry-time"] = client.session_expiry_time.into();
    object["session-expiry-interval"] = client.session_expiry_interval.into();
    object["last-mid"] = client.last_mid.into();
    object["listener-port"] = client.listener_port.into();
    object
}

fn json_sub(sub: &Sub<'_>) -> Value {
    json!({
        "clientid": sub.client_id, "topic": sub.topic, "qos": sub.qos, "options": sub.options,
        "identifier": sub.identifier,
    })
}
