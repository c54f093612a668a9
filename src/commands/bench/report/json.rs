//! The report as JSON, under the schema `mqttx-bench/1`. The number goes up when a field changes
//! its meaning or goes away; new fields may come at any time.

use serde_json::{Map, Value, json};

use crate::cli::args::bench::Kind;
use crate::commands::bench::load::Outcome;
use crate::commands::bench::load::board::Failures;
use crate::commands::bench::plan::{Load, Mode, Stage};
use crate::commands::bench::report::{Report, Row, row_name};
use crate::commands::bench::stats::{Latency, Tally};
use crate::mqtt::Version;

pub(in crate::commands::bench) const SCHEMA: &str = "mqttx-bench/1";

/// What a report looks like, for whoever reads one: `mqttx bench schema`.
pub(in crate::commands::bench) const JSON_SCHEMA: &str = include_str!("report.schema.json");

/// Percentiles by name, as they are called everywhere.
pub(in crate::commands::bench) const PERCENTILES: [(&str, f64); 7] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
    ("p9999", 0.9999),
];

/// Points of a curve for each halving of what lies beyond.
const CURVE_STEPS: u32 = 4;

/// The first bucket ends at a microsecond, each next one is a quarter longer.
const BUCKET_FIRST: u64 = 1_000;
pub(in crate::commands::bench) const BUCKET_GROWTH: f64 = 1.25;

/// All of it, on one value.
pub(in crate::commands::bench) fn render(report: &Report) -> Value {
    let machine = &report.machine;
    let target = &report.target;
    json!({
        "schema": SCHEMA,
        "tool": { "name": "mqttx", "version": env!("CARGO_PKG_VERSION") },
        "started": report.started,
        "command": report.command,
        "seed": report.seed,
        "host": {
            "os": machine.os, "cpu": machine.cpu, "cores": machine.cores, "load1": machine.load1,
            "generator_threads": report.threads,
        },
        "target": {
            "host": target.host,
            "port": target.port,
            "transport": target.transport,
            "version": match target.version {
                Version::V31 => "3.1",
                Version::V311 => "3.1.1",
                Version::V5 => "5",
            },
            "process": target.process,
        },
        "agents": report.agents.iter().map(|agent| json!({
            "name": agent.name, "os": agent.os, "cpu": agent.cpu, "cores": agent.cores,
            "clock_error_us": agent.clock_error_us(),
        })).collect::<Vec<_>>(),
        "latency_error_us": report.latency_error_us(),
        "verified": report.is_verified,
        "results": report.rows.iter().map(|each| row(report, each)).collect::<Vec<_>>(),
        "metrics": metrics(report),
        "thresholds": report.verdicts.iter().map(|verdict| json!({
            "expr": verdict.text, "row": verdict.row, "value": verdict.value, "ok": verdict.holds,
        })).collect::<Vec<_>>(),
        "found": report.found.iter().map(|(qos, rate)| json!({
            "qos": qos.bits(), "rate": rate,
        })).collect::<Vec<_>>(),
        "faults": report.faults(),
        "doubts": report.doubts(),
        "trouble": report.trouble.as_ref().map(|trouble| &trouble.sentence),
        "partial": report.trouble.is_some(),
        "ok": report.exit_status() == 0,
    })
}

/// How a stage is measured, as the report tells it.
pub(in crate::commands::bench) fn manner(stage: &Stage) -> Value {
    match stage.shape.is_connects() {
        true => connects_stage(stage),
        false => message_stage(stage),
    }
}

/// A row of messages, or a row of connections: told apart by `stage.mode`.
fn row(report: &Report, row: &Row) -> Value {
    if row.stage.shape.is_connects() {
        return connects(row);
    }
    let rates = row.rates();
    let mut stage = manner(&row.stage);
    if !row.stage.is_open() {
        stage["window"] = report.window(&row.stage).into();
    }
    json!({
        "name": row_name(&row.stage),
        "stage": stage,
        "rate": {
            "sent": rates.sent, "acked": rates.acked, "received": rates.received,
            "bytes_per_s": rates.bytes, "spread": rates.spread,
        },
        "counts": counts(&row.all),
        "e2e_us": drawn(&row.all.e2e),
        "service_us": latency(&row.all.service),
        "ack_us": latency(&row.all.ack),
        "lag_us": latency(&row.all.lag),
        "connect_us": latency(&row.all.connect),
        "cpu": { "tool_cores": row.tool_cores(), "target_cores": row.target_cores() },
        "target_rss_bytes": row.target_rss(),
        "runs": row.runs.iter().map(|outcome| run(row, outcome)).collect::<Vec<_>>(),
    })
}

