//! What was found out: a value, with the judgement over it. `text.rs` and `json.rs` render it.

pub(super) mod compare;
mod doubts;
pub(super) mod formats;
pub(super) mod json;
mod metric;
pub(super) mod show;
pub(super) mod text;
pub(super) mod threshold;

use crate::cli::args::bench::Kind;
use crate::commands::bench::agents::Member;
use crate::commands::bench::health::Machine;
use crate::commands::bench::load::Outcome;
use crate::commands::bench::plan::{Load, Mode, Shape, Stage};
use crate::commands::bench::report::threshold::Verdict;
use crate::commands::bench::stats::{Tally, median, spread};
use crate::mqtt::{QoS, Reason, Version};

/// Everything about one `mqttx bench`.
pub(super) struct Report {
    pub(super) started: String,
    pub(super) command: Vec<String>,
    pub(super) seed: u64,
    pub(super) machine: Machine,
    pub(super) threads: usize,
    pub(super) target: Target,
    pub(super) shape: Shape,
    pub(super) mode: Mode,
    pub(super) is_verified: bool,
    pub(super) rows: Vec<Row>,
    /// Who made the load, if it was not us.
    pub(super) agents: Vec<Member>,
    /// Messages pass from one agent to another, so latencies span two clocks.
    pub(super) crosses: bool,
    /// A generator that may have been the limit is a failure.
    pub(super) is_strict: bool,
    /// What --threshold came to.
    pub(super) verdicts: Vec<Verdict>,
    /// What --find-max found, by QoS: none when not even the lowest rate held.
    pub(super) found: Vec<(QoS, Option<f64>)>,
    /// Why it ended early, if it did.
    pub(super) trouble: Option<Trouble>,
}

/// The broker.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) version: Version,
    /// tcp, tls, ws, wss or unix.
    pub(super) transport: &'static str,
    /// The name of its process, when it runs here.
    pub(super) process: Option<String>,
    /// Pairs of an address here and one of it.
    pub(super) routes: usize,
}

/// What ended a bench before its end.
pub(super) struct Trouble {
    pub(super) sentence: String,
    pub(super) hint: Option<String>,
    pub(super) status: u8,
}

/// One stage with all of its runs.
pub(super) struct Row {
    pub(super) stage: Stage,
    pub(super) runs: Vec<Outcome>,
    /// All runs added up: percentiles are of all samples, counts are sums.
    pub(super) all: Tally,
}

/// The rates of one row: the median over its runs, and their spread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) sent: Option<f64>,
    pub(super) acked: Option<f64>,
    pub(super) received: Option<f64>,
    pub(super) bytes: Option<f64>,
    /// Of what counts: received, or sent where nobody receives.
    pub(super) spread: Option<f64>,
}

impl Row {
    pub(super) fn new(stage: Stage, runs: Vec<Outcome>) -> Self {
        let mut all = Tally::new();
        for run in &runs {
            all.merge(&run.tally);
        }
        Self { stage, runs, all }
    }

    /// Of the runs that came to their end; a run that broke off has no rate.
    pub(super) fn rates(&self) -> Rates {
        let each = |count: fn(&Tally) -> u64| -> Vec<f64> {
            self.runs
                .iter()
                .filter_map(|run| Some(count(&run.tally) as f64 / run.seconds?))
                .collect()
        };
        let received = each(|tally| tally.inside.received);
        let sent = each(|tally| tally.inside.sent);
        let is_sent = matches!(self.stage.shape.kind, Kind::Pub);
        let decisive = if is_sent { &sent } else { &received };
        Rates {
            spread: spread(decisive),
            sent: median(&sent),
            acked: median(&each(|tally| tally.inside.acked)).filter(|_| self.has_acks()),
            received: median(&received).filter(|_| self.stage.shape.kind != Kind::Pub),
            bytes: median(&each(|tally| tally.inside.bytes))
                .filter(|_| self.stage.shape.kind != Kind::Pub),
        }
    }

    /// The rate a later stage is planned from: what got through, or was taken where nobody receives.
    pub(super) fn highest(&self) -> Option<f64> {
        let shape = &self.stage.shape;
        let per_message = shape.copies_each().max(1.0);
        let rates = self.rates();
        let received = rates.received.map(|rate| rate / per_message);
        received.or(rates.acked).or(rates.sent)
    }

    pub(super) fn has_acks(&self) -> bool {
        self.stage.qos > QoS::AtMostOnce
    }

