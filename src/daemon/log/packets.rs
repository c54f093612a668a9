//! Packets in words, as mosquitto's debug log has them: one line each, or several for the filters
//! of a SUBSCRIBE.

use crate::daemon::log::escaped;
use crate::mqtt::Packet;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::ack::Ack;
use crate::mqtt::publish::Publish;

/// Topics of lines; a line about one would make the next.
const LOG_TOPICS: &str = "$SYS/broker/log/";

pub(crate) fn render(id: &str, sent: bool, version: Version, frame: &[u8]) -> Vec<String> {
    let Ok(packet) = Packet::decode(frame, version) else {
        return Vec::new();
    };
    let way = |name: &str| match sent {
        true => format!("Sending {name} to {id}"),
        false => format!("Received {name} from {id}"),
    };
    match packet {
        Packet::Publish(publish) if publish.topic.starts_with(LOG_TOPICS) => Vec::new(),
        Packet::Publish(publish) => vec![format!("{} {}", way("PUBLISH"), about(&publish))],
        Packet::Connect(connect) if connect.will.is_none() => {
            vec!["No will message specified.".to_owned()]
        }
        Packet::Connect(connect) => {
            let will = connect.will.as_ref();
            will.map_or_else(Vec::new, |will| {
                let (bytes, qos) = (will.payload.len(), will.qos.bits());
                let (retain, topic) = (u8::from(will.retain), escaped(will.topic));
                vec![
                    format!("Will message specified ({bytes} bytes) (r{retain}, q{qos})."),
                    format!("\t{topic}"),
                ]
            })
        }
        Packet::Connack(connack) => {
            let (present, reason) = (u8::from(connack.session_present), connack.reason.value());
            vec![format!("{} ({present}, {reason})", way("CONNACK"))]
        }
        Packet::Puback(ack) => vec![acknowledged(&way("PUBACK"), sent, &ack)],
        Packet::Pubrec(ack) if sent => vec![acknowledged(&way("PUBREC"), sent, &ack)],
        Packet::Pubrec(ack) => vec![named(&way("PUBREC"), sent, &ack)],
        Packet::Pubrel(ack) => vec![named(&way("PUBREL"), sent, &ack)],
        Packet::Pubcomp(ack) if sent => vec![named(&way("PUBCOMP"), sent, &ack)],
        Packet::Pubcomp(ack) => vec![acknowledged(&way("PUBCOMP"), sent, &ack)],
        Packet::Subscribe(subscribe) => {
            let mut lines = vec![way("SUBSCRIBE")];
            for (filter, options) in subscribe.filters() {
                let qos = options.qos.bits();
                lines.push(format!("\t{} (QoS {qos})", escaped(filter)));
            }
            lines
        }
        Packet::Unsubscribe(unsubscribe) => {
            let mut lines = vec![way("UNSUBSCRIBE")];
            let filters = unsubscribe.filters();
            lines.extend(filters.map(|filter| format!("\t{}", escaped(filter))));
            lines
        }
        Packet::Suback(_) => vec![way("SUBACK")],
        Packet::Unsuback(_) => vec![way("UNSUBACK")],
        Packet::Pingreq => vec![way("PINGREQ")],
        Packet::Pingresp => vec![way("PINGRESP")],
        Packet::Auth(_) => vec![way("AUTH")],
        // Why is in the line about the connection.
        Packet::Disconnect(_) if sent => Vec::new(),
        Packet::Disconnect(_) => vec![way("DISCONNECT")],
    }
}

fn about(publish: &Publish<'_>) -> String {
    let id = publish.packet_id.map_or(0, |id| id.value());
    format!(
        "(d{}, q{}, r{}, m{id}, '{}', ... ({} bytes))",
        u8::from(publish.dup),
        publish.qos.bits(),
        u8::from(publish.retain),
        escaped(publish.topic),
        publish.payload.len()
    )
}

/// Without its Reason Code.
fn named(way: &str, sent: bool, ack: &Ack<'_>) -> String {
    let id = ack.packet_id.value();
    match sent {
        true => format!("{way} (m{id})"),
        false => format!("{way} (Mid: {id})"),
    }
}

fn acknowledged(way: &str, sent: bool, ack: &Ack<'_>) -> String {
    let id = ack.packet_id.value();
    let Reason(reason) = ack.reason;
    match sent {
        true => format!("{way} (m{id}, rc{reason})"),
        false => format!("{way} (Mid: {id}, RC:{reason})"),
    }
}
