//! What must hold, said as `e2e.p99<5ms`, `lost=0` or `rate[q1]>=100k`: read before any load, judged
//! after it. Pure.
//!
//! A threshold that names nothing would hold for ever, so whatever this plan cannot measure is
//! refused, and a percentile with too few samples fails.

use serde_json::Value;

use crate::cli::args::bench::Kind;
use crate::commands::bench::load::head::WRITTEN_LEN;
use crate::commands::bench::plan::{Mode, Plan, Stage};
use crate::commands::bench::report::compare::same;
use crate::commands::bench::report::json::{PERCENTILES, manner};
use crate::commands::bench::report::{Row, row_name};
use crate::commands::bench::stats::Latency;
use crate::mqtt::QoS;

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands::bench) struct Threshold {
    /// As it was typed.
    pub(in crate::commands::bench) text: String,
    metric: Metric,
    /// As a share of the same figure of the baseline.
    is_relative: bool,
    qos: Option<QoS>,
    op: Op,
    value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Rate,
    Latency(Which, Point),
    Lost,
    Duplicates,
    Reordered,
    Corrupt,
    Refused,
    Errors,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    E2e,
    Service,
    Ack,
    Lag,
    Connect,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    Share(&'static str, f64),
    Min,
    Mean,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
}

/// Longer ones first, so that `<=` is not read as `<`.
const OPS: [(&str, Op); 5] = [
    ("<=", Op::LessOrEqual),
    (">=", Op::MoreOrEqual),
    ("<", Op::Less),
    (">", Op::More),
    ("=", Op::Equal),
];

/// What became of a threshold on one row.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands::bench) struct Verdict {
    pub(in crate::commands::bench) text: String,
    pub(in crate::commands::bench) row: String,
    /// As it is shown; none when there was nothing to judge.
    pub(in crate::commands::bench) value: Option<String>,
    pub(in crate::commands::bench) holds: bool,
}

impl Threshold {
    /// Reads one; the error says what is wrong with it.
    pub(in crate::commands::bench) fn parse(text: &str) -> Result<Self, String> {
        let at = text
            .find(['<', '>', '='])
            .ok_or_else(|| format!("'{text}': METRIC<VALUE is wanted, such as e2e.p99<5ms"))?;
        let (sign, op) = OPS
            .iter()
            .find(|(sign, _)| text[at..].starts_with(sign))
            .ok_or_else(|| format!("'{text}': <, <=, >, >= or = is wanted"))?;
        let (left, right) = (text[..at].trim(), text[at + sign.len()..].trim());
        let (name, qos) = match left.split_once('[') {
            None => (left, None),
            Some((name, selector)) => (name, Some(selected(text, selector)?)),
        };
        let (name, is_relative) = match name.strip_prefix("vs.baseline.") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let metric = Metric::parse(name).ok_or_else(|| {
            format!(
                "'{text}': no metric '{name}'; there are rate, lost, dup, reordered, corrupt, \
                 refused, errors, and e2e, service, ack, lag, connect with .p50 to .p9999, .min, .mean, .max"
            )
        })?;
        let value = metric
            .value(right, is_relative)
            .ok_or_else(|| format!("'{text}': '{right}' is no value of {name}{}", metric.hint()))?;
        Ok(Self {
            text: text.to_owned(),
            metric,
            is_relative,
            qos,
            op: *op,
            value,
        })
    }