    /// Connections that came to stand a second: while all connected, or in the measurement.
    pub(super) fn connect_rate(&self) -> Option<f64> {
        let kind = self.stage.shape.kind;
        self.median_of(|run| run.connect_rate(kind))
    }

    /// Bytes a client, of this process and of the broker's, as they connected in the first run:
    /// later ones find memory that is already there.
    pub(super) fn bytes_a_client(&self) -> (Option<f64>, Option<f64>) {
        let clients = f64::from(self.stage.shape.pubs + self.stage.shape.subs);
        let memory = self.runs.first().and_then(|run| run.memory);
        (
            memory.map(|memory| memory.tool as f64 / clients),
            memory
                .and_then(|memory| memory.target)
                .map(|target| target as f64 / clients),
        )
    }

    fn median_of(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        median(&self.runs.iter().filter_map(value).collect::<Vec<_>>())
    }

    pub(super) fn tool_cores(&self) -> Option<f64> {
        self.median_of(|run| run.health.tool_cores)
    }

    pub(super) fn target_cores(&self) -> Option<f64> {
        self.median_of(|run| run.health.target_cores)
    }

    /// Threads that made the load, of all who made it.
    pub(super) fn threads(&self) -> usize {
        self.runs.iter().map(|run| run.threads).max().unwrap_or(1)
    }

    /// The most of any run.
    pub(super) fn target_rss(&self) -> Option<u64> {
        self.runs
            .iter()
            .filter_map(|run| run.health.target_rss)
            .max()
    }

    /// Messages the broker acknowledged with a Reason Code that says no.
    pub(super) fn refused(&self) -> u64 {
        self.all.refused.values().sum()
    }

    /// Connections that were lost for good, of clients that come back.
    fn missing(&self) -> u64 {
        let all = &self.all;
        all.disconnects.saturating_sub(all.reconnects)
    }

    pub(super) fn unacknowledged(&self) -> u64 {
        if self.has_acks() {
            self.all.sent.saturating_sub(self.all.acked)
        } else {
            0
        }
    }
}

impl Report {
    /// How far latencies may be off because they span two agents' clocks, in microseconds.
    pub(super) fn latency_error_us(&self) -> Option<f64> {
        let mut errors: Vec<f64> = self.agents.iter().map(Member::clock_error_us).collect();
        errors.sort_by(|one, other| other.total_cmp(one));
        self.crosses.then(|| errors.iter().take(2).sum())
    }

    /// Whether a row is what was looked for: of the rates a search tries most are steps on its way, and
    /// many of them are to fail.
    pub(super) fn is_result(&self, row: &Row) -> bool {
        let is_found = || self.found.contains(&(row.stage.qos, row.stage.rate()));
        self.mode != Mode::FindMax || !row.stage.is_open() || is_found()
    }

    /// Somebody here receives what is sent, and knows it again.
    pub(super) fn is_checked(&self) -> bool {
        self.is_verified && !matches!(self.shape.kind, Kind::Pub | Kind::Sub)
    }

    /// What a publisher may have undelivered on the way, where it can be told what was delivered.
    pub(super) fn window(&self, stage: &Stage) -> Option<u32> {
        match stage.load {
            Load::Max { window } if self.is_checked() && !self.crosses => Some(window),
            _ => None,
        }
    }

