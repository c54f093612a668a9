//! What was measured, as values; the table on the terminal, the JSON that is kept, and the comparison of two of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::load::Tally;
use crate::process::Used;

/// One line of the table for one broker. What does not apply is `None`.
#[derive(Clone, Default)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) rate: Option<f64>,
    pub(crate) cpu_us: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) rss_mb: Option<f64>,
    pub(crate) bytes_each: Option<f64>,
    pub(crate) own_us: Option<f64>,
    /// Cores that neither the broker nor the generator used: what disturbed the run.
    pub(crate) foreign: Option<f64>,
    /// The rate was given, not reached: latency tells which run was better.
    pub(crate) paced: bool,
    pub(crate) lost: i64,
    /// What it comes to beside what it is held against.
    pub(crate) note: String,
    pub(crate) failed: Option<String>,
}

impl Measure {
    /// So many of something in a span of work.
    pub(crate) fn of(name: &str, count: u64, used: &Used) -> Self {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count.max(1) as f64;
        Self {
            name: name.into(),
            rate: Some(count as f64 / used.elapsed.as_secs_f64()),
            cpu_us: Some(each(used.broker)),
            own_us: Some(each(used.own)),
            foreign: Some(used.foreign),
            ..Self::default()
        }
    }

    pub(crate) fn of_load(name: &str, tally: &Tally) -> Self {
        let quantile = |at| tally.latency.value_at_quantile(at) as f64 / 1e3;
        let timed = !tally.latency.is_empty();
        Self {
            p50_us: timed.then(|| quantile(0.5)),
            p99_us: timed.then(|| quantile(0.99)),
            rss_mb: Some(tally.rss as f64 / 1e6),
            paced: tally.paced,
            lost: tally.lost,
            ..Self::of(name, tally.delivered, &tally.used)
        }
    }

    /// What each of `count` things added to the broker's memory.
    pub(crate) fn of_memory(name: &str, before: u64, after: u64, count: u64) -> Self {
        Self {
            name: name.into(),
            bytes_each: Some((after as f64 - before as f64) / count as f64),
            rss_mb: Some(after as f64 / 1e6),
            ..Self::default()
        }
    }

    pub(crate) fn failure(name: &str, why: &anyhow::Error) -> Self {
        Self {
            name: name.into(),
            failed: Some(format!("{why:#}")),
            ..Self::default()
        }
    }

    /// Keeps the better run, whole: a run with the lowest CPU alone would be one in which others held a core, because
    /// broker and generator on one core share its cache and batch more. A failure or a loss stays visible.
    fn merge(&mut self, other: Self) {
        let lost = self.lost.max(other.lost);
        let failed = self.failed.take().or_else(|| other.failed.clone());
        let lower = |a: Option<f64>, b: Option<f64>| a.zip(b).is_some_and(|(a, b)| a < b);
        let better = if self.rate.is_none() {
            self.bytes_each.is_none() || lower(other.bytes_each, self.bytes_each)
        } else if self.paced {
            lower(other.p99_us, self.p99_us)
        } else {
            lower(self.rate, other.rate)
        };
        if better {
            *self = other;
        }
        (self.lost, self.failed) = (lost, failed);
    }

    fn json(&self) -> Value {
        json!({
            "rate": self.rate, "cpu_us": self.cpu_us, "p50_us": self.p50_us, "p99_us": self.p99_us,
            "rss_mb": self.rss_mb, "bytes_each": self.bytes_each, "own_us": self.own_us,
            "foreign": self.foreign, "lost": self.lost, "failed": self.failed, "note": self.note,
        })
    }

