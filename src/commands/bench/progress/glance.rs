//! A look at a run while it goes: a few lines for a terminal, one line for a log, or the text
//! Prometheus reads. Pure.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::commands::bench::load::board::Phase;
use crate::commands::bench::report::text;

/// Rates shown as a row of little bars.
pub(in crate::commands::bench) const SPARKS: usize = 24;

const SPARK: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Own lateness above this share of the middle latency is said aloud.
const LAG_SHARE_MAX: f64 = 0.1;

/// A generator that uses this share of its threads may be what is measured.
const BUSY: f64 = 0.85;

/// What is known at one moment.
#[derive(Clone, Debug, Default)]
pub(in crate::commands::bench) struct Glance {
    /// Of the row that is measured, and which of its runs.
    pub(in crate::commands::bench) name: String,
    pub(in crate::commands::bench) run: u32,
    pub(in crate::commands::bench) phase: Option<Phase>,
    /// Of warm-up and measurement together, 0 to 1.
    pub(in crate::commands::bench) share: f64,
    pub(in crate::commands::bench) sent: u64,
    pub(in crate::commands::bench) acked: u64,
    pub(in crate::commands::bench) received: u64,
    pub(in crate::commands::bench) expected: u64,
    pub(in crate::commands::bench) connects: u64,
    /// A second, lately.
    pub(in crate::commands::bench) sent_rate: f64,
    pub(in crate::commands::bench) received_rate: f64,
    pub(in crate::commands::bench) connect_rate: f64,
    /// So far, in nanoseconds; none before the first.
    pub(in crate::commands::bench) e2e: Option<Latencies>,
    /// The worst lateness of our own since the last look, in nanoseconds.
    pub(in crate::commands::bench) lag: Option<u64>,
    /// Of how many threads so many cores are used.
    pub(in crate::commands::bench) cores: Option<f64>,
    pub(in crate::commands::bench) threads: usize,
    pub(in crate::commands::bench) has_acks: bool,
    /// What is offered is due at its time.
    pub(in crate::commands::bench) has_schedule: bool,
}

/// In nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::commands::bench) struct Latencies {
    pub(in crate::commands::bench) count: u64,
    pub(in crate::commands::bench) p50: u64,
    pub(in crate::commands::bench) p90: u64,
    pub(in crate::commands::bench) p99: u64,
    pub(in crate::commands::bench) p999: u64,
    pub(in crate::commands::bench) max: u64,
}

impl Latencies {
    pub(super) fn of(e2e: &Histogram<u32>) -> Self {
        Self {
            count: e2e.len(),
            p50: e2e.value_at_quantile(0.5),
            p90: e2e.value_at_quantile(0.9),
            p99: e2e.value_at_quantile(0.99),
            p999: e2e.value_at_quantile(0.999),
            max: e2e.max(),
        }
    }

    fn shares(&self) -> [(&'static str, u64); 4] {
        [
            ("0.5", self.p50),
            ("0.9", self.p90),
            ("0.99", self.p99),
            ("0.999", self.p999),
        ]
    }
}

impl Glance {
    pub(in crate::commands::bench) fn phase_name(&self) -> &'static str {
        match self.phase {
            None => "idle",
            Some(Phase::Connect) => "connecting",
            Some(Phase::Sentinel) => "waiting for every route",
            Some(Phase::Load) => "measuring",
            Some(Phase::Drain | Phase::Settle) => "draining",
            Some(Phase::Leave) => "leaving",
        }
    }

