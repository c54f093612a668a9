//! Lines in our own words: who came, who went and why. Text of clients stands in quotes, with its
//! control characters escaped.

use std::fmt::Write as _;

use crate::broker::Cause;
use crate::broker::Event;
use crate::broker::What;
use crate::daemon::Listening;
use crate::daemon::conf::{Conf, Endpoint};
use crate::daemon::socket::From;
use crate::mqtt::Reason;

/// The first lines.
pub(crate) fn banner(conf: &Conf, listening: &[Listening], workers: usize) -> [String; 2] {
    let list: Vec<String> = listening
        .iter()
        .map(|one| match one.protocol {
            "mqtt" => one.place.to_string(),
            protocol => format!("{} ({protocol})", one.place),
        })
        .collect();
    let threads = match workers {
        1 => "1 worker".to_owned(),
        _ => format!("{workers} workers"),
    };
    let local = !conf.listeners.iter().any(Endpoint::is_open);
    let who = match (conf.anonymous, conf.has_users(), local) {
        (true, _, true) => "anonymous clients from this machine only are allowed",
        (true, false, false) => "anonymous clients from everywhere are allowed",
        (true, true, false) => "anonymous clients and users with a password are allowed",
        (false, ..) => "users with a password are allowed, anonymous clients are not",
    };
    let version = env!("CARGO_PKG_VERSION");
    [
        format!(
            "mqttx {version} broker: MQTT 3.1, 3.1.1 and 5.0 on {} ({threads})",
            list.join(", ")
        ),
        who.to_owned(),
    ]
}

/// What fail2ban may look for.
pub(crate) const HELD_BACK: &str = "held back: it publishes more than the rate limits allow";

/// The line of an event.
pub(crate) fn render(address: Option<From>, event: &Event) -> String {
    let mut line = String::new();
    let who = match (&*event.client_id, address) {
        ("", Some(address)) => format!("{address}"),
        (id, Some(address)) => format!("{id:?} {address}"),
        (id, None) => format!("{id:?}"),
    };
    let _ = match &event.what {
        What::Connected {
            version,
            clean_start,
            keep_alive,
            user_name,
            session_present,
            ..
        } => {
            let user = user_name.as_ref().map(|name| format!(", user {name:?}"));
            let session = match (clean_start, session_present) {
                (_, true) => "resumed",
                (true, false) => "clean",
                (false, false) => "new",
            };
            write!(
                line,
                "{who} connected: MQTT {version}, {session} session, keep alive {keep_alive} s{}",
                user.unwrap_or_default()
            )
        }
        What::Closed(cause) => write!(line, "{who} {}", render_cause(cause)),
        What::Denied(denied) => write!(
            line,
            "Denied PUBLISH from {who} (d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
            u8::from(denied.dup),
            denied.qos.bits(),
            u8::from(denied.retain),
            denied.packet_id,
            denied.topic,
            denied.payload
        ),
        What::Subscribed { filter, reason } if *reason < 0x80 => {
            write!(line, "{who} subscribed to {filter:?} at QoS {reason}")
        }
        What::Subscribed { filter, reason } => {
            write!(
                line,
                "{who} may not subscribe to {filter:?}: {}",
                Reason(*reason).name()
            )
        }
        What::HeldBack => write!(line, "{who} {HELD_BACK}"),
        What::Expired => write!(line, "{who} expired: its session is over"),
        What::Packet { .. } => Ok(()),
        What::Unsubscribed { filter } => write!(line, "{who} unsubscribed from {filter:?}"),
        What::Published {
            topic,
            qos,
            retain,
            payload,
        } => {
            let retain = if *retain { ", retained" } else { "" };
            write!(
                line,
                "{who} published {payload} bytes to {topic:?} at QoS {}{retain}",
                qos.bits()
            )
        }
    };
    line
}

pub(crate) fn render_cause(cause: &Cause) -> String {
    match cause {
        Cause::Disconnected(reason) if reason.is_error() || reason.value() > 0 => {
            format!("disconnected: {} (0x{:02x})", reason.name(), reason.value())
        }
        Cause::Disconnected(_) => "disconnected".to_owned(),
        Cause::Lost => "lost: the connection was closed without DISCONNECT".to_owned(),
        Cause::KeepAlive => "closed: silent for longer than its keep alive allows".to_owned(),
        Cause::NoConnect => "closed: no CONNECT came in time".to_owned(),
        Cause::Violation(reason, what) => {
            format!(
                "closed: {what} ({}, 0x{:02x})",
                reason.name(),
                reason.value()
            )
        }
        Cause::Refused(reason, what) => {
            format!(
                "refused: {what} ({}, 0x{:02x})",
                reason.name(),
                reason.value()
            )
        }
        Cause::TakenOver => "closed: a new connection took its session over".to_owned(),
        Cause::ShuttingDown => "closed: the broker stops".to_owned(),
        Cause::Dropped(reason, what) => {
            format!(
                "dropped: {what} ({}, 0x{:02x})",
                reason.name(),
                reason.value()
            )
        }
    }
}