    fn from_json(name: &str, value: &Value) -> Self {
        let number = |key: &str| value[key].as_f64();
        Self {
            name: name.into(),
            rate: number("rate"),
            cpu_us: number("cpu_us"),
            p50_us: number("p50_us"),
            p99_us: number("p99_us"),
            rss_mb: number("rss_mb"),
            bytes_each: number("bytes_each"),
            own_us: number("own_us"),
            foreign: number("foreign"),
            paced: false,
            lost: value["lost"].as_i64().unwrap_or(0),
            failed: value["failed"].as_str().map(str::to_owned),
            note: value["note"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// Every measure of a run of the rig, in the order measured: (measure, broker).
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) brokers: Vec<String>,
    order: Vec<String>,
    cells: BTreeMap<(String, String), Measure>,
}

impl Report {
    pub(crate) fn add(&mut self, broker: &str, measure: Measure) {
        if !self.order.contains(&measure.name) {
            self.order.push(measure.name.clone());
        }
        let key = (measure.name.clone(), broker.to_owned());
        match self.cells.get_mut(&key) {
            Some(known) => known.merge(measure),
            None => {
                self.cells.insert(key, measure);
            }
        }
    }

    pub(crate) fn find(&self, name: &str, broker: &str) -> Option<&Measure> {
        self.cells.get(&(name.to_owned(), broker.to_owned()))
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.order
    }

    /// The block of one measure: a line a broker.
    pub(crate) fn block(&self, name: &str) -> String {
        let mut out = format!(
            "\n{name:<22}{:>10}{:>10}{:>9}{:>9}{:>8}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}\n",
            "a second",
            "cpu µs",
            "p50 µs",
            "p99 µs",
            "RSS MB",
            "B each",
            "own µs",
            "foreign",
            "×mosq",
            "cpu/m",
            "cpu/rel"
        );
        let rate = |broker: &str| self.find(name, broker).and_then(|one| one.rate);
        let cpu = |broker: &str| self.find(name, broker).and_then(|one| one.cpu_us);
        for broker in &self.brokers {
            let Some(one) = self.find(name, broker) else {
                continue;
            };
            let over = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
            let _ = write!(
                out,
                "  {broker:<20}{:>10}{:>10}{:>9}{:>9}{:>8}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}",
                short(one.rate),
                figure(one.cpu_us),
                figure(one.p50_us),
                figure(one.p99_us),
                figure(one.rss_mb),
                figure(one.bytes_each),
                figure(one.own_us),
                one.foreign
                    .map_or_else(String::new, |cores| format!("{cores:.2}")),
                figure(over(one.rate, rate("mosquitto"))),
                figure(over(one.cpu_us, cpu("mosquitto"))),
                figure(over(one.cpu_us, cpu("relay"))),
            );
            if !one.note.is_empty() {
                let _ = write!(out, "  {}", one.note);
            }
            if one.lost != 0 {
                let _ = write!(out, "  LOST {}", one.lost);
            }
            if let Some(why) = &one.failed {
                let _ = write!(out, "  FAILED {why}");
            }
            out.push('\n');
        }
        out
    }

    /// The whole as one Markdown table: `rate · cpu`, or what else the measure is about.
    pub(crate) fn markdown(&self) -> String {
        let mut out = format!(
            "| |{}\n|-|{}\n",
            join(&self.brokers, |name| format!(" {name} |")),
            { join(&self.brokers, |_| "-|".to_owned()) }
        );
        for name in &self.order {
            let row = join(&self.brokers, |broker| {
                format!(" {} |", self.summary(name, broker))
            });
            let _ = writeln!(out, "| {name} |{row}");
        }
        out
    }

    fn summary(&self, name: &str, broker: &str) -> String {
        let Some(one) = self.find(name, broker) else {
            return "–".into();
        };
        if one.failed.is_some() {
            return "fails".into();
        }
        let mut parts = Vec::new();
        if one.rate.is_some() {
            parts.push(short(one.rate));
        }
        if one.cpu_us.is_some() {
            parts.push(format!("{} µs", figure(one.cpu_us)));
        }
        if one.p99_us.is_some() {
            parts.push(format!("p99 {}", figure(one.p99_us)));
        }
        if !one.note.is_empty() {
            parts.push(one.note.clone());
        }
        if one.bytes_each.is_some() {
            parts.push(format!("{} B", figure(one.bytes_each)));
        }
        if one.lost != 0 {
            parts.push(format!("lost {}", one.lost));
        }
        parts.join(" · ")
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut measures = serde_json::Map::new();
        for name in &self.order {
            let mut row = serde_json::Map::new();
            for broker in &self.brokers {
                if let Some(one) = self.find(name, broker) {
                    row.insert(broker.clone(), one.json());
                }
            }
            measures.insert(name.clone(), Value::Object(row));
        }
        let whole = json!({ "brokers": self.brokers, "measures": measures });
        std::fs::write(path, serde_json::to_string_pretty(&whole)?)
            .with_context(|| path.display().to_string())
    }

    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let whole: Value = serde_json::from_str(&text)?;
        let mut report = Self::default();
        let names = whole["brokers"].as_array().into_iter().flatten();
        report.brokers = names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        for (name, row) in whole["measures"].as_object().into_iter().flatten() {
            for (broker, value) in row.as_object().into_iter().flatten() {
                report.add(broker, Measure::from_json(name, value));
            }
        }
        Ok(report)
    }

    /// New over old, for every figure both have: the machine's own drift shows in the columns of the other brokers.
    pub(crate) fn against(&self, old: &Self) -> String {
        let mut out = format!(
            "\n{:<22}{:<20}{:>12}{:>12}\n",
            "new / old", "", "rate", "cpu"
        );
        for name in &self.order {
            for broker in &self.brokers {
                let (Some(now), Some(then)) = (self.find(name, broker), old.find(name, broker))
                else {
                    continue;
                };
                let over = |a: Option<f64>, b: Option<f64>| figure(a.zip(b).map(|(a, b)| a / b));
                let (rate, cpu) = (over(now.rate, then.rate), over(now.cpu_us, then.cpu_us));
                let _ = writeln!(out, "{name:<22}{broker:<20}{rate:>12}{cpu:>12}");
            }
        }
        out
    }
}

fn join(items: &[String], text: impl Fn(&str) -> String) -> String {
    items.iter().map(|item| text(item)).collect()
}

/// `5.93 M`, `116 k`, `855`.
fn short(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value >= 1e6 => format!("{:.2} M", value / 1e6),
        Some(value) if value >= 1e5 => format!("{:.0} k", value / 1e3),
        Some(value) if value >= 1e4 => format!("{:.1} k", value / 1e3),
        Some(value) => format!("{value:.0}"),
    }
}

/// Three digits that say something.
fn figure(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}