    /// Why the figures should be doubted, if they should.
    pub(in crate::commands::bench) fn doubt(&self) -> Option<&'static str> {
        // What waits for its time on a core of its own is busy, and no bottleneck.
        let is_busy = !self.has_schedule
            && self
                .cores
                .is_some_and(|cores| cores >= BUSY * self.threads as f64);
        let is_late = self
            .e2e
            .zip(self.lag)
            .is_some_and(|(e2e, lag)| lag as f64 > LAG_SHARE_MAX * e2e.p50 as f64 && lag > e2e.p50);
        match (is_busy, is_late) {
            (true, _) => Some("the generator is the bottleneck: results are a lower bound"),
            (_, true) => Some("the generator itself is late"),
            _ => None,
        }
    }

    /// What stands below the bar; `sent` and `received` are the rates of late.
    pub(in crate::commands::bench) fn lines(&self, sent: &[f64], received: &[f64]) -> String {
        let mut out = String::new();
        let row = |name: &str, rate: f64, sparks: &[f64], total: u64| {
            format!(
                "  {name:<9}{:>12}/s {:<SPARKS$} {:>14}",
                text::rate(Some(rate)),
                sparks_of(sparks),
                text::count(total)
            )
        };
        if self.connects > 0 && self.sent == 0 && self.received == 0 {
            out.push_str(&row("connected", self.connect_rate, &[], self.connects));
        } else {
            out.push_str(&row("sent", self.sent_rate, sent, self.sent));
            if self.has_acks {
                let open = self.sent.saturating_sub(self.acked);
                let _ = write!(out, "   unacknowledged {}", text::count(open));
            }
            out.push('\n');
            out.push_str(&row(
                "received",
                self.received_rate,
                received,
                self.received,
            ));
            let way = self.expected.saturating_sub(self.received);
            let _ = write!(out, "   on the way {}", text::count(way));
        }
        if let Some(e2e) = &self.e2e {
            let ms = |value: u64| text::ms(Some(value));
            let _ = write!(
                out,
                "\n  latency  p50 {}  p90 {}  p99 {}  p99.9 {}  max {} ms",
                ms(e2e.p50),
                ms(e2e.p90),
                ms(e2e.p99),
                ms(e2e.p999),
                ms(e2e.max)
            );
        }
        out.push_str("\n  this tool ");
        if let Some(cores) = self.cores {
            let _ = write!(out, "{cores:.2} of {} cores", self.threads);
        }
        if let Some(lag) = self.lag {
            let _ = write!(out, "   behind schedule by {} ms", text::ms(Some(lag)));
        }
        out
    }

    /// `key=value`, for a log.
    pub(in crate::commands::bench) fn line(&self) -> String {
        let mut out = format!(
            "phase={} done={:.0}% sent={} sent_rate={:.0} received={} received_rate={:.0}",
            self.phase_name().replace(' ', "-"),
            100.0 * self.share,
            self.sent,
            self.sent_rate,
            self.received,
            self.received_rate,
        );
        if self.connects > 0 {
            let _ = write!(out, " connects={}", self.connects);
        }
        if let Some(e2e) = &self.e2e {
            let ms = |value: u64| text::ms(Some(value));
            let _ = write!(out, " p50_ms={} p99_ms={}", ms(e2e.p50), ms(e2e.p99));
        }
        if let Some(lag) = self.lag {
            let _ = write!(out, " lag_ms={}", text::ms(Some(lag)));
        }
        if let Some(cores) = self.cores {
            let _ = write!(out, " cores={cores:.2}");
        }
        out
    }

    /// Prometheus' text format, version 0.0.4.
    pub(in crate::commands::bench) fn exposition(&self) -> String {
        let label = self.name.replace('\\', "\\\\").replace('"', "\\\"");
        let labels = format!("stage=\"{label}\",run=\"{}\"", self.run);
        let mut out = String::new();
        let seconds = |value: u64| value as f64 / 1e9;
        let counters = [
            ("sent", "Messages sent", self.sent),
            ("acked", "Messages acknowledged", self.acked),
            ("received", "Deliveries", self.received),
            (
                "expected",
                "Deliveries owed for what was sent",
                self.expected,
            ),
            ("connects", "Connections accepted", self.connects),
        ];
        for (name, help, value) in counters {
            let _ = writeln!(
                out,
                "# HELP mqttx_bench_{name}_total {help} in this run.\n\
                 # TYPE mqttx_bench_{name}_total counter\n\
                 mqttx_bench_{name}_total{{{labels}}} {value}"
            );
        }
        let share = (
            "done_ratio",
            "How much of the load is over",
            Some(self.share),
        );
        let lag = (
            "lag_seconds",
            "Worst lateness of the generator lately",
            self.lag.map(seconds),
        );
        let cores = ("cpu_cores", "Cores the generator uses", self.cores);
        for (name, help, value) in [share, lag, cores] {
            if let Some(value) = value {
                let _ = writeln!(
                    out,
                    "# HELP mqttx_bench_{name} {help}.\n# TYPE mqttx_bench_{name} gauge\n\
                     mqttx_bench_{name}{{{labels}}} {value}"
                );
            }
        }
        if let Some(e2e) = &self.e2e {
            out.push_str(
                "# HELP mqttx_bench_e2e_seconds From when a message was due to its arrival.\n\
                 # TYPE mqttx_bench_e2e_seconds summary\n",
            );
            for (share, value) in e2e.shares() {
                let _ = writeln!(
                    out,
                    "mqttx_bench_e2e_seconds{{{labels},quantile=\"{share}\"}} {}",
                    seconds(value)
                );
            }
            let _ = writeln!(
                out,
                "mqttx_bench_e2e_seconds_count{{{labels}}} {}",
                e2e.count
            );
        }
        out
    }
}

