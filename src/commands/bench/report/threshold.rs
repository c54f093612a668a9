//! What must hold, said as `e2e.p99<5ms`, `lost=0`, `rate[q1]>=100k` or `e2e.p99[q1@20k]<5ms`: read
//! before any load, judged after it. Pure.
//!
//! A threshold that names nothing would hold for ever, so whatever this plan cannot measure is
//! refused, and a percentile with too few samples fails. It must hold for every row it is about: of
//! a series for each of its rates, of a search for the highest rate and for what was found.

use serde_json::Value;

use crate::cli::args::bench::Kind;
use crate::cli::args::bench::values::parse_rate;
use crate::commands::bench::load::head::WRITTEN_LEN;
use crate::commands::bench::plan::{Mode, Plan, Stage, rates};
use crate::commands::bench::report::compare::same;
use crate::commands::bench::report::json::manner;
use crate::commands::bench::report::metric::{Metric, Which};
use crate::commands::bench::report::text;
use crate::commands::bench::report::{Report, Row, row_name};
use crate::mqtt::QoS;

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands::bench) struct Threshold {
    /// As it was typed.
    pub(in crate::commands::bench) text: String,
    metric: Metric,
    /// As a share of the same figure of the baseline.
    is_relative: bool,
    about: Selector,
    op: Op,
    value: f64,
}

/// Which rows a condition is about, as `[q1]`, `[@20k]` or `[q1@20k]`: without one, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Selector {
    qos: Option<QoS>,
    /// What was offered.
    rate: Option<f64>,
}

/// Steps lie at whole numbers, which nobody has to type to the last digit.
const RATE_NEAR: f64 = 0.005;

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
        let (name, about) = match left.split_once('[') {
            None => (left, Selector::default()),
            Some((name, selector)) => (name, Selector::parse(text, selector)?),
        };
        let (name, is_relative) = match name.strip_prefix("vs.baseline.") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let metric = Metric::parse(name).ok_or_else(|| {
            format!(
                "'{text}': no metric '{name}'; there are rate, found, lost, dup, reordered, corrupt, \
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
            about,
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
        self.check_rows(plan)?;
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
        if needs_acks && self.about.qos.unwrap_or(most) == QoS::AtMostOnce {
            return Err(format!("'{}': QoS 0 has no acknowledgements", self.text));
        }
        Ok(())
    }

    /// Refuses what there will be no row for.
    fn check_rows(&self, plan: &Plan) -> Result<(), String> {
        let text = &self.text;
        if self.about.qos.is_some_and(|qos| !plan.qos.contains(&qos)) {
            return Err(format!("'{text}': this QoS is not measured (-q)"));
        }
        if self.metric == Metric::Found && plan.mode != Mode::FindMax {
            return Err(format!("'{text}': only --find-max finds a rate"));
        }
        let offered = match plan.mode {
            Mode::RateOnly(rate) => vec![rate],
            Mode::Steps(steps) => rates(steps),
            _ => Vec::new(),
        };
        if let Some(asked) = self.about.rate
            && !offered.iter().any(|&rate| is_near(rate, asked))
        {
            let names: Vec<String> = offered.iter().map(|&rate| text::rate(Some(rate))).collect();
            return Err(match names.is_empty() {
                true => format!("'{text}': only --steps and --rate have rates known before"),
                false => format!("'{text}': no such rate, only {}", names.join(" · ")),
            });
        }
        self.check_reachable(plan, &offered)
    }

    /// Refuses what no broker could fulfil: more than a step of a series offers.
    fn check_reachable(&self, plan: &Plan, offered: &[f64]) -> Result<(), String> {
        let wants_more = matches!(self.op, Op::More | Op::MoreOrEqual);
        if self.metric != Metric::Rate || self.is_relative || !wants_more || offered.len() < 2 {
            return Ok(());
        }
        let copies = plan.shape.copies_each().max(1.0);
        let is_short = |&&rate: &&f64| {
            self.about.rate.is_none_or(|asked| is_near(rate, asked))
                && rate * copies * (1.0 + RATE_NEAR) < self.value
        };
        match offered.iter().find(is_short) {
            Some(&rate) => Err(format!(
                "'{}': cannot hold where only {}/s are offered; which step? rate[@{:.0}]",
                self.text,
                text::rate(Some(rate)),
                offered.last().copied().unwrap_or(rate)
            )),
            None => Ok(()),
        }
    }

    /// Refuses a latency nobody will know.
    fn check_timed(&self, plan: &Plan) -> Result<(), String> {
        let Metric::Latency(which, _) = self.metric else {
            return Ok(());
        };
        let only_open = matches!(which, Which::E2e | Which::Service | Which::Lag);
        let is_due = plan.max_stage(QoS::AtMostOnce).has_schedule();
        let has_schedule = plan.mode != Mode::MaxOnly || which == Which::Lag && is_due;
        if only_open && !has_schedule {
            return Err(format!(
                "'{}': latency is not measured as fast as possible; say --rate",
                self.text
            ));
        }
        if !matches!(which, Which::E2e | Which::Service) {
            return Ok(());
        }
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
        let why = match self.metric {
            _ if self.is_relative => "a search has no baseline",
            Metric::Found => "that is what it looks for",
            _ => return Ok(()),
        };
        Err(format!("--find-max: '{}': {why}", self.text))
    }

    /// Whether this row is judged; `has_closed` when its QoS was also measured at full speed.
    fn applies(&self, stage: &Stage, has_closed: bool) -> bool {
        if !self.about.covers(stage) {
            return false;
        }
        match self.metric {
            // A chosen rate below the highest says nothing about the broker.
            Metric::Rate => !(stage.is_open() && has_closed),
            Metric::Found => false,
            Metric::Latency(Which::E2e | Which::Service, _) => stage.is_open(),
            Metric::Latency(Which::Lag, _) => stage.has_schedule(),
            Metric::Latency(Which::Ack, _) => stage.qos > QoS::AtMostOnce,
            _ => true,
        }
    }

    /// Judges every row it is about; at least one verdict comes of it.
    pub(in crate::commands::bench) fn judge(
        &self,
        report: &Report,
        baseline: Option<&Value>,
    ) -> Vec<Verdict> {
        let mut verdicts = match self.metric {
            Metric::Found => self.judge_found(report, baseline),
            _ => self.judge_rows(report, baseline),
        };
        if verdicts.is_empty() {
            verdicts.push(self.verdict("nothing measured".to_owned(), None));
        }
        verdicts
    }

    fn judge_rows(&self, report: &Report, baseline: Option<&Value>) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for row in report.rows.iter().filter(|row| report.is_result(row)) {
            let has_closed = report
                .rows
                .iter()
                .any(|other| other.stage.qos == row.stage.qos && !other.stage.is_open());
            if !self.applies(&row.stage, has_closed) {
                continue;
            }
            let before = || {
                let row = same(baseline?, &manner(&row.stage))?;
                self.metric.of_json(row)
            };
            let value = self.compared(self.metric.of(row), before);
            verdicts.push(self.verdict(row_name(&row.stage), value));
        }
        verdicts
    }

    fn judge_found(&self, report: &Report, baseline: Option<&Value>) -> Vec<Verdict> {
        let of_ours = |(qos, _): &&(QoS, Option<f64>)| self.about.qos.is_none_or(|own| own == *qos);
        let found = report.found.iter().filter(of_ours);
        found
            .map(|(qos, rate)| {
                let before = || found_in(baseline?, *qos);
                let value = self.compared(*rate, before);
                self.verdict(format!("QoS {}, found", qos.bits()), value)
            })
            .collect()
    }

    /// The figure itself, or what it is of the one before.
    fn compared(&self, now: Option<f64>, before: impl Fn() -> Option<f64>) -> Option<f64> {
        match self.is_relative {
            false => now,
            true => Some(now? / before().filter(|&before| before > 0.0)?),
        }
    }

    fn verdict(&self, row: String, value: Option<f64>) -> Verdict {
        Verdict {
            text: self.text.clone(),
            row,
            holds: value.is_some_and(|value| self.op.holds(value, self.value)),
            value: value.map(|value| self.metric.shown(value, self.is_relative)),
        }
    }

    /// Whether one row alone satisfies it; a figure there is none of does not, and what another QoS must
    /// do is no matter.
    pub(in crate::commands::bench) fn holds(&self, row: &Row) -> bool {
        self.about.qos.is_some_and(|qos| qos != row.stage.qos)
            || self
                .metric
                .of(row)
                .is_some_and(|value| self.op.holds(value, self.value))
    }
}

