//! Lines as mosquitto 2.1 writes them: the shapes that log watchers and scripts know.

use crate::broker::Cause;
use crate::broker::Event;
use crate::broker::What;
use crate::daemon::log::own;
use crate::daemon::log::{escaped, packets};
use crate::daemon::socket::From;
use crate::mqtt::Reason;
use crate::mqtt::Version;

/// An address without the brackets around one of IPv6.
pub(crate) fn address(from: &From) -> String {
    from.to_string().replace(['[', ']'], "")
}

/// No more connections are taken.
pub(crate) fn full(from: &From) -> String {
    let from = address(from);
    format!("Client connection from {from} denied: max_connections exceeded.")
}

/// The lines of an event: none, one, or one for each part of a packet.
pub(crate) fn render(from: Option<From>, event: &Event) -> Vec<String> {
    let from = from.as_ref().map(address).unwrap_or_default();
    let id = match &*event.client_id {
        // Who has no name yet goes by the address.
        "" => from
            .rsplit_once(':')
            .map_or(&*from, |(host, _)| host)
            .to_owned(),
        id => escaped(id),
    };
    match &event.what {
        What::Connected {
            version,
            clean_start,
            keep_alive,
            user_name,
            bridge,
            ..
        } => {
            let kind = if *bridge { "bridge" } else { "client" };
            let version = match version {
                Version::V31 => 3,
                Version::V311 => 4,
                Version::V5 => 5,
            };
            let user = user_name.as_ref();
            let user = user.map_or_else(String::new, |name| format!(", u'{}'", escaped(name)));
            let clean = u8::from(*clean_start);
            vec![format!(
                "New {kind} connected from {from} as {id} (p{version}, c{clean}, k{keep_alive}{user})."
            )]
        }
        What::Closed(Cause::Disconnected(_)) => vec![format!("Client {id} [{from}] disconnected.")],
        // Its own last line says so for all.
        What::Closed(Cause::ShuttingDown) => Vec::new(),
        What::Closed(cause) => vec![format!(
            "Client {id} [{from}] disconnected: {}",
            sentence(cause)
        )],
        What::Expired => vec![format!("Expiring client {id} due to timeout.")],
        What::HeldBack => vec![format!("Client {id} [{from}] {}.", own::HELD_BACK)],
        What::Denied(denied) => vec![format!(
            "Denied PUBLISH from {id} (d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
            u8::from(denied.dup),
            denied.qos.bits(),
            u8::from(denied.retain),
            denied.packet_id,
            escaped(&denied.topic),
            denied.payload
        )],
        What::Subscribed { filter, reason } => vec![format!("{id} {reason} {}", escaped(filter))],
        What::Unsubscribed { filter } => vec![format!("{id} {}", escaped(filter))],
        // Its packet has a line.
        What::Published { .. } => Vec::new(),
        What::Packet {
            sent,
            version,
            frame,
        } => packets::render(&id, *sent, *version, frame),
    }
}

/// Events between that of a packet and that of its being denied, at most.
const NEAR: usize = 2;

/// Whether this event of several is a PUBLISH that another line tells of as denied.
pub(crate) fn is_retold(events: &[Event], at: usize) -> bool {
    if !matches!(events[at].what, What::Packet { sent: false, .. }) {
        return false;
    }
    let about = |event: &Event, word: &str| {
        let line = render(None, event).pop();
        line.and_then(|line| Some(line.strip_prefix(word)?.to_owned()))
    };
    let told = about(&events[at], "Received");
    let mut beside = events[at.saturating_sub(NEAR)..].iter().take(2 * NEAR + 1);
    let is_it = |event: &Event| {
        matches!(event.what, What::Denied(_))
            && event.connection == events[at].connection
            && about(event, "Denied") == told
    };
    told.is_some() && beside.any(is_it)
}

fn sentence(cause: &Cause) -> &'static str {
    let reason = match cause {
        Cause::Disconnected(_) | Cause::Lost => return "connection closed by client.",
        Cause::KeepAlive | Cause::NoConnect => return "exceeded timeout.",
        Cause::TakenOver => return "session taken over.",
        Cause::ShuttingDown => return "administrative action.",
        Cause::Violation(reason, _) | Cause::Refused(reason, _) | Cause::Dropped(reason, _) => {
            *reason
        }
    };
    match reason {
        Reason::MALFORMED_PACKET => "malformed packet.",
        Reason::PROTOCOL_ERROR => "protocol error.",
        Reason::NOT_AUTHORIZED => "not authorised.",
        Reason::BAD_USER_NAME_OR_PASSWORD => "bad username or password.",
        Reason::PACKET_TOO_LARGE => "oversize packet.",
        Reason::SESSION_TAKEN_OVER => "session taken over.",
        Reason::ADMINISTRATIVE_ACTION => "administrative action.",
        Reason::RECEIVE_MAXIMUM_EXCEEDED => "receive maximum exceeded.",
        Reason::TOPIC_ALIAS_INVALID => "topic alias invalid.",
        Reason::QUOTA_EXCEEDED => "quota exceeded.",
        Reason::SERVER_BUSY => "server busy.",
        Reason::QOS_NOT_SUPPORTED
        | Reason::RETAIN_NOT_SUPPORTED
        | Reason::BAD_AUTHENTICATION_METHOD => {
            "used disallowed feature (QoS too high, retain not supported, or bad AUTH method)."
        }
        _ => "protocol error.",
    }
}