    /// Refuses what the plan will not measure.
    pub(in crate::commands::bench) fn check(
        &self,
        plan: &Plan,
        has_baseline: bool,
    ) -> Result<(), String> {
        if self.is_relative && !has_baseline {
            return Err(format!("'{}': which --baseline FILE?", self.text));
        }
        if self.qos.is_some_and(|qos| !plan.qos.contains(&qos)) {
            return Err(format!("'{}': this QoS is not measured (-q)", self.text));
        }
        let only_open = matches!(
            self.metric,
            Metric::Latency(Which::E2e | Which::Service | Which::Lag, _)
        );
        if only_open && plan.mode == Mode::MaxOnly {
            return Err(format!(
                "'{}': latency is not measured as fast as possible; say --rate",
                self.text
            ));
        }
        self.check_timed(plan)?;
        let kind = plan.shape.kind;
        let is_published = !matches!(kind, Kind::Sub | Kind::Conn | Kind::Churn);
        let is_checked = is_published && kind != Kind::Pub && plan.is_verified;
        let is_about_delivery = matches!(
            self.metric,
            Metric::Lost | Metric::Duplicates | Metric::Reordered | Metric::Corrupt
        );
        if is_about_delivery && !is_checked {
            let text = &self.text;
            return Err(format!(
                "'{text}': nobody would know; this load has no subscribers that check messages"
            ));
        }
        let most = plan.qos.iter().max().copied().unwrap_or(QoS::AtMostOnce);
        let needs_acks = matches!(
            self.metric,
            Metric::Refused | Metric::Latency(Which::Ack, _)
        );
        if needs_acks && !is_published {
            return Err(format!("'{}': this kind publishes nothing", self.text));
        }
        if needs_acks && self.qos.unwrap_or(most) == QoS::AtMostOnce {
            return Err(format!("'{}': QoS 0 has no acknowledgements", self.text));
        }
        Ok(())
    }

    /// Refuses a latency nobody will know.
    fn check_timed(&self, plan: &Plan) -> Result<(), String> {
        let Metric::Latency(which @ (Which::E2e | Which::Service), _) = self.metric else {
            return Ok(());
        };
        if plan.shape.kind == Kind::Pub {
            return Err(format!(
                "'{}': nobody receives here, so nothing is timed from end to end",
                self.text
            ));
        }
        if which == Which::Service && !plan.tells_written() {
            return Err(format!(
                "'{}': payloads below {WRITTEN_LEN} bytes do not say when they were handed over",
                self.text
            ));
        }
        Ok(())
    }

    /// Refuses what means nothing to a search.
    pub(in crate::commands::bench) fn check_wanted(&self) -> Result<(), String> {
        match self.is_relative {
            true => Err(format!(
                "--find-max: '{}': a search has no baseline",
                self.text
            )),
            false => Ok(()),
        }
    }

    /// Whether this row is judged; `has_closed` when its QoS was also measured at full speed.
    fn applies(&self, stage: &Stage, has_closed: bool) -> bool {
        if self.qos.is_some_and(|qos| qos != stage.qos) {
            return false;
        }
        match self.metric {
            // A chosen rate below the highest says nothing about the broker.
            Metric::Rate => !(stage.is_open() && has_closed),
            Metric::Latency(Which::E2e | Which::Service | Which::Lag, _) => stage.is_open(),
            Metric::Latency(Which::Ack, _) => stage.qos > QoS::AtMostOnce,
            _ => true,
        }
    }

    /// Judges every row it is about; at least one verdict comes of it.
    pub(in crate::commands::bench) fn judge(
        &self,
        rows: &[Row],
        baseline: Option<&Value>,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for row in rows {
            let has_closed = rows
                .iter()
                .any(|other| other.stage.qos == row.stage.qos && !other.stage.is_open());
            if !self.applies(&row.stage, has_closed) {
                continue;
            }
            let found = self.metric.of(row);
            let value = match (self.is_relative, baseline) {
                (false, _) => found,
                (true, Some(baseline)) => {
                    let before = same(baseline, &manner(&row.stage))
                        .and_then(|row| self.metric.of_json(row))
                        .filter(|&before| before > 0.0);
                    found.zip(before).map(|(now, before)| now / before)
                }
                (true, None) => None,
            };
            verdicts.push(Verdict {
                text: self.text.clone(),
                row: row_name(&row.stage),
                holds: value.is_some_and(|value| self.op.holds(value, self.value)),
                value: value.map(|value| self.metric.shown(value, self.is_relative)),
            });
        }
        if verdicts.is_empty() {
            verdicts.push(Verdict {
                text: self.text.clone(),
                row: "nothing measured".to_owned(),
                value: None,
                holds: false,
            });
        }
        verdicts
    }