/// Each rate as a little bar, the highest one full.
pub(in crate::commands::bench) fn sparks_of(rates: &[f64]) -> String {
    let most = rates.iter().copied().fold(0.0, f64::max);
    let from = rates.len().saturating_sub(SPARKS);
    rates[from..]
        .iter()
        .map(|rate| {
            let level = if most > 0.0 { rate / most * 7.0 } else { 0.0 };
            SPARK[(level as usize).min(SPARK.len() - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance() -> Glance {
        Glance {
            name: "QoS 1 \"x\"".to_owned(),
            run: 2,
            phase: Some(Phase::Load),
            share: 0.5,
            sent: 100,
            acked: 90,
            received: 80,
            expected: 95,
            e2e: Some(Latencies {
                count: 80,
                p50: 1_000_000,
                p99: 2_000_000,
                ..Latencies::default()
            }),
            lag: Some(20_000),
            cores: Some(0.25),
            threads: 1,
            has_acks: true,
            ..Glance::default()
        }
    }

    #[test]
    fn the_highest_rate_is_a_full_bar() {
        assert_eq!(sparks_of(&[0.0, 50.0, 100.0]), "▁▄█");
        assert_eq!(sparks_of(&[0.0]), "▁");
        assert_eq!(sparks_of(&[1.0; 100]).chars().count(), SPARKS);
    }

    #[test]
    fn a_line_is_keys_and_values() {
        let line = glance().line();
        assert!(
            line.split(' ').all(|word| word.split_once('=').is_some()),
            "{line}"
        );
        assert!(
            line.contains("p99_ms=2.00") && line.contains("done=50%"),
            "{line}"
        );
    }

    #[test]
    fn an_exposition_has_one_type_for_each_name() {
        let text = glance().exposition();
        assert!(
            text.contains("sent_total{stage=\"QoS 1 \\\"x\\\"\",run=\"2\"} 100\n"),
            "{text}"
        );
        assert!(text.contains("quantile=\"0.99\"} 0.002\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line
                .split('{')
                .next()
                .unwrap()
                .trim_end_matches("seconds_count");
            assert!(
                text.contains(&format!("# TYPE {}", name.trim_end_matches('_'))),
                "{line}"
            );
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn a_late_or_busy_generator_is_said_aloud() {
        assert_eq!(glance().doubt(), None);
        let late = Glance {
            lag: Some(3_000_000),
            ..glance()
        };
        assert!(late.doubt().unwrap().contains("late"));
        let busy = Glance {
            cores: Some(0.9),
            ..glance()
        };
        assert!(busy.doubt().unwrap().contains("bottleneck"));
        let waits_awake = Glance {
            has_schedule: true,
            ..busy
        };
        assert_eq!(waits_awake.doubt(), None);
    }
}