/// What a search of this QoS found, in a report that was kept.
pub(in crate::commands::bench) fn found_in(report: &Value, qos: QoS) -> Option<f64> {
    let mut found = report["found"].as_array()?.iter();
    found.find(|one| one["qos"] == qos.bits())?["rate"].as_f64()
}

fn is_near(rate: f64, asked: f64) -> bool {
    (rate - asked).abs() <= RATE_NEAR * rate
}

impl Selector {
    fn parse(text: &str, selector: &str) -> Result<Self, String> {
        let read = || {
            let inside = selector.strip_suffix(']')?;
            let (qos, rate) = match inside.split_once('@') {
                Some((qos, rate)) => (qos, Some(parse_rate(rate).ok()?)),
                None => (inside, None),
            };
            let qos = match qos.strip_prefix('q') {
                Some(digit) => Some(QoS::from_bits(digit.parse().ok()?)?),
                None if qos.is_empty() && rate.is_some() => None,
                None => return None,
            };
            Some(Self { qos, rate })
        };
        read().ok_or_else(|| format!("'{text}': [q0], [q1], [q2], [@RATE] or [q1@RATE] is wanted"))
    }

    fn covers(self, stage: &Stage) -> bool {
        let is_offered = |asked| stage.rate().is_some_and(|rate| is_near(rate, asked));
        self.qos.is_none_or(|qos| qos == stage.qos) && self.rate.is_none_or(is_offered)
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
            Threshold::parse("rate[q1]>1").unwrap().about,
            Selector {
                qos: Some(QoS::AtLeastOnce),
                rate: None
            }
        );
        let about = Threshold::parse("e2e.p99[q2@20k]<5ms").unwrap().about;
        assert_eq!(
            (about.qos, about.rate),
            (Some(QoS::ExactlyOnce), Some(20_000.0))
        );
        let about = Threshold::parse("lost[@0.5]=0").unwrap().about;
        assert_eq!((about.qos, about.rate), (None, Some(0.5)));
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
            "rate[]>1",
            "rate[@]>1",
            "rate[q1@x]>1",
            "rate[q1@-5]>1",
            "rate[q1>1",
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
