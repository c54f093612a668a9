//! The figures of a moment: asked of all workers at once, a little in a turn of each.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::broker::Snapshot;
use crate::broker::Stats;
use crate::daemon::http::answer::Fault;
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::process::{self, Process};
use crate::daemon::worker::Worker;
use crate::mqtt::publish::Publish;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) uptime_s: f64,
    pub(super) snapshot: Snapshot,
    pub(super) process: Process,
}

/// What the broker sent to our own eyes, which is not what people mean by sent.
#[derive(Default)]
pub(super) struct Own {
    messages: AtomicU64,
    payload: AtomicU64,
    /// The highest figures that were told: what is under way could make them fall.
    told: Mutex<(u64, u64)>,
}

impl Own {
    pub(super) fn note(&self, publish: &Publish<'_>) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        let size = publish.payload.len() as u64;
        self.payload.fetch_add(size, Ordering::Relaxed);
    }

    fn take_out(&self, stats: &mut Stats) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = stats
            .publish_sent
            .saturating_sub(self.messages.load(Ordering::Relaxed));
        let payload = stats
            .payload_sent
            .saturating_sub(self.payload.load(Ordering::Relaxed));
        *told = (told.0.max(messages), told.1.max(payload));
        (stats.publish_sent, stats.payload_sent) = *told;
    }
}

impl Sample {
    /// As it is now.
    pub(super) async fn take(app: &App) -> Result<Self, Fault> {
        let asked = Instant::now();
        let task = move |worker: &mut Worker| (asked.elapsed(), worker.broker.totals());
        let parts = asking::ask_all(app.workers(), task).await?;
        let mut snapshot = Snapshot::default();
        for (waited, part) in &parts {
            app.answers.note(*waited);
            snapshot.add(part);
        }
        app.own.take_out(&mut snapshot.stats);
        Ok(Self {
            at: Timestamp::now(),
            uptime_s: app.begun.elapsed().as_secs_f64(),
            snapshot,
            process: process::look(),
        })
    }

    pub(super) fn json(&self) -> Value {
        let Snapshot { stats, whole, .. } = &self.snapshot;
        json!({
            "at": time(self.at),
            "uptime_s": rounded(self.uptime_s),
            "clients": {
                "connected": self.snapshot.connected,
                "connections": self.snapshot.connections,
                "sessions": self.snapshot.sessions,
                "sessions_most": whole.sessions_most,
            },
            "subscriptions": { "total": whole.subscriptions, "shared": whole.shared_subscriptions },
            "retained": { "count": whole.retained, "bytes": whole.retained_bytes },
            "queued": { "messages": whole.queued, "bytes": whole.queued_bytes },
            "messages": {
                "received": stats.publish_received,
                "sent": stats.publish_sent,
                "dropped": stats.dropped(),
                "received_by_qos": by_qos(stats).map(|row| row[0]),
                "sent_by_qos": by_qos(stats).map(|row| row[1]),
            },
            "payload_bytes": {
                "received": stats.payload_received,
                "sent": stats.payload_sent,
                "received_by_qos": by_qos(stats).map(|row| row[2]),
                "sent_by_qos": by_qos(stats).map(|row| row[3]),
            },
            "bytes": { "received": stats.bytes_received, "sent": stats.bytes_sent },
            "packets": { "received": stats.packets_received, "sent": stats.packets_sent() },
            "dropped": dropped(stats),
            "counters": counters(stats),
            "process": {
                "memory_bytes": self.process.memory_bytes,
                "cpu_s": self.process.cpu_s.map(rounded),
                "threads": self.process.threads,
            },
        })
    }
}

/// For each QoS messages received and sent, payload received and sent. QoS 0 is what is left.
pub(super) fn by_qos(stats: &Stats) -> [[u64; 4]; 3] {
    let one = [
        stats.publish_received_qos1,
        stats.publish_sent_qos1,
        stats.payload_received_qos1,
        stats.payload_sent_qos1,
    ];
    let two = [
        stats.publish_received_qos2,
        stats.publish_sent_qos2,
        stats.payload_received_qos2,
        stats.payload_sent_qos2,
    ];
    let all = [
        stats.publish_received,
        stats.publish_sent,
        stats.payload_received,
        stats.payload_sent,
    ];
    let zero = [0, 1, 2, 3].map(|row| all[row].saturating_sub(one[row] + two[row]));
    [zero, one, two]
}

/// Messages that went nowhere, by the reason.
pub(super) fn reasons(stats: &Stats) -> impl Iterator<Item = (&'static str, u64)> {
    let rows = stats.rows().collect::<Vec<_>>().into_iter();
    rows.filter_map(|(name, value)| Some((name.strip_prefix("dropped_")?, value)))
}

fn dropped(stats: &Stats) -> Value {
    let rows = reasons(stats).map(|(reason, count)| (reason.to_owned(), json!(count)));
    Value::Object(rows.collect())
}

/// A time as all answers write it.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Thousandths are enough of a number that people read.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn counters(stats: &Stats) -> Value {
    let rows = stats
        .rows()
        .map(|(name, count)| (name.to_owned(), json!(count)));
    Value::Object(rows.collect())
}
