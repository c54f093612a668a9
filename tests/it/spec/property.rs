//! The 27 properties of MQTT 5.0 as the scripts write them, read from §2.2.2.2 of the standard.
//!
//! This table is a second one on purpose: it is independent of `mqttx::mqtt::property`, so that a slip in
//! either shows as a difference between the two.

/// How a property's value travels (§1.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Byte,
    Two,
    Four,
    Variable,
    String,
    Pair,
    Binary,
}

/// One row: identifier, name in the scripts, form, and the packets (upper nibble of the first byte)
/// a server may send it in.
pub(crate) struct Row {
    pub(crate) id: u8,
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) from_server: &'static [u8],
}

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const DISCONNECT: u8 = 14;
const AUTH: u8 = 15;
/// CONNACK, the four acknowledgements, SUBACK, UNSUBACK, DISCONNECT, AUTH.
const REASONED: &[u8] = &[2, 4, 5, 6, 7, 9, 11, 14, 15];
const ANYWHERE: &[u8] = &[2, 3, 4, 5, 6, 7, 9, 11, 14, 15];

const fn row(id: u8, name: &'static str, form: Form, from_server: &'static [u8]) -> Row {
    Row {
        id,
        name,
        form,
        from_server,
    }
}

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row(0x01, "payload-format-indicator", Form::Byte, &[PUBLISH]),
    row(0x02, "message-expiry-interval", Form::Four, &[PUBLISH]),
    row(0x03, "content-type", Form::String, &[PUBLISH]),
    row(0x08, "response-topic", Form::String, &[PUBLISH]),
    row(0x09, "correlation-data", Form::Binary, &[PUBLISH]),
    row(0x0b, "subscription-identifier", Form::Variable, &[PUBLISH]),
    row(0x11, "session-expiry-interval", Form::Four, &[CONNACK]),
    row(0x12, "assigned-client-identifier", Form::String, &[CONNACK]),
    row(0x13, "server-keep-alive", Form::Two, &[CONNACK]),
    row(0x15, "authentication-method", Form::String, &[CONNACK, AUTH]),
    row(0x16, "authentication-data", Form::Binary, &[CONNACK, AUTH]),
    row(0x17, "request-problem-information", Form::Byte, &[]),
    row(0x18, "will-delay-interval", Form::Four, &[]),
    row(0x19, "request-response-information", Form::Byte, &[]),
    row(0x1a, "response-information", Form::String, &[CONNACK]),
    row(0x1c, "server-reference", Form::String, &[CONNACK, DISCONNECT]),
    row(0x1f, "reason-string", Form::String, REASONED),
    row(0x21, "receive-maximum", Form::Two, &[CONNACK]),
    row(0x22, "topic-alias-maximum", Form::Two, &[CONNACK]),
    row(0x23, "topic-alias", Form::Two, &[PUBLISH]),
    row(0x24, "maximum-qos", Form::Byte, &[CONNACK]),
    row(0x25, "retain-available", Form::Byte, &[CONNACK]),
    row(0x26, "user-property", Form::Pair, ANYWHERE),
    row(0x27, "maximum-packet-size", Form::Four, &[CONNACK]),
    row(0x28, "wildcard-subscription-available", Form::Byte, &[CONNACK]),
    row(0x29, "subscription-identifier-available", Form::Byte, &[CONNACK]),
    row(0x2a, "shared-subscription-available", Form::Byte, &[CONNACK]),
];

pub(crate) fn by_name(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

pub(crate) fn by_id(id: u8) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.id == id)
}