/// Of connections that stay, or come and go: nothing here is about messages.
fn connects(row: &Row) -> Value {
    let stage = &row.stage;
    let shape = &stage.shape;
    let counted = |tally: &Tally| {
        json!({
            "connects": tally.connects,
            "connect_errors": tally.connect_errors,
            "disconnects": tally.disconnects,
            "reconnects": tally.reconnects,
        })
    };
    let run = |outcome: &Outcome| {
        json!({
            "seconds": outcome.seconds,
            "counts": counted(&outcome.tally),
            "connects_per_s": outcome.connect_rate(shape.kind),
            "connect_us": latency(&outcome.tally.connect),
            "lag_us": latency(&outcome.tally.lag),
            "cpu": {
                "tool_cores": outcome.health.tool_cores,
                "target_cores": outcome.health.target_cores,
            },
            "failures": failures(&outcome.failures),
        })
    };
    // Of clients that have gone no memory is left to share out.
    let (tool, target) = match shape.kind {
        Kind::Conn => row.bytes_a_client(),
        _ => (None, None),
    };
    json!({
        "name": row_name(stage),
        "stage": manner(stage),
        "connects_per_s": row.connect_rate(),
        "counts": counted(&row.all),
        "connect_us": drawn(&row.all.connect),
        "lag_us": latency(&row.all.lag),
        "bytes_a_client": { "tool": tool, "target": target },
        "cpu": { "tool_cores": row.tool_cores(), "target_cores": row.target_cores() },
        "target_rss_bytes": row.target_rss(),
        "runs": row.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

fn connects_stage(stage: &Stage) -> Value {
    let shape = &stage.shape;
    json!({
        "mode": "connects",
        "kind": format!("{:?}", shape.kind).to_lowercase(),
        "clients": shape.pubs + shape.subs,
        "target_rate": stage.connect_rate,
        "warmup_s": stage.warmup.as_secs_f64(),
        "duration_s": stage.duration.as_secs_f64(),
    })
}

fn message_stage(stage: &Stage) -> Value {
    let shape = &stage.shape;
    let mut value = json!({
        "qos": stage.qos.bits(),
        "kind": format!("{:?}", shape.kind).to_lowercase(),
        "pubs": shape.pubs,
        "subs": shape.subs,
        "topics": shape.topics,
        "payload_bytes": [stage.sizes.0, stage.sizes.1],
        "inflight": stage.inflight,
        "warmup_s": stage.warmup.as_secs_f64(),
        "duration_s": stage.duration.as_secs_f64(),
    });
    match stage.load {
        Load::Max { .. } => value["mode"] = "closed".into(),
        Load::Rate {
            rate,
            arrival,
            ramp_from,
        } => {
            value["mode"] = "open".into();
            value["target_rate"] = rate.into();
            if let Some(from) = ramp_from {
                value["ramp_from"] = from.into();
            }
            value["arrival"] = format!("{arrival:?}").to_lowercase().into();
        }
    }
    value
}

fn run(row: &Row, outcome: &Outcome) -> Value {
    let tally = &outcome.tally;
    let rate = |count: u64| outcome.seconds.map(|seconds| count as f64 / seconds);
    let points: Vec<Value> = tally
        .points
        .iter()
        .enumerate()
        .map(|(at, point)| {
            let of = |share| match point.e2e.len() {
                0 => None,
                _ => Some(point.e2e.value_at_quantile(share) as f64 / 1e3),
            };
            json!({
                "t": at as f64 * outcome.point_seconds,
                "sent": point.sent as f64 / outcome.point_seconds,
                "received": point.received as f64 / outcome.point_seconds,
                "e2e_p50_us": of(0.5),
                "e2e_p99_us": of(0.99),
            })
        })
        .collect();
    json!({
        "seconds": outcome.seconds,
        "counts": counts(tally),
        "rate": {
            "sent": rate(tally.inside.sent),
            "acked": rate(tally.inside.acked).filter(|_| row.has_acks()),
            "received": rate(tally.inside.received).filter(|_| row.stage.shape.kind != Kind::Pub),
        },
        "e2e_us": drawn(&tally.e2e),
        "ack_us": latency(&tally.ack),
        "lag_us": latency(&tally.lag),
        "cpu": {
            "tool_cores": outcome.health.tool_cores,
            "target_cores": outcome.health.target_cores,
        },
        "warmup_points": outcome.warmup_points,
        "point_s": outcome.point_seconds,
        "points": points,
        "failures": failures(&outcome.failures),
    })
}

fn failures(failures: &Failures) -> Vec<Value> {
    let each = failures.first.iter().map(|failure| {
        json!({
            "client": failure.client,
            "phase": format!("{:?}", failure.phase).to_lowercase(),
            "what": format!("{:?}", failure.what),
        })
    });
    each.collect()
}

fn counts(tally: &Tally) -> Value {
    let refused: Map<String, Value> = tally
        .refused
        .iter()
        .map(|(reason, &count)| (reason.to_string(), count.into()))
        .collect();
    json!({
        "sent": tally.sent,
        "acked": tally.acked,
        "unsent": tally.unsent,
        "expected": tally.expected,
        "unique": tally.seen.unique,
        "lost": tally.lost,
        "duplicates": tally.seen.duplicates,
        "dup_flag": tally.seen.marked,
        "reordered": tally.seen.reordered,
        "undecided": tally.seen.undecided,
        "corrupt": tally.corrupt,
        "misrouted": tally.misrouted,
        "strays": tally.strays,
        "stalls": tally.stalls,
        "refused": refused,
        "connects": tally.connects,
        "connect_errors": tally.connect_errors,
        "disconnects": tally.disconnects,
        "reconnects": tally.reconnects,
        "lowered": tally.lowered,
    })
}

/// In microseconds; a percentile that says nothing is null.
pub(in crate::commands::bench) fn latency(latency: &Latency) -> Value {
    let us = |value: Option<u64>| value.map(|nanoseconds| nanoseconds as f64 / 1e3);
    let mut value = json!({
        "n": latency.len(),
        "min": us(latency.min()),
        "mean": latency.mean().map(|mean| mean / 1e3),
        "stdev": latency.stdev().map(|stdev| stdev / 1e3),
    });
    for (name, share) in PERCENTILES {
        value[name] = us(latency.percentile(share)).into();
    }
    value["max"] = us(latency.max()).into();
    value
}

/// With what a drawing needs besides: `curve`, pairs of share and microseconds as far as ten samples
/// lie beyond, and `buckets`, pairs of upper end in microseconds and samples.
fn drawn(measured: &Latency) -> Value {
    let mut value = latency(measured);
    if measured.len() == 0 {
        return value;
    }
    let curve: Vec<Value> = measured
        .histogram
        .iter_quantiles(CURVE_STEPS)
        .map(|step| step.quantile_iterated_to())
        .filter_map(|share| {
            let us = measured.percentile(share)? as f64 / 1e3;
            Some(json!([share, us]))
        })
        .collect();
    value["curve"] = curve.into();
    let buckets: Vec<Value> = measured
        .histogram
        .iter_log(BUCKET_FIRST, BUCKET_GROWTH)
        .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
        .skip_while(|(_, count)| *count == 0)
        .map(|(end, count)| json!([end as f64 / 1e3, count]))
        .collect();
    value["buckets"] = buckets.into();
    value
}

/// The few numbers scripts look at, flat, by names that stay. What a series measured says at which
/// rate: `q1@5000.e2e.p99_ms`; of what a search tried, what it found is there.
fn metrics(report: &Report) -> Value {
    let mut metrics = Map::new();
    for (qos, rate) in &report.found {
        metrics.insert(format!("q{}.found", qos.bits()), json!(rate));
    }
    for row in report.rows.iter().filter(|row| report.is_result(row)) {
        if row.stage.shape.is_connects() {
            let p99 = row.all.connect.percentile(0.99);
            metrics.insert("connects_per_s".to_owned(), row.connect_rate().into());
            metrics.insert("connect.p99_ms".to_owned(), in_ms(p99));
            continue;
        }
        let qos = row.stage.qos.bits();
        let is_series = matches!(report.mode, Mode::Steps(_));
        let (name, lost) = match row.stage.rate() {
            Some(rate) if is_series => (format!("q{qos}@{rate}"), "lost"),
            Some(_) => (format!("q{qos}"), "open.lost"),
            None => (format!("q{qos}"), "lost"),
        };
        if is_series || !row.stage.is_open() {
            let rates = row.rates();
            let rate = rates.received.or(rates.sent);
            metrics.insert(format!("{name}.rate"), rate.into());
        }
        if row.stage.is_open() {
            for (point, share) in PERCENTILES {
                let latency = row.all.e2e.percentile(share);
                metrics.insert(format!("{name}.e2e.{point}_ms"), in_ms(latency));
            }
        }
        metrics.insert(format!("{name}.{lost}"), row.all.lost.into());
    }
    Value::Object(metrics)
}

fn in_ms(nanoseconds: Option<u64>) -> Value {
    nanoseconds.map(|value| value as f64 / 1e6).into()
}
