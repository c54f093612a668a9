//! The same figures for Prometheus, in the text of OpenMetrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::daemon::http::answer::{Fault, Kind};
use crate::daemon::http::app::App;
use crate::daemon::http::sample::{Sample, reasons};

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let sample = Sample::take(&app).await?;
    let mut registry = Registry::with_prefix("mqttx");
    registry.register_collector(Box::new(sample));
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|_| Fault::new(Kind::Busy, "the figures cannot be written"))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

type Written = Result<(), std::fmt::Error>;

/// A value with what tells it from others of its family.
type Row<V> = (Vec<(&'static str, String)>, V);

/// Writes families one behind the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Written {
        self.counters(name, help, [(Vec::new(), value)])
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = Row<u64>>,
    ) -> Written {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            match labels.is_empty() {
                true => family.encode_counter::<NoLabelSet, u64, u64>(&value, None)?,
                false => {
                    let mut row = family.encode_family(&labels)?;
                    row.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
                }
            }
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Written {
        self.gauges(name, help, [(Vec::new(), value)])
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = Row<f64>>,
    ) -> Written {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            match labels.is_empty() {
                true => family.encode_gauge(&value)?,
                false => family.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}

impl Collector for Sample {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Written {
        let mut families = Families(encoder);
        self.clients(&mut families)?;
        self.traffic(&mut families)?;
        self.of_process(&mut families)
    }
}

impl Sample {
    fn clients(&self, families: &mut Families<'_>) -> Written {
        let (all, whole) = (&self.snapshot, &self.snapshot.whole);
        let gauges = [
            (
                "connections",
                "Network connections, those before CONNECT included",
                all.connections,
            ),
            (
                "clients_connected",
                "Sessions with a network connection",
                all.connected,
            ),
            ("sessions", "Sessions, connected or not", all.sessions),
            (
                "subscriptions",
                "Subscriptions, shared ones included",
                whole.subscriptions,
            ),
            (
                "subscriptions_shared",
                "Shared subscriptions",
                whole.shared_subscriptions,
            ),
            ("retained_messages", "Retained messages", whole.retained),
            (
                "retained_bytes",
                "Bytes of retained messages",
                whole.retained_bytes,
            ),
            (
                "queued_messages",
                "Messages kept for sessions, queued or in flight",
                whole.queued,
            ),
            (
                "queued_bytes",
                "Bytes of messages kept for sessions",
                whole.queued_bytes,
            ),
        ];
        for (name, help, value) in gauges {
            families.gauge(name, help, value as f64)?;
        }
        Ok(())
    }

    fn traffic(&self, families: &mut Families<'_>) -> Written {
        let stats = &self.snapshot.stats;
        let by_reason =
            reasons(stats).map(|(reason, count)| (vec![("reason", reason.to_owned())], count));
        families.counters("messages_dropped", "Messages that went nowhere", by_reason)?;
        let counters = [
            (
                "packets_received",
                "Packets received",
                stats.packets_received,
            ),
            (
                "packets_sent",
                "Packets encoded for clients",
                stats.packets_sent(),
            ),
            ("bytes_received", "Bytes received", stats.bytes_received),
            ("bytes_sent", "Bytes taken by the system", stats.bytes_sent),
        ];
        for (name, help, value) in counters {
            families.counter(name, help, value)?;
        }
        for (name, value) in stats.rows() {
            families.counter(&format!("stats_{name}"), "A counter of the broker", value)?;
        }
        Ok(())
    }

    fn of_process(&self, families: &mut Families<'_>) -> Written {
        families.gauge("uptime_seconds", "Time since the start", self.uptime_s)?;
        if let Some(bytes) = self.process.memory_bytes {
            families.gauge("process_memory_bytes", "Resident memory", bytes as f64)?;
        }
        Ok(())
    }
}
