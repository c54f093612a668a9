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

use crate::broker::Stats;
use crate::daemon::http::answer::{Fault, Kind};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::clients;
use crate::daemon::http::latency::Histogram;
use crate::daemon::http::sample::{Sample, by_qos, reasons};

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let figures = Figures::take(&app).await?;
    let mut registry = Registry::with_prefix("mqttx");
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|_| Fault::new(Kind::Busy, "the figures cannot be written"))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// All that is told.
#[derive(Debug)]
struct Figures {
    sample: Sample,
    /// Where what is kept survives a restart: whether that fails at present.
    store_fails: Option<bool>,
    bridges: Vec<Bridge>,
    answers: Histogram,
    requests: Histogram,
}

impl Figures {
    async fn take(app: &App) -> Result<Self, Fault> {
        let sample = Sample::take(app).await?;
        let fails = asking::ask_all(app.workers(), |worker| worker.broker.store_fails()).await?;
        let mut bridges = Vec::new();
        for conf in &app.asked().bridges {
            let found = clients::find(app, &conf.local_id).await?;
            let connection = found.as_ref().and_then(|one| one.row.connection.as_ref());
            let traffic = connection.map(|connection| connection.traffic);
            let traffic = traffic.unwrap_or_default();
            bridges.push(Bridge {
                name: conf.name.clone(),
                connected: connection.is_some(),
                queued: found.as_ref().map_or(0, |one| one.row.queued),
                messages: [traffic.publish_received, traffic.publish_sent],
                failures: app
                    .core
                    .failures
                    .of(&conf.name)
                    .map_or(0, |failed| failed.count),
            });
        }
        Ok(Self {
            sample,
            store_fails: app.core.persists.then(|| fails.contains(&true)),
            bridges,
            answers: app.answers.histogram(),
            requests: app.requests.histogram(),
        })
    }
}

#[derive(Debug)]
struct Bridge {
    name: String,
    connected: bool,
    queued: usize,
    /// From there and to there, since it is connected.
    messages: [u64; 2],
    failures: u64,
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

impl Families<'_> {
    fn histogram(&mut self, name: &str, help: &str, all: &Histogram) -> Written {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        family.encode_histogram::<NoLabelSet>(all.sum, all.count, &all.buckets, None)
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Written {
        let mut families = Families(encoder);
        self.sample.clients(&mut families)?;
        self.sample.traffic(&mut families)?;
        self.sample.of_process(&mut families)?;
        self.neighbours(&mut families)?;
        let help = "Until a worker came to a question, as to a message that comes while it works";
        families.histogram("answer_seconds", help, &self.answers)?;
        let help = "Until a request over HTTP had its answer";
        families.histogram("http_request_seconds", help, &self.requests)
    }
}

impl Figures {
    /// The store and the bridges, where there are any.
    fn neighbours(&self, families: &mut Families<'_>) -> Written {
        if let Some(fails) = self.store_fails {
            let help = "Whether what has to be kept cannot be kept at present";
            families.gauge("store_failing", help, f64::from(u8::from(fails)))?;
        }
        let name = |one: &Bridge| vec![("bridge", one.name.clone())];
        let all = || self.bridges.iter();
        let connected = all().map(|one| (name(one), f64::from(u8::from(one.connected))));
        let help = "Whether a bridge is connected";
        families.gauges("bridge_connected", help, connected)?;
        let queued = all().map(|one| (name(one), one.queued as f64));
        families.gauges("bridge_queued", "Messages that wait for a bridge", queued)?;
        let directed = all().flat_map(|one| {
            let ways = ["in", "out"].into_iter().zip(one.messages);
            ways.map(|(way, count)| {
                (
                    [name(one), vec![("direction", way.to_owned())]].concat(),
                    count,
                )
            })
        });
        let help = "Messages over a bridge since it is connected";
        families.counters("bridge_messages", help, directed)?;
        let failures = all().map(|one| (name(one), one.failures));
        let help = "Connections of a bridge that were refused, cut, or never there";
        families.counters("bridge_failures", help, failures)
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
        let families_by_qos = [
            ("messages_received", "Messages received"),
            ("messages_sent", "Messages encoded for clients"),
            ("payload_bytes_received", "Bytes of payload received"),
            ("payload_bytes_sent", "Bytes of payload encoded for clients"),
        ];
        for (place, (name, help)) in families_by_qos.into_iter().enumerate() {
            let rows = by_qos(stats).into_iter().enumerate();
            let rows = rows.map(|(qos, row)| (vec![("qos", qos.to_string())], row[place]));
            families.counters(name, help, rows)?;
        }
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
        for ((name, value), what) in stats.rows().zip(Stats::whats()) {
            let what = what.trim().trim_end_matches('.');
            families.counter(&format!("stats_{name}"), what, value)?;
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
