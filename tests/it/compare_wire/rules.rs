//! How mosquitto 2.0.11 or 2.1.2 differs from mqttx, and the reason.

use crate::compare_wire::{Row, Seen, properties};

/// One difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// The library's sentences end without a full stop in 2.1.
    NoFullStop,
    /// An empty Client Identifier is told as `null`, not `(null)`.
    Null,
    /// JSON of 2.1: booleans, times without a stray Z, user properties in an array.
    Json,
    /// mosquitto_rr just closes; a Will would be published. mqttx says good-bye.
    Goodbye,
    /// mqttx counts what it did not deliver.
    Counted,
    /// The same, once the handshake of its request is through.
    HandshakeFirst,
    /// mosquitto_rr has options of a Subscription since 2.1.
    RequestOptions,
    /// mosquitto cuts a line at a zero byte, and loses what follows.
    WholeLines,
    /// The same where that takes properties.
    GoodbyeWithProperties,
    /// 2.0 sends a topic alias that the broker has not offered.
    AliasNotOffered,
    /// mosquitto closes with something unread while its DISCONNECT is on the way, which arrives at times.
    GoodbyeAtTimes,
    /// A QoS 2 message is printed when it came, not when its handshake ended.
    PrintedEarly,
    /// `%x` of 2.1 cuts by bytes, not by digits.
    WholeBytes,
    /// 2.1 says DISCONNECT to a broker that has refused it, or has welcomed it in a way nobody may.
    NoWordAfterRefusal,
    /// mosquitto_sub of 2.1 says good-bye twice when what it has asked for is answered in two packets.
    PartsOnce,
    /// mosquitto_rr of 2.1 reads the return codes of version 3 as Reason Codes of version 5.
    ReturnCodes,
    /// mosquitto_pub hangs up where its message is too large for the broker, and does not say why.
    TooLargeIsTold,
}

impl Rule {
    /// Whether there is something to turn depends on which end closes first.
    pub(super) fn is_at_times(self) -> bool {
        matches!(
            self,
            Self::GoodbyeAtTimes | Self::NoWordAfterRefusal | Self::PartsOnce
        )
    }
}

/// What 2.1 does as mqttx does it.
pub(super) const OF_2_0: [Rule; 5] = [
    Rule::NoFullStop,
    Rule::Null,
    Rule::Json,
    Rule::RequestOptions,
    Rule::WholeBytes,
];

const RETURN_CODES: [&str; 7] = [
    "",
    "unacceptable protocol version",
    "identifier rejected",
    "broker unavailable",
    "bad user name or password",
    "not authorised",
    "unknown reason",
];

/// Turns what mosquitto did into what mqttx must do.
pub(super) fn apply(rule: Rule, seen: &mut Seen, row: &Row) {
    turn_frames(rule, seen, row);
    let (mut out, mut err) = (seen.left.out(), seen.left.err());
    turn_words(rule, &mut out, &mut err, row);
    seen.left.stdout = out.into_bytes();
    seen.left.stderr = err.into_bytes();
}

fn turn_frames(rule: Rule, seen: &mut Seen, row: &Row) {
    match rule {
        Rule::Goodbye => seen.frames.push(vec![0xe0, 0]),
        Rule::GoodbyeWithProperties => seen.frames.push(properties::PARTING.to_vec()),
        Rule::RequestOptions => *seen.frames[1].last_mut().unwrap() |= request_option(row),
        Rule::WholeLines => {
            let lines = [&b"0\x06\x00\x01aa\x00b"[..], b"0\x04\x00\x01ac"];
            seen.frames.splice(1..2, lines.map(<[u8]>::to_vec));
        }
        Rule::AliasNotOffered => {
            seen.left.status = 1;
            seen.frames.remove(1);
        }
        Rule::GoodbyeAtTimes => {
            seen.frames.retain(|frame| *frame != [0xe0, 0]);
            seen.frames.push(vec![0xe0, 0]);
        }
        Rule::NoWordAfterRefusal => seen.frames.truncate(1),
        _ => {}
    }
}

/// That mosquitto_rr of 2.0 does not know.
fn request_option(row: &Row) -> u8 {
    match row.words.contains(" -R") {
        true => 0x20,
        false => 0x08,
    }
}

fn turn_words(rule: Rule, out: &mut String, err: &mut String, row: &Row) {
    let goodbye = "Client c sending DISCONNECT\n";
    let is_traced = || {
        row.words
            .split(' ')
            .any(|word| word == "-d" || word == "--debug")
    };
    match rule {
        Rule::NoFullStop => {
            *err = err.replace(".\n", "\n");
            *err = err.replace("v3.x mode\n", "v3.x mode.\n");
        }
        Rule::Null => {
            *out = out.replace("(null)", "null");
            *out = out.replace("null received CONNACK", "(null) received CONNACK");
        }
        Rule::Json => {
            *out = out.replace("Z+9999", "+9999");
            *out = out.replace("\"retain\":0", "\"retain\":false");
            *out = out.replace("\"retain\":\t0", "\"retain\":\tfalse");
            let (object, array) = ("{\"k\":\"v\"}", "[{\"k\":\"v\"}]");
            *out = out.replace(object, array);
        }
        Rule::Goodbye if is_traced() => out.push_str(goodbye),
        Rule::Counted => err.push_str("Error: 1 message was not delivered.\n"),
        Rule::HandshakeFirst => out.push_str("Client c received PUBCOMP (Mid: 2, RC:0)\n"),
        Rule::RequestOptions => {
            let told = format!("Options: 0x{:02x}", request_option(row));
            *out = out.replace("Options: 0x00", &told);
        }
        Rule::AliasNotOffered => err.push_str("Error: the broker does not take this topic alias\n"),
        Rule::PrintedEarly => {
            let lines: Vec<&str> = out.lines().filter(|line| *line != "a/b one").collect();
            *out = lines.join("\n") + "\n";
            let answered = "sending PUBREC (m1, rc0)\n";
            *out = out.replace(answered, &format!("{answered}a/b one\n"));
        }
        Rule::NoWordAfterRefusal => *out = out.replace(goodbye, ""),
        Rule::PartsOnce => *out = out.replace(&goodbye.repeat(2), goodbye),
        Rule::ReturnCodes => {
            let name = RETURN_CODES[usize::from(row.broker.connack)];
            *err = format!("Connection error: Connection Refused: {name}\n");
        }
        Rule::TooLargeIsTold => err.insert_str(0, "Error: Message payload is too large.\n"),
        Rule::WholeBytes => *out = out.replace("[6f]", "[6f6e]"),
        _ => {}
    }
}