    /// Whether one row alone satisfies it; a figure there is none of does not, and what another QoS must
    /// do is no matter.
    pub(in crate::commands::bench) fn holds(&self, row: &Row) -> bool {
        self.qos.is_some_and(|qos| qos != row.stage.qos)
            || self
                .metric
                .of(row)
                .is_some_and(|value| self.op.holds(value, self.value))
    }
}

fn selected(text: &str, selector: &str) -> Result<QoS, String> {
    selector
        .strip_suffix(']')
        .and_then(|inside| inside.strip_prefix('q'))
        .and_then(|digit| digit.parse().ok())
        .and_then(QoS::from_bits)
        .ok_or_else(|| format!("'{text}': [q0], [q1] or [q2] is wanted"))
}

impl Metric {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "rate" => Self::Rate,
            "lost" => Self::Lost,
            "dup" | "duplicates" => Self::Duplicates,
            "reordered" => Self::Reordered,
            "corrupt" => Self::Corrupt,
            "refused" => Self::Refused,
            "errors" => Self::Errors,
            _ => {
                let (which, point) = name.split_once('.')?;
                let which = match which {
                    "e2e" => Which::E2e,
                    "service" => Which::Service,
                    "ack" => Which::Ack,
                    "lag" => Which::Lag,
                    "connect" => Which::Connect,
                    _ => return None,
                };
                let point = match point {
                    "min" => Point::Min,
                    "mean" => Point::Mean,
                    "max" => Point::Max,
                    share => {
                        let (name, share) = PERCENTILES.iter().find(|(name, _)| *name == share)?;
                        Point::Share(name, *share)
                    }
                };
                Self::Latency(which, point)
            }
        })
    }

    /// What a value of this looks like, where that is not plain.
    fn hint(self) -> &'static str {
        match self {
            Self::Latency(..) => "; a time is, such as 5ms or 200us",
            Self::Rate => "; such are 500, 20k and 1.5M",
            _ => "",
        }
    }

    /// Latencies in nanoseconds, rates a second, the rest as counted, ratios as shares.
    fn value(self, text: &str, is_relative: bool) -> Option<f64> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let number: f64 = text[..end].parse().ok()?;
        let factor = match (self, is_relative, text[end..].trim_end_matches("/s")) {
            (_, true, "") => 1.0,
            (_, true, "%") => 0.01,
            (Self::Latency(..), false, "ns") => 1.0,
            (Self::Latency(..), false, "us" | "µs") => 1e3,
            (Self::Latency(..), false, "ms") => 1e6,
            (Self::Latency(..), false, "s") => 1e9,
            (Self::Latency(..), ..) | (_, true, _) => return None,
            (_, false, "") => 1.0,
            (Self::Rate, false, "k") => 1e3,
            (Self::Rate, false, "M") => 1e6,
            _ => return None,
        };
        Some(number * factor)
    }

    fn of(self, row: &Row) -> Option<f64> {
        let all = &row.all;
        match self {
            Self::Rate if row.stage.shape.is_connects() => row.connect_rate(),
            Self::Rate => {
                let rates = row.rates();
                rates.received.or(rates.sent)
            }
            Self::Lost => Some(all.lost as f64),
            Self::Duplicates => Some(all.seen.duplicates as f64),
            Self::Reordered => Some(all.seen.reordered as f64),
            Self::Corrupt => Some((all.corrupt + all.misrouted) as f64),
            Self::Refused => Some(row.refused() as f64),
            Self::Errors => Some((row.refused() + all.connect_errors + all.disconnects) as f64),
            Self::Latency(which, point) => {
                let latency = match which {
                    Which::E2e => &all.e2e,
                    Which::Service => &all.service,
                    Which::Ack => &all.ack,
                    Which::Lag => &all.lag,
                    Which::Connect => &all.connect,
                };
                point.of(latency)
            }
        }
    }

    /// The same figure in a report read from JSON.
    fn of_json(self, row: &Value) -> Option<f64> {
        let counts = &row["counts"];
        match self {
            Self::Rate => row["rate"]["received"]
                .as_f64()
                .or_else(|| row["rate"]["sent"].as_f64())
                .or_else(|| row["connects_per_s"].as_f64()),
            Self::Lost => counts["lost"].as_f64(),
            Self::Duplicates => counts["duplicates"].as_f64(),
            Self::Reordered => counts["reordered"].as_f64(),
            Self::Corrupt => Some(counts["corrupt"].as_f64()? + counts["misrouted"].as_f64()?),
            Self::Refused => refused_in(counts),
            Self::Errors => {
                let connections =
                    counts["connect_errors"].as_f64()? + counts["disconnects"].as_f64()?;
                Some(refused_in(counts)? + connections)
            }
            Self::Latency(which, point) => {
                let latencies = match which {
                    Which::E2e => "e2e_us",
                    Which::Service => "service_us",
                    Which::Ack => "ack_us",
                    Which::Lag => "lag_us",
                    Which::Connect => "connect_us",
                };
                let name = match point {
                    Point::Share(name, _) => name,
                    Point::Min => "min",
                    Point::Mean => "mean",
                    Point::Max => "max",
                };
                row[latencies][name].as_f64().map(|us| us * 1e3)
            }
        }
    }

    fn shown(self, value: f64, is_relative: bool) -> String {
        match self {
            _ if is_relative => format!("{:.1} %", 100.0 * value),
            Self::Latency(..) => format!("{:.3} ms", value / 1e6),
            _ => format!("{value:.0}"),
        }
    }
}

