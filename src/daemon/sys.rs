//! What the broker's own topics say: the tree below `$SYS` as mosquitto 2.1 publishes it, the load
//! averages, and below `$SYS/mqttx` every counter of ours. Pure: figures in, messages out.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;
use std::time::Instant;

use crate::broker::Snapshot;
use crate::broker::Stats;
use crate::mqtt::message::Message;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;
use crate::mqtt::{MOSQUITTO_RELEASE, QoS};

type Counter = fn(&Stats) -> u64;

/// Counters with a load average, by the name of their topics.
const LOADS: [(&str, Counter); 9] = [
    ("messages/received", |stats| stats.packets_received),
    ("messages/sent", Stats::packets_sent),
    ("publish/dropped", Stats::dropped),
    ("publish/received", |stats| stats.publish_received),
    ("publish/sent", |stats| stats.publish_sent),
    ("bytes/received", |stats| stats.bytes_received),
    ("bytes/sent", |stats| stats.bytes_sent),
    ("sockets", |stats| stats.connections_opened),
    ("connections", |stats| stats.sessions_connected),
];

/// Times the averages are over, and what the last part of their topics is.
const MINUTES: [(f64, &str); 3] = [(1.0, "1min"), (5.0, "5min"), (15.0, "15min")];

/// Load averages: what happens in a minute, old minutes fading exponentially.
#[derive(Default)]
pub(crate) struct Loads {
    last: [u64; LOADS.len()],
    averages: [[f64; MINUTES.len()]; LOADS.len()],
}

impl Loads {
    /// `stats` are the counters `passed` after the last update.
    pub(crate) fn update(&mut self, stats: &Stats, passed: Duration) {
        let minutes = passed.as_secs_f64() / 60.0;
        if minutes <= 0.0 {
            return;
        }
        for (row, (_, counter)) in LOADS.iter().enumerate() {
            let count = counter(stats);
            let rate = (count - self.last[row]) as f64 / minutes;
            self.last[row] = count;
            for (average, (span, _)) in self.averages[row].iter_mut().zip(MINUTES) {
                *average = rate + (-minutes / span).exp() * (*average - rate);
            }
        }
    }
}

/// The topics, and what was last said on them.
pub(crate) struct Tree {
    as_mosquitto: bool,
    started: Instant,
    published: HashMap<String, String>,
}

impl Tree {
    /// `as_mosquitto`: with its name, for programs that look.
    pub(crate) fn new(as_mosquitto: bool, started: Instant) -> Self {
        Self {
            as_mosquitto,
            started,
            published: HashMap::new(),
        }
    }

    /// Everything as it is now, for those who have seen nothing yet.
    pub(crate) fn refreshed(
        &mut self,
        snapshot: &Snapshot,
        loads: &Loads,
        now: Instant,
    ) -> Vec<Message> {
        let rows = self.rows(snapshot, loads, now);
        let message = |(topic, text): &(String, String)| message(topic, text, now);
        rows.iter().map(message).collect()
    }

    /// What has another value than at the last call.
    pub(crate) fn changed(
        &mut self,
        snapshot: &Snapshot,
        loads: &Loads,
        now: Instant,
    ) -> Vec<Message> {
        let mut messages = Vec::new();
        for (topic, text) in self.rows(snapshot, loads, now) {
            if self.published.get(&topic) != Some(&text) {
                messages.push(message(&topic, &text, now));
                self.published.insert(topic, text);
            }
        }
        messages
    }

    fn rows(&self, snapshot: &Snapshot, loads: &Loads, now: Instant) -> Vec<(String, String)> {
        let version = match self.as_mosquitto {
            true => format!("mosquitto version {MOSQUITTO_RELEASE}"),
            false => format!("mqttx version {}", env!("CARGO_PKG_VERSION")),
        };
        let uptime = now.saturating_duration_since(self.started).as_secs();
        let mut rows = vec![
            ("$SYS/broker/version".to_owned(), version),
            ("$SYS/broker/uptime".to_owned(), format!("{uptime} seconds")),
        ];
        for (topic, number) in figures(snapshot) {
            rows.push((format!("$SYS/broker/{topic}"), number.to_string()));
        }
        for (topic, bytes) in heap() {
            rows.push((format!("$SYS/broker/{topic}"), bytes.to_string()));
        }
        for ((name, _), averages) in LOADS.iter().zip(loads.averages) {
            for ((_, span), average) in MINUTES.iter().zip(averages) {
                let topic = format!("$SYS/broker/load/{name}/{span}");
                rows.push((topic, format!("{average:.2}")));
            }
        }
        let counters = snapshot.stats.rows();
        rows.extend(counters.map(|(name, count)| {
            let mut topic = "$SYS/mqttx/".to_owned();
            let _ = write!(topic, "{name}");
            (topic, count.to_string())
        }));
        rows
    }
}