    /// What the broker did wrong or would not do, a sentence each.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = self.broken();
        for row in &self.rows {
            let name = row_name(&row.stage);
            for (&reason, &count) in &row.all.refused {
                let why = Reason(reason).name().to_lowercase();
                let count = text::count(count);
                faults.push(format!(
                    "{name}: {count} messages refused: {why} ({reason})"
                ));
            }
            if row.all.connect_errors > 0 {
                let count = text::count(row.all.connect_errors);
                faults.push(format!(
                    "{name}: {count} connections refused, cut off or not answered"
                ));
            }
            if row.missing() > 0 {
                let count = text::count(row.missing());
                faults.push(format!(
                    "{name}: {count} connections were lost and had not come back at the end"
                ));
            }
        }
        faults
    }

    /// The promises of MQTT it did not keep.
    fn broken(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for row in &self.rows {
            let name = row_name(&row.stage);
            let all = &row.all;
            let qos = row.stage.qos;
            let mut fault = |count: u64, what: &str| {
                if count > 0 {
                    faults.push(format!("{name}: {count} {what}"));
                }
            };
            if qos > QoS::AtMostOnce {
                fault(all.lost, "messages lost");
                fault(row.unacknowledged(), "messages never acknowledged");
            }
            if qos != QoS::AtLeastOnce {
                fault(all.seen.duplicates, "messages delivered more than once");
            }
            if row.stage.shape.kind != Kind::Shared {
                fault(all.seen.reordered, "messages out of order");
            }
            fault(all.corrupt, "messages corrupt");
            fault(all.misrouted, "messages delivered to the wrong subscriber");
        }
        faults
    }

    fn has_failed_connects(&self) -> bool {
        let has_failed = |row: &Row| row.all.connect_errors > 0 || row.missing() > 0;
        self.rows.iter().any(has_failed)
    }

    /// The Reason Code of a message that was refused, if one was.
    fn refusal(&self) -> Option<u8> {
        let mut reasons = self.rows.iter().flat_map(|row| row.all.refused.keys());
        reasons.next().copied()
    }

    pub(super) fn exit_status(&self) -> u8 {
        match &self.trouble {
            Some(trouble) => trouble.status,
            None if self.verdicts.iter().any(|verdict| !verdict.holds) => 99,
            // Whoever said what must hold has said what is bad enough to fail.
            None if self.verdicts.is_empty() && !self.broken().is_empty() => 81,
            None if self.verdicts.is_empty() && self.has_failed_connects() => 7,
            None => match self.refusal().filter(|_| self.verdicts.is_empty()) {
                Some(reason) => reason,
                None if self.is_strict && self.is_limited() => 82,
                None => 0,
            },
        }
    }
}

pub(super) fn row_name(stage: &Stage) -> String {
    if stage.shape.is_connects() {
        let name = match stage.shape.kind {
            Kind::Conn => "connections",
            _ => "connects",
        };
        return match stage.connect_rate {
            Some(rate) => format!("{name} at {}/s", text::rate(Some(rate))),
            None => name.to_owned(),
        };
    }
    match stage.load {
        Load::Max { .. } => format!("QoS {}, highest rate", stage.qos.bits()),
        Load::Rate {
            rate,
            ramp_from: Some(from),
            ..
        } => format!(
            "QoS {} from {} to {}/s",
            stage.qos.bits(),
            text::rate(Some(from)),
            text::rate(Some(rate))
        ),
        Load::Rate { rate, .. } => {
            format!("QoS {} at {}/s", stage.qos.bits(), text::rate(Some(rate)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::load::pace::Arrival;

    fn report(lag: u64) -> Report {
        let shape = Shape {
            kind: Kind::Pubsub,
            pubs: 1,
            subs: 1,
            topics: 1,
        };
        let load = Load::Rate {
            rate: 1_000.0,
            arrival: Arrival::Uniform,
            ramp_from: None,
        };
        let stage = Stage::of_a_second(shape.clone(), load);
        let mut row = Row::new(stage, Vec::new());
        for _ in 0..2_000 {
            row.all.e2e.record(1_000_000);
            row.all.lag.record(lag);
        }
        Report {
            started: String::new(),
            command: Vec::new(),
            seed: 1,
            machine: Machine::default(),
            threads: 1,
            target: Target {
                host: "localhost".to_owned(),
                port: 1,
                version: Version::V5,
                transport: "tcp",
                process: None,
                routes: 1,
            },
            shape,
            mode: Mode::RateOnly(1_000.0),
            is_verified: true,
            rows: vec![row],
            agents: Vec::new(),
            crosses: false,
            is_strict: true,
            verdicts: Vec::new(),
            found: Vec::new(),
            trouble: None,
        }
    }

    #[test]
    fn strict_is_about_the_generator_alone() {
        assert_eq!(report(1_000).exit_status(), 0);
        let mut late = report(500_000);
        assert_eq!(late.exit_status(), 82);
        late.rows[0].all.seen.duplicates = 1;
        assert_eq!(late.exit_status(), 81);
        late.rows[0].all.seen.duplicates = 0;
        late.is_strict = false;
        assert_eq!(late.exit_status(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn more_clients_than_ports_found_at_once_are_told() {
        let mut many = report(1_000);
        many.shape.subs = 15_000;
        let told = |report: &Report| report.doubts().join("\n").contains("-A names further");
        assert!(told(&many));
        many.target.routes = 2;
        assert!(!told(&many));
    }
}