fn refused_in(counts: &Value) -> Option<f64> {
    let by_reason = counts["refused"].as_object()?;
    Some(by_reason.values().filter_map(Value::as_f64).sum())
}

impl Point {
    fn of(self, latency: &Latency) -> Option<f64> {
        match self {
            Self::Share(_, share) => latency.percentile(share).map(|value| value as f64),
            Self::Min => latency.min().map(|value| value as f64),
            Self::Mean => latency.mean(),
            Self::Max => latency.max().map(|value| value as f64),
        }
    }
}

impl Op {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::More => left > right,
            Self::MoreOrEqual => left >= right,
            Self::Equal => left == right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        for (text, value) in [
            ("e2e.p99<5ms", 5e6),
            ("e2e.p9999 <= 1.5s", 1.5e9),
            ("ack.mean<200us", 2e5),
            ("rate>=100k", 1e5),
            ("rate[q1]>1M/s", 1e6),
            ("lost=0", 0.0),
            ("vs.baseline.rate>=95%", 0.95),
            ("vs.baseline.e2e.p99<1.2", 1.2),
        ] {
            let threshold = Threshold::parse(text).unwrap();
            assert!(
                (threshold.value - value).abs() < 1e-9 * value.max(1.0),
                "{text}"
            );
        }
        assert_eq!(
            Threshold::parse("rate[q1]>1").unwrap().qos,
            Some(QoS::AtLeastOnce)
        );
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in [
            "",
            "e2e",
            "e2e.p98<5ms",
            "latency<5ms",
            "e2e.p99<5",
            "rate<5ms",
            "lost=0%",
            "rate[q3]>1",
            "rate[1]>1",
            "e2e.p99~5ms",
            "lost=x",
        ] {
            assert!(Threshold::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn comparisons() {
        assert!(Op::Less.holds(1.0, 2.0) && !Op::Less.holds(2.0, 2.0));
        assert!(Op::LessOrEqual.holds(2.0, 2.0) && Op::MoreOrEqual.holds(2.0, 2.0));
        assert!(Op::More.holds(3.0, 2.0) && Op::Equal.holds(0.0, 0.0));
    }
}