/// The whole numbers of mosquitto's tree. Messages held for several Sessions count for each.
pub(crate) fn figures(snapshot: &Snapshot) -> [(&'static str, u64); 25] {
    let Snapshot { stats, whole, .. } = snapshot;
    let away = snapshot.sessions - snapshot.connected;
    let stored = whole.retained + whole.queued;
    [
        ("clients/total", snapshot.sessions),
        ("clients/maximum", whole.sessions_most),
        ("clients/disconnected", away),
        ("clients/inactive", away),
        ("clients/connected", snapshot.connected),
        ("clients/active", snapshot.connected),
        ("clients/expired", stats.sessions_expired),
        ("messages/stored", stored),
        ("store/messages/count", stored),
        (
            "store/messages/bytes",
            whole.retained_bytes + whole.queued_bytes,
        ),
        (
            "subscriptions/count",
            whole.subscriptions - whole.shared_subscriptions,
        ),
        ("shared_subscriptions/count", whole.shared_subscriptions),
        ("retained messages/count", whole.retained),
        ("messages/received", stats.packets_received),
        ("messages/sent", stats.packets_sent()),
        ("bytes/received", stats.bytes_received),
        ("bytes/sent", stats.bytes_sent),
        ("publish/bytes/received", stats.payload_received),
        ("publish/bytes/sent", stats.payload_sent),
        ("packet/out/count", snapshot.unsent),
        ("packet/out/bytes", snapshot.unsent_bytes),
        ("connections/socket/count", snapshot.connections),
        ("publish/messages/dropped", stats.dropped()),
        ("publish/messages/received", stats.publish_received),
        ("publish/messages/sent", stats.publish_sent),
    ]
}

/// Memory of the process, now and at most, in bytes; nothing where the system does not tell.
pub(crate) fn heap() -> Vec<(&'static str, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    [("heap/current", "VmRSS:"), ("heap/maximum", "VmHWM:")]
        .into_iter()
        .filter_map(|(topic, name)| Some((topic, number(name)? * 1024)))
        .collect()
}

fn message(topic: &str, text: &str, now: Instant) -> Message {
    own_message(topic, text, QoS::ExactlyOnce, true, now)
}

/// Whether a bridge is connected.
pub(crate) fn state_message(topic: &str, text: &str, now: Instant) -> Message {
    own_message(topic, text, QoS::AtLeastOnce, true, now)
}

/// A line of the log: nobody wants yesterday's, so it is not retained.
pub(crate) fn log_message(topic: &str, text: &str, now: Instant) -> Message {
    own_message(topic, text, QoS::ExactlyOnce, false, now)
}

fn own_message(topic: &str, text: &str, qos: QoS, retain: bool, now: Instant) -> Message {
    let publish = Publish {
        dup: false,
        qos,
        retain,
        topic,
        packet_id: None,
        properties: Properties::EMPTY,
        payload: text.as_bytes(),
    };
    Message::new(&publish, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_becomes_the_average_and_a_pause_halves_it() {
        let (mut loads, mut stats) = (Loads::default(), Stats::default());
        for _ in 0..600 {
            stats.publish_received += 30;
            loads.update(&stats, Duration::from_secs(1));
        }
        let publish_received = |loads: &Loads| loads.averages[3];
        let [one, five, _] = publish_received(&loads);
        assert!((one - 1_800.0).abs() < 0.1, "{one}");
        assert!(
            (five - 1_800.0 * (1.0 - (-2.0_f64).exp())).abs() < 0.1,
            "{five}"
        );
        // However long nobody looks, the average fades as if somebody had.
        loads.update(&stats, Duration::from_secs_f64(60.0 * 2.0_f64.ln()));
        assert!((publish_received(&loads)[0] - 900.0).abs() < 0.1);
    }

    #[test]
    fn only_what_changed_is_said_again() {
        let now = Instant::now();
        let mut tree = Tree::new(true, now);
        let (mut snapshot, loads) = (Snapshot::default(), Loads::default());
        let first = tree.changed(&snapshot, &loads, now);
        assert!(first.len() > 50);
        let version = format!("mosquitto version {MOSQUITTO_RELEASE}");
        assert_eq!(first[0].payload(), version.as_bytes());
        snapshot.stats.publish_received = 7;
        let second = tree.changed(&snapshot, &loads, now);
        let changed = |message: &&Message| !message.topic().contains("/heap/");
        let second: Vec<_> = second.iter().filter(changed).collect();
        assert_eq!(second.len(), 2);
        assert_eq!(second[0].topic(), "$SYS/broker/publish/messages/received");
        assert_eq!(second[0].payload(), b"7");
    }
}
